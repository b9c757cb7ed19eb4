"""From pydantic's errors to lines that say where, what must hold, what was found and the cure."""

from __future__ import annotations

import re
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


def translate(error: Mapping[str, Any], above: Place, schema: Mapping[str, Any] | None) -> list[Problem]:
    """One pydantic error as one problem, or as the several that a section found together.

    Args:
        above: where the validated value stands in the document.
        schema: JSON schema of that value, for the names and defaults it knows.
    """
    location = _without_tags(tuple(error["loc"]))
    below = location[:-1] if len(location) > 1 and location[-1] == "[key]" else location
    several = getattr((error.get("ctx") or {}).get("error"), "problems", None)
    if several:
        return [Problem(above + below + where, text) for where, text in several]
    return [_problem(error, above, below, schema)]


_KIND = re.compile(r"(literal|list)\[.+\]$")
# What has a `type` that decides which other keys there are.
_TAGGED: Mapping[str, tuple[str, ...]] = {
    "attention": ("position_based", "trust_bias", "cascade", "dynamic_bayesian"),
    "fusion": (
        *("weighted_sum", "click_gated", "power_product", "shifted_power_product", "exp_sum", "rank_reciprocal"),
    ),
    "balance": ("fixed", "uncertainty", "mgda", "mgda_ub", "tchebycheff"),
}


def _without_tags(location: Place) -> Place:
    """The place in the document: pydantic puts the chosen `type` of an attention model, a fusion or a balance into
    the path, and of a value of several kinds the kind that it tried."""
    location = tuple(step for step in location if not (isinstance(step, str) and _KIND.match(step)))
    for at, step in enumerate(location[:-1]):
        if isinstance(step, str) and location[at + 1] in _TAGGED.get(step, ()):
            return location[: at + 1] + location[at + 2 :]
    return location


def _problem(error: Mapping[str, Any], above: Place, below: Place, schema: Mapping[str, Any] | None) -> Problem:
    place, kind = above + below, error["type"]
    if kind in _UNKNOWN:
        known = list(_at(schema, below[:-1]).get("properties", {}))
        there = f"{nearest(str(place[-1]), known)}known: {', '.join(known)}" if known else "remove it"
        return Problem(place, f"unknown key {str(place[-1])!r}; {there}")
    if kind == "value_error":
        text = str(error["msg"]).removeprefix("Value error, ")
        whole = "got " in text or isinstance(error["input"], dict | list)
        return Problem(place, text if whole else f"{text}, got {_short(error['input'])}")
    must = _must(error)
    if kind == "union_tag_invalid":
        tag, choices = (str((error.get("ctx") or {})[name]) for name in ("tag", "expected_tags"))
        hint = nearest(tag, choices.replace("'", "").split(", "))
        return Problem((*place, "type"), f"{must}, got {tag!r}{f'; {hint}'.rstrip() if hint else ''}")
    if kind == "union_tag_not_found":
        return Problem(place, f"{must}, got {_short(error['input'])}; add its type")
    if kind in ("missing", "missing_argument"):
        described = _described(_at(schema, below))
        wanted = f"a value at position {place[-1]}" if isinstance(place[-1], int) else str(place[-1])
        return Problem(place, f"{must}, found nothing; add {wanted}{f', {described}' if described else ''}")
    return Problem(place, f"{must}, got {_short(error['input'])}{_cure(_at(schema, below))}")


def _must(error: Mapping[str, Any]) -> str:
    kind, context = error["type"], error.get("ctx") or {}
    if kind in _COMPARISONS:
        name, sign = _COMPARISONS[kind]
        return f"must be {sign} {context[name]:g}"
    if kind == "literal_error":
        return f"must be {context['expected']}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        place = [step for step in error.get("loc", ()) if isinstance(step, str) and step in _TAGGED]
        known = context.get("expected_tags") or ", ".join(_TAGGED[place[-1]] if place else ())
        return f"must have a type out of {str(known).replace(chr(39), '')}"
    if kind == "too_short":
        return f"must hold at least {context['min_length']}"
    if kind == "string_pattern_mismatch":
        return "must be letters, digits and _ . - (at most 64)"
    return _MUST.get(kind, str(error["msg"]).replace("Input should be", "must be"))


def _cure(field: Mapping[str, Any]) -> str:
    if "default" in field and not isinstance(field["default"], dict):
        return f"; the default is {field['default']}"
    described = _described(field)
    return f"; give {described}" if described else "; change it"


_KINDS = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "boolean": "true or false",
}


def _described(field: Mapping[str, Any]) -> str:
    """What a field takes, such as "a number between 0 and 1"; nothing where its choices are told already."""
    if "enum" in field or "const" in field:
        return ""
    text = _KINDS.get(str(field.get("type")), "")
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum", field.get("exclusiveMaximum"))
    if text and low is not None and high is not None:
        return f"{text} between {low:g} and {high:g}"
    if text and low is not None:
        return f"{text} {'from' if 'minimum' in field else 'above'} {low:g}"
    return text


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
