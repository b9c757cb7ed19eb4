"""The widest spreads that a scenario may have still make whole numbers: none wraps around into the past or below 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sim.actions import Stay
from sim.catalogue import CatalogueSpec, draw_catalogue
from sim.engine import opening
from sim.season import Season
from tests.worlds import WARMUP, ecommerce, serve_once, small_world

FAR = 43_200  # the second at which `serve_once` serves
WIDE: dict[str, Mapping[str, Any]] = {
    "people": {"people": {"habit_sd": 10.0}},
    "gaps": {"satisfaction": {"gap_log_sd": 10.0}},
    "people all day long": {"people": {"habit_sd": 10.0}, "season": Season()},
    "gaps all day long": {"satisfaction": {"gap_log_sd": 10.0}, "season": Season()},
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wide", WIDE.values(), ids=WIDE)
def test_who_stays_away_for_ages_does_not_come_back_at_once(wide: Mapping[str, Any]) -> None:
    """A gap of more than 2^63 seconds wrapped around: without a season the next visit lay 292 billion years before
    the world began, with one it was the very second of this visit, for ever, and the clock stood still."""
    world = small_world(3000, **wide)
    assert (opening(world, 2).next_visit >= 0).all()
    served = serve_once(world, WARMUP)
    assert (served.next_visit > FAR).all()
    assert served.next_visit.max() > 10**11  # and there are such people


@pytest.mark.filterwarnings("error")
def test_longest_stays_are_no_negative_times() -> None:
    """A stay of more than 2^63 milliseconds was one of less than none."""
    world = small_world(3000, funnel={"stay": Stay(median_seconds=1e6, log_sd=10.0)})
    stays = serve_once(world).stay_ms
    assert len(stays) > 500
    assert stays.min() >= 0
    assert stays.max() == 10**12


@pytest.mark.parametrize(("median", "log_sd"), [(1e-4, 0.0), (1e6, 10.0)])
def test_items_that_have_a_length_have_some_of_it(median: float, log_sd: float) -> None:
    """Rounded to 0 milliseconds, an item was watched 0 / 0 times; beyond 2^63, it had a negative length."""
    length = draw_catalogue(CatalogueSpec(items=2000, length_median_seconds=median, length_log_sd=log_sd), 1).length
    assert length.min() >= 1
    assert length.max() <= 10**12


def test_items_without_a_length_have_none() -> None:
    assert not np.any(draw_catalogue(ecommerce().catalogue, 1).length)
