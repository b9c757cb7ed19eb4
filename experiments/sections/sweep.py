"""`truth.sweeps`: policies that live in the truth alone, without traffic: a whole trade-off curve from one run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, JsonValue, model_validator

from experiments.policy_spec import PolicyMapping
from experiments.sections.common import Problems, Section
from policies.base import plain

Values = Annotated[list[JsonValue], Field(min_length=1, max_length=200)]
Points = Annotated[list[dict[str, JsonValue]], Field(min_length=1, max_length=200)]


class Sweep(Section):
    """One policy with some of its keys at several values; the truth users live through each.

    arm: whose policy is varied; or policy: one that is no arm. key: which key, as a path below the arm, such as
        policy.weights.buy or explore.temperature. values: of that key; numbers are put in rising order.
    points: instead of key and values, several keys at once: mappings from keys to values, in the order of the curve.
    """

    arm: str | None = None
    policy: PolicyMapping | None = None
    key: str | None = None
    values: Values | None = None
    points: Points | None = None

    def changes(self) -> list[dict[str, Any]]:
        """By point, the keys that are replaced and their values."""
        if self.points is not None:
            return [dict(point) for point in self.points]
        return [{str(self.key): value} for value in rising(self.values or [])]

    @model_validator(mode="after")
    def _one_base_and_one_form(self) -> Sweep:
        problems: list[tuple[tuple[str, ...], str]] = []
        if (self.arm is None) == (self.policy is None):
            found = "none" if self.arm is None else "both"
            problems.append(((), f"must have an arm or a policy to vary, got {found}; give one of them"))
        single = [name for name in ("key", "values") if getattr(self, name) is not None]
        if self.points is None and len(single) < 2:
            missing = "points" if not single else "values" if single == ["key"] else "key"
            told = f"got {single[0]} alone" if single else "got neither"
            problems.append(((), f"must have key and values, or points, {told}; add {missing}"))
        if self.points is not None and single:
            problems.append(((), f"must have key and values, or points, got {single[0]} and points; drop one of them"))
        problems += [((name,), text) for name in ("values", "points") if (text := _twice(getattr(self, name)))]
        empty = [n for n, point in enumerate(self.points or []) if not point]
        if empty:
            problems.append((("points",), f"every point must change a key, got {{}} at position {empty[0]}; drop it"))
        if problems:
            raise Problems(problems)
        return self


def rising(values: Sequence[Any]) -> list[Any]:
    """Numbers in rising order, so that the order in which they are written changes nothing; others as they are."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return sorted(values) if numbers else list(values)


def _twice(values: Sequence[Any] | None) -> str:
    """What is wrong where a value is given twice; 1 and 1.0 are one value."""
    seen: set[str] = set()
    for value in values or []:
        text = json.dumps(plain(value), sort_keys=True)
        if text in seen:
            return f"each must be given once, got {text} twice; drop one of the two"
        seen.add(text)
    return ""
