"""What cannot be told is said so: never a number out of nothing, never a verdict, and no harm to what can be told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.analysis.contrasts import joint_lifts
from experiments.analysis.decision import SHIP, Decision, decide
from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.simultaneous import max_t
from experiments.analysis.stats import SufficientStats

Floats = NDArray[np.float64]
COLUMNS = ("spoiled", "sound", "seen", "before")
SPOILED = Metric("spoiled", "spoiled", None, ("before", None))
RATIO, OVER = Metric("rate", "spoiled", "seen"), Metric("over", "seen", "spoiled")
SOUND = Metric("sound", "sound", None, ("before", None))
METRICS = (SPOILED, RATIO, OVER, SOUND)
Arms = dict[str, Floats]


def users(gain: float = 1.0) -> Arms:
    """Two arms of 500 users; the metrics of the second are higher by so many of their standard errors x 10."""
    rng = np.random.default_rng(0)
    return {arm: rng.gamma(4, 1, (500, 4)) + gain * (arm == "b") for arm in "ab"}


def judged(arms: Mapping[str, Floats], *, cuped: bool, small: bool = False) -> tuple[dict[str, Lift], Decision]:
    groups = {arm: SufficientStats.of(COLUMNS, values) for arm, values in arms.items()}
    estimate = joint_estimate(groups, METRICS, cuped=cuped)
    found = lifts(estimate, "a", 0.05, small_sample=small)
    names = [m.name for m in METRICS]
    family = max_t(joint_lifts(estimate, "a", found), 0.05)
    adjusted = {("b", name): float(p) for name, p in zip(names, family.p_adjusted[0], strict=True)}
    verdict = decide(found, ["spoiled"], {"rate": -0.05, "over": -0.05}, 1.0, 0.05, adjusted=adjusted)
    return {lift.metric: lift for lift in found}, verdict


def with_value(bad: float) -> Arms:
    """One user of the second arm has it."""
    arms = users()
    arms["b"][3, 0] = bad
    return arms


def without_conversions() -> Arms:
    """In the second arm, which would be a loss without any error."""
    arms = users()
    arms["b"][:, 0] = 0.0
    return arms


def constant() -> Arms:
    """The metric is the same for everybody, and higher in the second arm."""
    arms = users()
    for n, arm in enumerate("ab"):
        arms[arm][:, 0] = 1.0 + n
    return arms


SPOILT: Mapping[str, Arms] = {
    "a value is missing": with_value(np.nan),
    "a value is infinite": with_value(np.inf),
    "a value is minus infinity": with_value(-np.inf),
    "the square of a value is infinite": with_value(1e200),
    "no conversions": without_conversions(),
    "constant": constant(),
}


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("cuped", [False, True])
@pytest.mark.parametrize("what", SPOILT)
def test_what_cannot_be_told_decides_nothing_and_harms_nothing(what: str, cuped: bool, small: bool) -> None:
    found, verdict = judged(SPOILT[what], cuped=cuped, small=small)
    assert not found["spoiled"].known
    assert np.isnan(found["spoiled"].p_value)
    assert not found["spoiled"].bounded
    assert verdict.verdict != SHIP
    assert verdict.arms[0].gains == verdict.arms[0].losses == ()
    assert "nan" not in verdict.sentence
    whole, _ = judged(users(), cuped=cuped, small=small)
    assert found["sound"].lift == pytest.approx(whole["sound"].lift, rel=1e-12)
    assert found["sound"].p_value == pytest.approx(whole["sound"].p_value, rel=1e-9)


@pytest.mark.parametrize("arm", ["a", "b"])
@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("cuped", [False, True])
def test_an_arm_without_two_users_decides_nothing(arm: str, n: int, cuped: bool) -> None:
    arms = users()
    arms[arm] = arms[arm][:n]
    found, verdict = judged(arms, cuped=cuped)
    assert not any(lift.known for lift in found.values())
    assert all(np.isnan(lift.p_value) for lift in found.values())
    assert verdict.verdict != SHIP
    assert "nan" not in verdict.sentence


@pytest.mark.parametrize("n", [2, 3])
def test_a_handful_of_users_is_judged_by_students_t_and_errs_no_more_often(n: int) -> None:
    """Of normal users, whom Welch's t supposes; the normal distribution errs in 20 % with two users in each arm."""
    rng, k = np.random.default_rng(n), 2_000
    false = dict.fromkeys((True, False), 0)
    for _ in range(k):
        groups = {arm: SufficientStats.of(("x",), 10 + rng.normal(size=(n, 1))) for arm in "ab"}
        estimate = joint_estimate(groups, [Metric("x", "x")], cuped=False)
        for small in false:
            false[small] += lifts(estimate, "a", 0.05, small_sample=small)[0].p_value < 0.05
    assert false[True] / k < 0.0665  # 99.9 % band
    assert false[False] / k > 0.09  # and without it, the test would fail


def test_a_past_that_is_not_known_adjusts_nothing() -> None:
    arms = users()
    arms["a"][7, 3] = np.nan
    (plain, _), (adjusted, _) = judged(arms, cuped=False), judged(arms, cuped=True)
    assert adjusted["sound"].known
    assert adjusted["sound"].lift == plain["sound"].lift


def test_a_control_around_zero_has_a_difference_but_no_bounded_lift() -> None:
    arms = users(gain=0.0)
    arms["a"][:, 0] -= arms["a"][:, 0].mean() - 1e-3
    arms["b"][:, 0] += 5
    found, verdict = judged(arms, cuped=False)
    assert found["spoiled"].p_value < 1e-10
    assert not found["spoiled"].bounded
    assert verdict.verdict != SHIP


def test_the_whole_users_ship() -> None:
    """The tests above can fail: with nothing spoiled there is a verdict."""
    found, verdict = judged(users(), cuped=True)
    assert found["spoiled"].known
    assert "spoiled" in verdict.arms[0].gains
