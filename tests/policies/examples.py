"""A spec of every policy of the table, as YAML would give it."""

from __future__ import annotations

from typing import Any

from policies.base import AbstractPolicy
from policies.table import policy_class

EXAMPLES: dict[str, dict[str, Any]] = {
    "random": {},
    "popular": {},
    "production": {},
    "goal": {"goal": "ctr"},
    "formula": {
        "formula": "ctr**alpha * cvr**beta * price**c * (1 + log1p(stay))",
        "params": {"alpha": 1, "beta": 0.6, "c": 0.4},
    },
    "sample_weight": {"weights": {"click": 1, "cart": 3, "buy": 10}},
    "bpr": {},
    "lambdamart": {},
    "esmm": {},
}


def example(name: str, **changes: Any) -> AbstractPolicy:
    """An unfitted policy of the table."""
    return policy_class(name).from_spec({**EXAMPLES[name], **changes})
