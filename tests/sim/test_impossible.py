"""Worlds that cannot be are refused before anybody lives in them: where, what must hold, what was found, the cure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sim.actions import Action, Delay, FunnelSpec, Stay
from sim.catalogue import CatalogueSpec
from sim.engine import opening
from sim.market import MarketSpec, StockSpec
from sim.scenario import MetricSpec, Scenario, Target
from sim.world import build
from tests.worlds import ecommerce, recruiting, scenario, small_world, with_action

SOON = Delay(0.5, 1, 1)
CLICK = Action("shown", 0.05)
STAY = Stay(median_seconds=30, log_sd=0.7)


def funnel(stay: Stay = STAY, **actions: Action) -> FunnelSpec:
    return FunnelSpec({"click": CLICK, **actions}, stay)


def shop(spec: FunnelSpec, market: MarketSpec | None = None) -> Scenario:
    """The shop with another funnel, people without styles, and one metric that any funnel has."""
    people = replace(ecommerce().people, styles={"plain": replace(ecommerce().people.styles["silent"], shifts={})})
    metrics = {"ctr": ecommerce().metrics["ctr"]}
    return replace(ecommerce(), funnel=spec, people=people, metrics=metrics, market=market or MarketSpec())


ACTIONS: dict[str, tuple[Callable[[], object], str]] = {
    "rate over 1": (lambda: Action("click", 1.2), "rate must be < 1, got 1.2"),
    "rate of 1": (lambda: Action("click", 1.0), "rate must be < 1, got 1.0"),
    "rate of 0": (lambda: Action("click", 0.0), r"rate must be in \(0, 1\), got 0.0|rate must be > 0, got 0.0"),
    "neither rate nor way": (
        lambda: Action("click"),
        "rate must be given, or way, and not both, got rate None and way None",
    ),
    "rate and way": (
        lambda: Action("click", 0.5, way="chat"),
        "rate must be given, or way, and not both, got rate 0.5",
    ),
    "negative delay": (lambda: Delay(0.5, -3, 1), "short_mean_hours must be > 0, got -3"),
    "endless delay": (lambda: Delay(0.5, 1, float("inf")), "long_mean_days must be <= 1000000.0, got inf"),
    "units beyond one": (
        lambda: Action("click", 0.1, delay=SOON, units=(0.9, 0.9)),
        "units must be probabilities that sum to 1",
    ),
    "money at once": (lambda: Action("click", 0.1, units=(1.0,)), "units need a delay.*give delay or drop units"),
    "no median": (
        lambda: Stay(log_sd=1),
        "exactly one of median_seconds and median_share must be given; try median_seconds: 30",
    ),
    "two medians": (
        lambda: Stay(median_seconds=3, median_share=0.5, log_sd=1),
        "exactly one of median_seconds and median_share",
    ),
    "no law": (
        lambda: Stay(median_seconds=3),
        "exactly one of log_sd and weibull_shape must be given; try log_sd: 0.7",
    ),
    "two laws": (lambda: Stay(median_seconds=3, log_sd=1, weibull_shape=1), "exactly one of log_sd and weibull_shape"),
}

FUNNELS: dict[str, tuple[Callable[[], object], str]] = {
    "three delays in a chain": (
        lambda: funnel(
            a=Action("click", 0.1, delay=SOON), b=Action("a", 0.1, delay=SOON), c=Action("b", 0.1, delay=SOON)
        ),
        "actions.c must have at most two delays on its way from the click; drop its delay",
    ),
    "refund of what earns nothing": (
        lambda: funnel(buy=Action("click", 0.1), back=Action("buy", 0.1, delay=SOON, refunds=True)),
        "actions.back.refunds: its parent must earn money, got 'buy' without units",
    ),
    "decision that takes no time": (
        lambda: funnel(answer=Action("click", 0.1, decided_by="recruiters")),
        "actions.answer is decided by recruiters, which takes time; give it a delay",
    ),
    "decision over what comes later": (
        lambda: funnel(
            send=Action("click", 0.1, delay=SOON), answer=Action("send", 0.1, delay=SOON, decided_by="recruiters")
        ),
        "actions.answer is decided by recruiters: its parent must happen at once",
    ),
    "two decisions": (
        lambda: funnel(
            apply=Action("click", 0.1),
            answer=Action("apply", 0.1, delay=SOON, decided_by="recruiters"),
            other=Action("click", 0.1, delay=SOON, decided_by="recruiters"),
        ),
        "actions answer, other are decided by recruiters: at most one may be",
    ),
    "click that waits": (
        lambda: FunnelSpec({"click": Action("shown", 0.1, delay=SOON)}, STAY),
        "actions.click must happen at once, by the person; drop delay, decided_by and way",
    ),
    "name of a column": (
        lambda: funnel(visits=Action("click", 0.1)),
        "actions must not have the names of columns, got visits; rename them",
    ),
    "parent below": (
        lambda: funnel(buy=Action("cart", 0.1)),
        "actions.buy.parent must be an action above it, got 'cart'",
    ),
}

WORLDS: dict[str, tuple[Callable[[], object], str]] = {
    "no items": (lambda: CatalogueSpec(items=0), "items must be >= 1, got 0"),
    "more slots than candidates": (
        lambda: scenario(browse={"candidates": 49}),
        "browse.candidates must be at least pages x slots = 50, got 49; raise candidates or lower browse.pages",
    ),
    "fewer items than candidates": (
        lambda: small_world(3, catalogue={"items": 99}),
        "at least browse.candidates = 100 items on day 0.* has 99; raise catalogue.items or lower world.markets",
    ),
    "decided by nobody": (
        lambda: shop(funnel(answer=Action("click", 0.1, delay=SOON, decided_by="recruiters"))),
        "funnel.actions.answer is decided by recruiters; give market.recruiters",
    ),
    "unknown way": (
        lambda: shop(funnel(call=Action("click", way="by call"))),
        "funnel.actions.call.way must be one of market.recruiters.ways, got 'by call'; there are none",
    ),
    "way of no recruiter": (
        lambda: recruiting(ways={"by chat": 1.0, "by call": 1.0}),
        "funnel.actions.invitation.way must be one of .*, got 'by letter'; there are by call, by chat",
    ),
    "unknown column of a metric": (
        lambda: replace(ecommerce(), metrics={"ctr": MetricSpec("clicks", "impressions", "clicks per impression")}),
        "metrics.ctr must be a ratio of columns out of visits, impressions, .*, got clicks",
    ),
    "column that this scenario has not": (
        lambda: replace(recruiting(), metrics={"gmv": MetricSpec("value_cents", "users", "money")}),
        "metrics.gmv must be a ratio of columns out of .*, got value_cents",
    ),
    "no metrics": (lambda: replace(ecommerce(), metrics={}), "metrics must hold at least one, got none; try"),
    "share of no length": (
        lambda: shop(funnel(Stay(median_share=0.5, log_sd=1))),
        "funnel.stay.median_share is of an item's length; give catalogue.length_median_seconds",
    ),
    "style of an unknown action": (
        lambda: replace(shop(funnel(cart=Action("click", 0.1))), people=ecommerce().people),
        "people.styles.collector.shifts must name actions out of click, cart, got collect",
    ),
    "rate beyond what is examined": (
        lambda: small_world(3, funnel=with_action("click", rate=0.6)),
        "click: the rate 0.6 cannot be reached.*change the rate",
    ),
    "sharing with nothing to share": (
        lambda: opening(small_world(3, shares=MarketSpec()), 2, sharing=True),
        "scenario 'ecommerce' has nothing to share; give it market.stock or .recruiters",
    ),
    "shelves that are never refilled": (lambda: StockSpec(refill_days=0), "refill_days must be >= 1, got 0"),
    "shelves of nothing": (lambda: StockSpec(median_units=0), "median_units must be > 0, got 0"),
    "band upside down": (
        lambda: Target("a source", 2.0, 1.0),
        "low must be at most high, got 2.0 and 1.0; exchange them",
    ),
}
ALL = ACTIONS | FUNNELS | WORLDS


@pytest.mark.parametrize(("attempt", "says"), ALL.values(), ids=ALL)
def test_impossible_world_is_refused_with_its_cure(attempt: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        attempt()
    assert "\n" not in str(caught.value)


def test_nearly_impossible_worlds_are_built() -> None:
    """The borders themselves are inside: as many slots as candidates, two delays in a row, one item of each slot."""
    tight = recruiting(browse={"candidates": 5, "pages": 1})
    assert len(build(tight, 1, np.arange(3)).people) == 3
    two = funnel(a=Action("click", 0.1, delay=SOON), b=Action("a", 0.1, delay=SOON))
    assert shop(two).funnel.late == ("a", "b")
