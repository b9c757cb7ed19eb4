"""A spec of every policy of the table, as YAML would give it."""

from __future__ import annotations

from typing import Any

from policies.base import AbstractPolicy
from policies.table import policy_class

BRIEF = {"epochs": 2}  # what a policy must do, it must do however long it has learned

EXAMPLES: dict[str, dict[str, Any]] = {
    "random": {},
    "popular": {},
    "production": {},
    "goal": {"goal": "ctr"},
    "formula": {
        "formula": "ctr**alpha * cvr**beta * price**c * (1 + log1p(stay))",
        "params": {"alpha": 1, "beta": 0.6, "c": 0.4},
        "training": BRIEF,
    },
    "weighted_sum": {"weights": {"ctr": 1, "cvr": 2, "price": 0.001}, "training": BRIEF},
    "click_gated": {"weights": {"cvr": 10, "stay": 0.001}},
    "power_product": {
        "exponents": {"ctr": 1, "cvr": 0.6, "price": 0.4},
        "miscalibrated": {"ctr": 0.3},
        "training": BRIEF,
    },
    "shifted_power_product": {
        "exponents": {"ctr": 3, "ctcvr": 8},
        "weights": {"ctr": 2},
        "shifts": {"ctcvr": 0.1},
        "training": BRIEF,
    },
    "exp_sum": {"weights": {"ctr": 5, "price": 0.01}, "training": BRIEF},
    "rank_reciprocal": {
        "weights": {"ctr": 1, "cvr": 2, "price": 1},
        "exponents": {"cvr": 0.5},
        "shifts": {"ctr": 3},
        "training": BRIEF,
    },
    "stacking": {"target": {"click": 0.1, "cart": 1, "value": 1}, "training": BRIEF},
    "sample_weight": {"weights": {"click": 1, "cart": 3, "buy": 10}},
    "bpr": {},
    "lambdamart": {},
    "shared_bottom": {"training": BRIEF},
    "soft_sharing": {"training": BRIEF},
    "mmoe": {"heads": ["ctr", "cvr", "stay"], "training": BRIEF},
    "ple": {"balance": {"type": "mgda"}, "training": BRIEF},
    "xendcg": {},
    "pointwise": {},
    "esmm": {},
    "esmm_ns": {"training": BRIEF},
    "esm2": {"training": BRIEF},
    "escm2": {"estimator": "dr", "training": BRIEF},
    "cvr_on_clicks": {"training": BRIEF},
    "aman": {"training": BRIEF},
    "division": {"training": BRIEF},
    "position_feature": {},
    "pal": {},
    "ipw": {"examination": "harvest"},
    "regression_em": {"training": {"epochs": 5}},
}


def example(name: str, **changes: Any) -> AbstractPolicy:
    """An unfitted policy of the table."""
    return policy_class(name).from_spec({**EXAMPLES[name], **changes})
