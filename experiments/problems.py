"""From pydantic's errors to lines that say where, what must hold, what was found and the cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from experiments.document import dotted
from experiments.metrics import nearest
from experiments.policy_spec import Place

_MUST = {
    "missing": "must be given",
    "missing_argument": "must be given",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "dataclass_type": "must be a mapping",
    "dataclass_exact_type": "must be a mapping",
}
_COMPARISONS = {
    "greater_than": ("gt", ">"),
    "greater_than_equal": ("ge", ">="),
    "less_than": ("lt", "<"),
    "less_than_equal": ("le", "<="),
}
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a spec, and the place of the value."""

    place: Place
    message: str

    def __str__(self) -> str:
        return f"{dotted(self.place)}: {self.message}" if self.place else self.message


def translate(error: Mapping[str, Any], above: Place, schema: Mapping[str, Any] | None) -> Problem:
    """One pydantic error as a problem.

    Args:
        above: where the validated value stands in the document.
        schema: JSON schema of that value, for the names and defaults it knows.
    """
    below = tuple(step for step in error["loc"] if step != "[key]")
    place, kind = above + below, error["type"]
    if kind in _UNKNOWN:
        known = list(_at(schema, below[:-1]).get("properties", {}))
        return Problem(
            place, f"unknown key {str(place[-1])!r}; {nearest(str(place[-1]), known)}known: {', '.join(known)}"
        )
    if kind == "value_error":
        text = str(error["msg"]).removeprefix("Value error, ")
        return Problem(place, text if "got " in text else f"{text}, got {_short(error['input'])}")
    must = _must(error)
    if kind in ("missing", "missing_argument"):
        return Problem(place, f"{must}, found nothing; add {place[-1]}{_described(_at(schema, below))}")
    return Problem(place, f"{must}, got {_short(error['input'])}{_cure(_at(schema, below))}")


def _must(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if kind in _COMPARISONS:
        name, sign = _COMPARISONS[kind]
        return f"must be {sign} {context[name]:g}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind == "string_pattern_mismatch":
        return "must be letters, digits and _ . - (at most 64)"
    return _MUST.get(kind, str(error["msg"]).replace("Input should be", "must be"))


def _cure(field: Mapping[str, Any]) -> str:
    if "default" in field and not isinstance(field["default"], dict):
        return f"; the default is {field['default']}"
    if bounds := _described(field):
        return f"; give{bounds}"
    return "; change it"


def _described(field: Mapping[str, Any]) -> str:
    kinds = {
        "number": "a number",
        "integer": "a whole number",
        "string": "text",
        "array": "a list",
        "object": "a mapping",
        "boolean": "true or false",
    }
    text = kinds.get(str(field.get("type")), "")
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    if text and low is not None and high is not None:
        text += f" between {low} and {high}"
    elif text and low is not None:
        text += f" from {low}" if "minimum" in field else f" above {low}"
    return f" {text}" if text and "list" not in text and "mapping" not in text else (f", {text}" if text else "")


def _at(schema: Mapping[str, Any] | None, place: Place) -> Mapping[str, Any]:
    """The part of a JSON schema that describes a place."""
    if schema is None:
        return {}
    here: Mapping[str, Any] = _follow(schema, schema)
    for step in place:
        below = here.get("properties", {}).get(step) or here.get("items") or here.get("additionalProperties")
        if not isinstance(below, Mapping):
            return {}
        here = _follow(schema, below)
    return here


def _follow(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    if "anyOf" in node:
        node = next((option for option in node["anyOf"] if option.get("type") != "null"), node)
    while "$ref" in node:
        target = schema["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
