"""Policies in YAML: from a mapping with a `type` to an object, and from problems to their places."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from experiments.metrics import nearest
from experiments.strangers import StrangerError, is_reference, named, stranger_class
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
    return _class_of(spec.pop("type")).from_spec(spec)


def spec_of(policy: AbstractPolicy) -> dict[str, Any]:
    """The mapping that `build_policy` builds this policy from."""
    return named(policy, policy.spec())


def _class_of(name: str) -> type[AbstractPolicy]:
    return stranger_class(name) if is_reference(name) else policy_class(name)


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
    if is_reference(name):
        return _stranger_problems(str(name), spec)
    if not isinstance(name, str) or name not in POLICIES:
        hint = nearest(str(name), POLICIES)
        return [
            (
                ("type",),
                _error(f"must be one of {', '.join(POLICIES)} or a FILE.py:CLASS; {hint}".rstrip("; "), name),
                None,
            )
        ]
    found = policy_class(name)
    try:
        TypeAdapter(found).validate_json(json.dumps(spec), strict=True)
    except ValidationError as problem:
        return [(error["loc"], dict(error), found) for error in problem.errors()]
    except TypeError:
        return [((), _error("must hold plain YAML values", mapping), None)]
    return []


def _stranger_problems(
    reference: str, spec: Mapping[str, Any]
) -> list[tuple[Place, dict[str, Any], type[AbstractPolicy] | None]]:
    """What is wrong with the keys of a policy from a file, or with what it says of itself."""
    try:
        found = stranger_class(reference)
    except StrangerError as problem:
        return [(("type",), _error(str(problem), reference), None)]
    try:
        policy = found.from_spec(spec)
        json.dumps([policy.spec(), policy.fit_spec(), sorted(policy.outcomes()), sorted(policy.needs())])
    except ValidationError as problem:
        return [(error["loc"], dict(error), found) for error in problem.errors()]
    except Exception as problem:
        said = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
        must = f"must say its spec, outcomes and needs before there is a log, got {said}; mend the class"
        return [(("type",), _error(must, reference), None)]
    return []


def _error(must: str, found: object) -> dict[str, Any]:
    return {"type": "value_error", "msg": must, "input": found, "ctx": {}}
