"""Bounds on the numbers of a scenario, written once in the type and checked on every road in.

`experiments.spec` reads the same bounds through pydantic, so a YAML file and a Python call are held
to one rule, and the published JSON Schema shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

Share = Annotated[float, Ge(0), Le(1)]
Rate = Annotated[float, Gt(0), Lt(1)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Spread = Annotated[float, Ge(0), Le(10)]  # of a logarithm: beyond it, exp overflows what a simulation can hold
Moderate = Annotated[float, Gt(0), Le(1e6)]  # a scale in units that people use
Weight = Annotated[float, Ge(-20), Le(20)]  # log-odds per standard deviation
Correlation = Annotated[float, Ge(-1), Le(1)]
Seconds = Annotated[float, Ge(0), Le(1e6)]
PositiveShare = Annotated[float, Gt(0), Le(1)]
Count = Annotated[int, Ge(1)]

_RULES: dict[type, tuple[str, Callable[[Any, Any], bool]]] = {
    Ge: ("ge", lambda x, limit: x >= limit),
    Gt: ("gt", lambda x, limit: x > limit),
    Le: ("le", lambda x, limit: x <= limit),
    Lt: ("lt", lambda x, limit: x < limit),
}
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def check(instance: Any) -> None:
    """Raise ValueError if a field of a dataclass lies outside the bounds of its annotation."""
    hints = get_type_hints(type(instance), include_extras=True)
    for field in fields(instance):
        value = getattr(instance, field.name)
        for bound in _bounds(hints[field.name]):
            if type(bound) not in _RULES or value is None:
                continue
            attribute, holds = _RULES[type(bound)]
            limit = getattr(bound, attribute)
            if not holds(value, limit):
                raise ValueError(f"{field.name} must be {_SIGNS[attribute]} {limit}, got {value!r}")


def _bounds(hint: Any) -> list[Any]:
    """What an annotation says of its values; that of `Rate | None` is said of the rate."""
    either = [hint, *get_args(hint)] if isinstance(hint, UnionType) or get_origin(hint) is Union else [hint]
    return [bound for one in either for bound in getattr(one, "__metadata__", ())]
