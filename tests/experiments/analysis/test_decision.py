from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom

from experiments.analysis.decision import DO_NOT_SHIP, EXTEND, SHIP, Decision, decide
from experiments.analysis.lifts import Lift, lift

SURE, VAGUE = 0.001, 0.2


def one(arm: str, metric: str, relative: float, se: float) -> Lift:
    return lift(arm, metric, 1 + relative, se**2 / 2, 1.0, se**2 / 2, 0.05)


def decided(*found: Lift, srm: float = 0.5) -> Decision:
    return decide(found, ["gmv", "ctr"], {"visits": -0.01}, srm, 0.05)


def arm(name: str, gmv: tuple[float, float], ctr: tuple[float, float], visits: tuple[float, float]) -> list[Lift]:
    return [one(name, "gmv", *gmv), one(name, "ctr", *ctr), one(name, "visits", *visits)]


def test_a_sure_gain_within_the_guardrails_ships() -> None:
    decision = decided(*arm("b", (0.1, SURE), (0.0, SURE), (0.0, SURE)))
    assert (decision.verdict, decision.arm) == (SHIP, "b")
    assert "gmv +10.0 %" in decision.sentence


def test_of_two_the_larger_gain_on_the_first_goal_ships() -> None:
    found = arm("b", (0.1, SURE), (0.3, SURE), (0.0, SURE)) + arm("c", (0.2, SURE), (0.1, SURE), (0.0, SURE))
    assert decided(*found).arm == "c"


def test_a_gain_paid_with_another_goal_does_not_ship() -> None:
    decision = decided(*arm("b", (0.1, SURE), (-0.05, SURE), (0.0, SURE)))
    assert decision.verdict == DO_NOT_SHIP
    assert "pays with ctr -5.0 %" in decision.sentence


def test_a_broken_guardrail_does_not_ship() -> None:
    decision = decided(*arm("b", (0.1, SURE), (0.0, SURE), (-0.05, SURE)))
    assert decision.verdict == DO_NOT_SHIP
    assert "breaks the guardrail visits" in decision.sentence


def test_an_unclear_guardrail_or_no_sure_gain_extends() -> None:
    assert decided(*arm("b", (0.1, SURE), (0.0, SURE), (0.0, VAGUE))).verdict == EXTEND
    assert decided(*arm("b", (0.1, VAGUE), (0.0, VAGUE), (0.0, SURE))).verdict == EXTEND


def test_a_sample_ratio_mismatch_blocks_the_best_result() -> None:
    decision = decided(*arm("b", (0.1, SURE), (0.1, SURE), (0.0, SURE)), srm=1e-5)
    assert decision.verdict == DO_NOT_SHIP
    assert "shares" in decision.sentence


def test_nothing_observed_never_ships_and_prints_no_nan() -> None:
    nothing = [lift("b", metric, 0.0, 0.0, 0.0, 0.0, 0.05) for metric in ("gmv", "ctr", "visits")]
    decision = decided(*nothing)
    assert decision.verdict == EXTEND
    assert "nan" not in json.dumps(decision.to_dict()).lower()
    json.loads(json.dumps(decision.to_dict(), allow_nan=False))


@pytest.mark.parametrize("guardrail", [-0.01, 0.0])
def test_a_useless_arm_ships_no_more_often_than_alpha(guardrail: float) -> None:
    """Both goals null; the guardrail exactly at its margin, or harmless."""
    rng, n, shipped = np.random.default_rng(0), 4000, 0
    for _ in range(n):
        draws = rng.normal([0.0, 0.0, guardrail], 0.02)
        found = [one("b", metric, x, 0.02) for metric, x in zip(("gmv", "ctr", "visits"), draws, strict=True)]
        shipped += decided(*found).verdict == SHIP
    assert shipped / n <= binom.ppf(0.9995, n, 0.05) / n


def test_a_sure_gain_on_the_first_goal_goes_before_a_larger_unsure_one() -> None:
    sure = arm("b", (0.1, SURE), (0.0, SURE), (0.0, SURE))
    lucky = arm("c", (0.15, VAGUE), (0.3, SURE), (0.0, SURE))
    assert decided(*sure, *lucky).arm == "b"


def test_a_difference_without_a_bounded_lift_decides_nothing() -> None:
    """The control's mean cannot be told from 0: the difference is sure, its size is not."""
    unbounded = lift("b", "gmv", 10.0, 0.01, 0.1, 0.01, 0.05)
    assert unbounded.p_value < 0.05
    assert not unbounded.bounded
    decision = decided(unbounded, one("b", "ctr", 0.0, SURE), one("b", "visits", 0.0, SURE))
    assert decision.verdict == EXTEND


def test_a_loss_without_a_gain_is_said_as_a_loss() -> None:
    assert "loses ctr -5.0 %" in decided(*arm("b", (0.0, VAGUE), (-0.05, SURE), (0.0, SURE))).sentence


def with_hate(hate: tuple[float, float], visits: tuple[float, float] = (0.0, SURE)) -> Decision:
    found = [one("b", "gmv", 0.1, SURE), one("b", "visits", *visits), one("b", "hate_rate", *hate)]
    return decide(found, ["gmv"], {"visits": -0.01, "hate_rate": 0.05}, 0.5, 0.05)


def test_a_rise_within_its_margin_ships_and_a_fall_is_welcome() -> None:
    assert with_hate((0.04, SURE)).verdict == SHIP
    assert with_hate((-0.3, SURE)).verdict == SHIP


def test_a_rise_beyond_its_margin_does_not_ship() -> None:
    decision = with_hate((0.08, SURE))
    assert decision.verdict == DO_NOT_SHIP
    assert "breaks the guardrail hate_rate (+8.0 %)" in decision.sentence


def test_an_unclear_rise_extends_and_is_said_as_a_rise() -> None:
    decision = with_hate((0.04, 0.0133))
    assert decision.verdict == EXTEND
    bound = decision.arms[0].guardrails[1].bound
    assert bound == pytest.approx(0.04 + 1.645 * 0.0133, abs=1e-3)
    said = f"cannot yet rule out a rise of hate_rate (up to {100 * bound:+.2f} %, margin +5.00 %)"
    assert decision.sentence.endswith(f"{said}.")


def test_unclear_falls_and_rises_are_said_apart() -> None:
    reason = with_hate((0.04, 0.0133), (0.0, 0.01)).arms[0].reason
    assert "rule out a loss on visits (down to -1." in reason
    assert ", margin -1.00 %) and a rise of hate_rate (up to +6." in reason


def test_a_rise_that_cannot_be_bounded_is_said_so() -> None:
    vague = lift("b", "hate_rate", 1.0, 1.0, 0.1, 1.0, 0.05)
    found = [one("b", "gmv", 0.1, SURE), vague]
    decision = decide(found, ["gmv"], {"hate_rate": 0.05}, 0.5, 0.05)
    assert "a rise of hate_rate (cannot be bounded)" in decision.sentence
    assert decision.to_dict()["arms"][0]["guardrails"][0]["bound"] is None


@pytest.mark.parametrize(("srm", "blocked"), [(1e-6, ""), (0.5, "10 % of users are in two arms")])
def test_a_test_that_cannot_be_trusted_gives_no_arm_a_verdict_of_its_own(srm: float, blocked: str) -> None:
    """An arm that said SHIP stood above the line that said DO NOT SHIP."""
    found = arm("b", (0.1, SURE), (0.0, SURE), (0.0, SURE))
    decision = decide(found, ["gmv", "ctr"], {"visits": -0.01}, srm, 0.05, blocked=blocked)
    assert (decision.verdict, decision.arm) == (DO_NOT_SHIP, None)
    assert [(v.verdict, v.gains, v.losses) for v in decision.arms] == [(DO_NOT_SHIP, (), ())]
    assert "no verdict" in decision.arms[0].reason
