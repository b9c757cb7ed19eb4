"""Estimators against what the simulator knows: the order of their errors, and what the tool says of thin logs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from experiments.offpolicy.evaluator import Evaluator
from sim.attention import Cascade, DynamicBayesian, PositionBased
from tests.experiments.offpolicy.rehearsal import BASE, FAR, METRICS, Errors, Truth, judged, orders, shop
from tests.experiments.offpolicy.study import logs_of


@cache
def of_glances() -> dict[str, Errors]:
    """Two logs of some 5,000 requests."""
    world = shop(2000)
    return judged(world, logs_of(world, 0.5, 2, days=10), ["dr", "dm", "pbm", "ips", "slate_ips"])


def test_errors_stand_in_the_known_order() -> None:
    """Slates far above items at ranks, those above positions, and the doubly robust form no worse than these."""
    found = of_glances()
    for metric in METRICS:
        rmse = {name: errors.rmse[metric] for name, errors in found.items()}
        assert rmse["slate_ips"] > 2 * rmse["ips"]
        assert rmse["ips"] > 1.5 * rmse["pbm"]
        assert rmse["pbm"] > 0.9 * rmse["dr"]


def test_the_default_is_near_the_truth_and_slates_are_refused() -> None:
    found = of_glances()
    assert found["dr"].rmse["ctr"] < 2.5  # .8 of 17,000 requests, so about 1.5 of 5,000
    assert found["dr"].refused == 0
    assert found["slate_ips"].refused == 1
    assert found["dr"].regret <= found["slate_ips"].regret + 1


def test_thin_exploration_cannot_tell_of_other_items_instead_of_picking() -> None:
    world = shop(2000)
    (log,) = logs_of(world, 0.05, 1, days=10)
    base, *far = orders(world, log, FAR)
    evaluator = Evaluator(log, METRICS)
    of_base = evaluator.value(base)
    assert of_base.refused is None
    said = [evaluator.compare(evaluator.value(order), of_base).refused or "" for order in far]
    assert all("cannot tell" in line for line in said)


@pytest.mark.parametrize(
    ("attention", "fires"),
    [
        (PositionBased((0.68, 0.61, 0.48, 0.34, 0.28)), False),
        (Cascade(5, 0.05, 1.0), True),
        (DynamicBayesian(5, 0.9), True),
    ],
)
def test_the_click_model_of_a_shop_is_told(attention: PositionBased | Cascade | DynamicBayesian, fires: bool) -> None:
    (log,) = logs_of(shop(2000, attention), 0.5, 1, days=10)
    assert Evaluator(log, METRICS).click_model.fires == fires


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.5, 0.25])
def test_intervals_of_the_default_cover(temperature: float) -> None:
    """10 logs x 11 settings. Lifts of one log go together, hence as if of 20: .95 less 3 standard errors, and never
    below .8."""
    world = shop(5000)
    found = judged(world, logs_of(world, temperature, 10), ["dr", "pbm", "ips", "slate_ips"])
    for metric in METRICS:
        assert found["dr"].coverage[metric] >= 0.8
        assert found["dr"].rmse[metric] < 1.05 * found["pbm"].rmse[metric]
        assert found["ips"].rmse[metric] > 2 * found["dr"].rmse[metric]
    assert found["dr"].breaks <= found["slate_ips"].breaks
    assert found["dr"].regret < 2


@pytest.mark.slow
def test_readers_are_followed_where_a_click_ends_the_page() -> None:
    world = shop(5000, Cascade(5, 0.05, 1.0))
    found = judged(world, logs_of(world, 0.5, 5), ["dr", "pbm", "reading_dr"])
    assert found["reading_dr"].rmse["ctr"] < 0.7 * min(found[name].rmse["ctr"] for name in ("dr", "pbm"))


def test_truth_is_what_the_log_gives_on_average() -> None:
    """The base, shown greedily, against the weighted clicks of the log: a mean over requests within 5 errors."""
    world = shop(2000)
    (log,) = logs_of(world, 0.5, 1, days=10)
    (base,) = orders(world, log, (BASE,))
    pbm = Evaluator(log, {"ctr": METRICS["ctr"]}, "pbm").value(base)
    truth = Truth(world, log).of(base)["ctr"]
    clicks = pbm.columns["click"]
    assert abs(clicks.sum() - truth) < 5 * np.sqrt(len(clicks)) * clicks.std()
