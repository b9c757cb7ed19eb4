"""Bounds: one rule in the type, kept on the way from Python as on the way from YAML."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from sim.actions import Action, FunnelSpec, Stay
from sim.bounds import Correlation, Count, NonNegative, Positive, Rate, Share, check
from sim.catalogue import CatalogueSpec
from sim.people import PeopleSpec
from sim.scenario import BrowseSpec


@dataclass(frozen=True)
class Bounded:
    share: Share = 0.5
    rate: Rate = 0.5
    positive: Positive = 1.0
    non_negative: NonNegative = 0.0
    correlation: Correlation = 0.0
    count: Count = 1
    maybe: Share | None = None
    free: float = -7.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("share", 0),
        ("share", 1),
        ("rate", 1e-9),
        ("non_negative", 0),
        ("correlation", -1),
        ("correlation", 1),
        ("count", 1),
        ("maybe", 1),
        ("maybe", None),
    ],
)
def test_limits_that_belong_to_a_bound_are_accepted(field: str, value: float | None) -> None:
    given: dict[str, Any] = {field: value}
    check(dataclasses.replace(Bounded(), **given))


@pytest.mark.parametrize(
    ("field", "value", "must"),
    [
        ("share", -0.1, ">= 0"),
        ("share", 1.1, "<= 1"),
        ("rate", 0, "> 0"),
        ("rate", 1, "< 1"),
        ("positive", 0, "> 0"),
        ("non_negative", -1e-9, ">= 0"),
        ("correlation", -1.001, ">= -1"),
        ("correlation", 1.001, "<= 1"),
        ("count", 0, ">= 1"),
        ("maybe", -0.1, ">= 0"),
        ("maybe", 1.5, "<= 1"),
        ("share", float("nan"), ">= 0"),
    ],
)
def test_value_out_of_bounds_is_refused_with_field_rule_and_value(field: str, value: float, must: str) -> None:
    given: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=rf"^{field} must be {must}, got {value!r}$"):
        check(dataclasses.replace(Bounded(), **given))


@pytest.mark.parametrize(
    ("spec", "field", "value"),
    [
        (CatalogueSpec, "items", 0),
        (CatalogueSpec, "appeal_quality_correlation", 1.5),
        (CatalogueSpec, "price_median", 0.0),
        (PeopleSpec, "segment_accuracy", 1.5),
        (PeopleSpec, "habit_days", 0.0),
        (BrowseSpec, "hidden_intent", -1.0),
    ],
)
def test_python_and_yaml_are_held_to_one_rule(spec: type[Any], field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        spec(**{field: value})
    with pytest.raises(ValidationError, match=field):
        TypeAdapter(spec).validate_json(json.dumps({field: value}), strict=True)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"median_seconds": -3.0, "log_sd": 0.7}, "median_seconds must be > 0, got -3.0"),
        ({"median_seconds": 30.0, "log_sd": -1.0}, "log_sd must be >= 0, got -1.0"),
        ({"median_seconds": 30.0, "weibull_shape": 50.0}, "weibull_shape must be <= 20, got 50.0"),
    ],
)
def test_bounds_of_what_may_be_absent_hold_where_it_is_given(fields: dict[str, Any], says: str) -> None:
    """`Moderate | None` was once unbounded from Python: a stay of -3 seconds failed as a NaN, far from its cause."""
    with pytest.raises(ValueError, match=says):
        Stay(**fields)
    with pytest.raises(ValueError, match="attribution_days must be > 0, got -1"):
        FunnelSpec({"click": Action("shown", 0.1)}, Stay(median_seconds=30, log_sd=1), attribution_days=-1)


def test_bounds_appear_in_the_published_schema() -> None:
    found = TypeAdapter(CatalogueSpec).json_schema()["properties"]
    assert found["category_spread"]["minimum"] == 0
    assert found["category_spread"]["maximum"] == 1
    assert found["price_median"]["exclusiveMinimum"] == 0


def test_defaults_of_every_spec_are_within_bounds() -> None:
    for spec in (CatalogueSpec(), PeopleSpec(), BrowseSpec()):
        check(spec)
        assert all(np.isfinite(v) for v in dataclasses.asdict(spec).values() if isinstance(v, int | float))
