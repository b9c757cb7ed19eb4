"""Judged by truth: what was learned from the log must show in the clicks that a ranking really earns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from policies.base import AbstractPolicy
from policies.table import policy_class
from sim.records import Floats, Requests
from tests.logs import Shop

TOP = 10
PERSONAL = ("goal", "sample_weight", "bpr", "lambdamart", "xendcg", "click_gated")


@pytest.fixture(scope="module")
def asked(shop: Shop) -> Requests:
    return shop.requests(2000, seed=7)


def earned(policy: AbstractPolicy, requests: Requests, truth: Floats) -> Floats:
    """Mean true click probability of the top ten, by request."""
    top = np.argsort(-policy.score(requests), axis=1, kind="stable")[:, :TOP]
    return np.take_along_axis(truth, top, axis=1).mean(axis=1)


def standard_errors(better: Floats, worse: Floats) -> float:
    """By how many standard errors the mean of `better` lies above `worse`, paired by request."""
    gain = better - worse
    return float(gain.mean() / (gain.std(ddof=1) / np.sqrt(len(gain))))


@pytest.mark.parametrize("name", [*PERSONAL, "pointwise", "popular", "production"])
def test_a_ranker_of_clicks_beats_chance(
    name: str, fitted: Mapping[str, AbstractPolicy], shop: Shop, asked: Requests
) -> None:
    truth = shop.attraction(asked)
    z = standard_errors(earned(fitted[name], asked, truth), earned(fitted["random"], asked, truth))
    print(f"{name}: {z:.1f} standard errors above random")
    assert z > 10


@pytest.mark.parametrize("name", PERSONAL)
def test_a_ranker_that_knows_the_user_beats_the_list_for_everyone(
    name: str, fitted: Mapping[str, AbstractPolicy], shop: Shop, asked: Requests
) -> None:
    truth = shop.attraction(asked)
    z = standard_errors(earned(fitted[name], asked, truth), earned(fitted["popular"], asked, truth))
    print(f"{name}: {z:.1f} standard errors above popular")
    assert z > 5


def test_a_stack_asked_for_clicks_ranks_like_a_ranker_of_clicks(
    shop: Shop, asked: Requests, fitted: Mapping[str, AbstractPolicy]
) -> None:
    """What buys are worth is noise on a log of 45; what clicks are worth is not."""
    stack = policy_class("stacking").from_spec({"target": {"click": 1}, "inputs": ["ctr"]}).fit(shop.log)
    truth = shop.attraction(asked)
    assert standard_errors(earned(stack, asked, truth), earned(fitted["popular"], asked, truth)) > 5


def test_esmm_asked_for_clicks_alone_ranks_like_a_ranker_of_clicks(
    fitted: Mapping[str, AbstractPolicy], shop: Shop, asked: Requests
) -> None:
    """The fit does not depend on the fusion, so the fitted towers serve another one."""
    fusion = {"type": "power_product", "exponents": {"ctr": 1}}
    clicks = policy_class("esmm").from_spec({"fusion": fusion}).restore(fitted["esmm"].learned())
    truth = shop.attraction(asked)
    assert standard_errors(earned(clicks, asked, truth), earned(fitted["popular"], asked, truth)) > 5
