"""What decisions are worth beside the truth, and a design in one sentence."""

from __future__ import annotations

import math

import pytest

from experiments.analysis.operating import Operating, Rate, rate
from experiments.many.decisions import Decisions, TrueLifts, decisions
from experiments.many.reading import Decided, Pair
from experiments.many.sentence import sentence, with_interval
from experiments.many.summary import Characteristics, OperatingRow

GOALS, MARGINS = ("gmv", "ctr"), {"visits": -0.02}


def true(**lifts: tuple[float, float, float]) -> TrueLifts:
    """Lifts of gmv, ctr and visits by arm, known to within 0.001."""
    names = (*GOALS, *MARGINS)
    lift = {arm: dict(zip(names, values, strict=True)) for arm, values in lifts.items()}
    return TrueLifts(lift, {arm: dict.fromkeys(names, 0.001) for arm in lifts})


def decided(verdict: str, arm: str | None, **arms: str) -> Decided:
    return Decided(verdict, arm, arms)


def judged(told: list[Decided], truth: list[TrueLifts]) -> Decisions:
    labels = [f"seed {n}" for n in range(len(told))]
    return decisions(labels, told, truth, control="today", goals=GOALS, margins=MARGINS)


def test_the_best_arm_shipped_costs_nothing_and_the_second_best_what_it_lacks() -> None:
    truth = true(good=(0.05, 0.0, 0.0), better=(0.08, 0.0, 0.0))
    found = judged([decided("SHIP", arm, good="SHIP", better="SHIP") for arm in ("better", "good")], [truth, truth])
    assert [run.regret for run in found.runs] == pytest.approx([0, 0.03])
    assert found.regret == pytest.approx(0.015)
    assert (found.best.happened, found.best.n) == (1, 2)
    assert found.shipped == {"good": 1, "better": 1}
    assert found.losers.happened == 0


def test_not_shipping_costs_what_the_best_arm_would_have_gained() -> None:
    truths = [true(good=(0.05, 0.0, 0.0)), true(good=(-0.05, 0.0, 0.0))]
    found = judged([decided("EXTEND", "good", good="EXTEND")] * 2, truths)
    assert [run.regret for run in found.runs] == pytest.approx([0.05, 0])
    assert [run.best for run in found.runs] == ["good", "today"]
    assert found.best.n == 0
    assert found.experiment["EXTEND"].share == 1
    assert not any(found.shipped.values())  # an arm whose test is extended is not shipped


@pytest.mark.parametrize("truth", [(0.2, -0.1, 0.0), (0.2, 0.0, -0.05)])
def test_an_arm_that_pays_with_a_goal_or_a_guardrail_is_no_candidate_and_shipping_it_is_a_loss(
    truth: tuple[float, float, float],
) -> None:
    told = true(bait=truth, good=(0.01, 0.0, 0.0))
    found = judged([decided("SHIP", "bait", bait="SHIP", good="EXTEND")], [told])
    assert found.losers.happened == 1
    assert found.runs[0].best == "good"
    assert found.runs[0].regret == 0
    assert found.best.happened == 0


def test_a_twin_of_the_control_is_as_good_as_it() -> None:
    found = judged([decided("SHIP", "twin", twin="SHIP")], [true(twin=(0.0, 0.0, 0.0))])
    assert (found.best.happened, found.losers.happened, found.regret) == (1, 0, 0)


def test_of_an_unknown_truth_no_regret_is_told() -> None:
    found = judged([decided("SHIP", "odd", odd="SHIP")], [true(odd=(math.nan, 0.0, 0.0))])
    assert math.isnan(found.regret)


def design(
    coverage: Rate, allowing: Rate, power: dict[str, Rate], told: Decisions, endless: int = 0
) -> Characteristics:
    """A design whose arms are seen as often as said; those without a rate are twins with 1 alarm in 20."""
    nothing, nan = rate(0, 0), math.nan
    rows = []
    for arm, seen in power.items():
        alarm = nothing if seen.n else rate(1, 20)
        found = Operating(20, 0, 0, 0, 0, 0, coverage, allowing, 0, alarm, alarm, seen, nothing, nan)
        rows.append(OperatingRow(Pair(arm, "gmv", "goal", "cuped"), found))
    twins = tuple(arm for arm, seen in power.items() if not seen.n)
    head = ("shop", "today", GOALS, 0.05, "seeds", "cuped", twins, 0.6)
    return Characteristics(*head, coverage, allowing, rate(endless, 20), tuple(rows), {}, told)


def ships(*truths: TrueLifts) -> Decisions:
    return judged([decided("SHIP", "new", new="SHIP")] * len(truths), list(truths))


GAIN, LOSS = true(new=(0.05, 0.0, 0.0)), true(new=(-0.05, 0.0, 0.0))


def test_a_design_is_told_in_one_sentence() -> None:
    found = design(rate(190, 200), rate(190, 200), {"new": rate(62, 200)}, ships(*[GAIN] * 200))
    assert sentence(found) == (
        "Over 200 seeds this design covers the truth in 95.0 % (91-98) of its intervals, sees gmv move in 31.0 % of "
        "runs, and never ships a loser."
    )


def test_endless_intervals_which_hold_anything_are_told() -> None:
    power = {"new": rate(6, 20)}
    said = sentence(design(rate(19, 20), rate(19, 20), power, ships(GAIN), endless=2))
    assert "of its intervals, 10 % of them endless, sees gmv" in said


def test_losers_are_told_with_their_interval_and_several_arms_by_name() -> None:
    power = {"new": rate(6, 20), "twin": rate(0, 0), "other": rate(20, 20)}
    said = sentence(design(rate(17, 20), rate(19, 20), power, ships(*[GAIN] * 19, LOSS)))
    assert "in 85 % (62-97) of its intervals (95 % with the truth's own error allowed for)" in said
    assert "sees gmv move in 30 % (new) and 100 % (other) of runs" in said
    assert said.endswith("and ships a loser in 5 % (0.1-25) of runs.")


def test_of_many_arms_the_ends_are_told() -> None:
    power = {f"arm{n}": rate(n, 20) for n in range(2, 9)}
    assert "move in 10 % (arm2) to 40 % (arm8) of runs" in sentence(
        design(rate(19, 20), rate(19, 20), power, ships(GAIN))
    )


def test_of_twins_alone_false_alarms_are_told() -> None:
    told = judged([decided("EXTEND", None, twin="EXTEND")], [true(twin=(0.0, 0.0, 0.0))])
    said = sentence(design(rate(19, 20), rate(19, 20), {"twin": rate(0, 0)}, told))
    assert "is wrongly sure of gmv in 5 % of runs, and never ships an arm" in said


def test_a_share_that_is_possible_reads_neither_0_nor_100() -> None:
    assert with_interval(rate(0, 4000)) == "0.0 % (0-0.1)"
    assert with_interval(rate(3999, 4000)) == "99.98 % (99.9-99.999)"
    assert with_interval(rate(12, 12)) == "100 % (74-100)"
