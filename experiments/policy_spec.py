"""Policies in YAML: from a mapping with a `type` to an object, and from problems to their places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from experiments.metrics import nearest
from policies.base import AbstractPolicy
from policies.table import POLICIES, policy_class


def _named(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


# `policy: production` is short for `policy: {type: production}`.
PolicyMapping = Annotated[dict[str, Any], BeforeValidator(_named)]
Place = tuple[str | int, ...]


def build_policy(mapping: Mapping[str, Any]) -> AbstractPolicy:
    """The policy that a valid mapping describes."""
    spec = dict(mapping)
    return policy_class(spec.pop("type")).from_spec(spec)


def policy_problems(mapping: object) -> list[tuple[Place, dict[str, Any], type[AbstractPolicy] | None]]:
    """What is wrong with a mapping: places below it, pydantic-like errors, and the class they concern."""
    if isinstance(mapping, str):
        mapping = {"type": mapping}
    if not isinstance(mapping, Mapping):
        return [((), _error("must be a policy such as {type: esmm}", mapping), None)]
    spec = dict(mapping)
    name = spec.pop("type", None)
    if name is None:
        return [((), _error(f"must have a type out of {', '.join(POLICIES)}", mapping), None)]
    if not isinstance(name, str) or name not in POLICIES:
        hint = nearest(str(name), POLICIES)
        return [(("type",), _error(f"must be one of {', '.join(POLICIES)}; {hint}".rstrip("; "), name), None)]
    found = policy_class(name)
    try:
        TypeAdapter(found).validate_json(json.dumps(spec), strict=True)
    except ValidationError as problem:
        return [(error["loc"], dict(error), found) for error in problem.errors()]
    except TypeError:
        return [((), _error("must hold plain YAML values", mapping), None)]
    return []


def _error(must: str, found: object) -> dict[str, Any]:
    return {"type": "value_error", "msg": must, "input": found, "ctx": {}}
