"""What only several sections together can tell: every problem one line with place, rule, finding and cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.spec import SpecError, load_experiment

SPEC = """name: crossed
world: {scenario: ecommerce, users: 700, markets: 2}
warmup: {days: 4, policy: production}
experiment:
  days: 6
  control: production
  arms:
    production: {share: 0.5}
    other: {share: 0.5, policy: popular}
metrics: {goals: [gmv_per_user, ctr], guardrails: {visits_per_user: -5%}}
"""
GUARDED = SPEC.replace("  arms:\n", "  guard: {metric: ctr, margin: -5%}\n  arms:\n")
FINDING = SPEC + "finding: {type: trade, arm: other, metric: ctr, other: gmv_per_user}\n"
COST = SPEC + "finding: {type: cost, arm: other, metric: ctr, other: third}\n"
LOOKED = SPEC + "analysis: {looks: [2]}\nfinding: {type: delay, arm: other, metric: ctr}\n"
SHARED = SPEC.replace("markets: 2", "markets: 2, sharing: true") + (
    "finding: {type: interference, arm: other, metric: ctr}\n"
)
OTHER = "other: {share: 0.5, policy: popular}"
FORMULA = 'other: {share: 0.5, policy: {type: formula, formula: "ctr * %s"}}'
ATTENTION = "scenario: {like: ecommerce, attention: %s}"


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as refused:
        load_experiment(str(path))
    return [line.replace(f"{path}", "spec.yaml") for line in refused.value.lines]


# (a valid spec, what to replace, by what, where the problem is, what it says)
CASES = {
    "value of several kinds that is of none": (
        SPEC, "policy: popular", "policy: {type: ipw, examination: harvset}",
        "spec.yaml:9:45 experiment.arms.other.policy.examination:", "must be 'em' or 'harvest', got 'harvset'",
    ),
    "goal that is none": (
        SPEC, "ctr]", "ctrr]", "spec.yaml:10:11 metrics.goals.1",
        "must be an observed metric of the scenario, got 'ctrr'; did you mean 'ctr'? they are gmv_per_user,",
    ),
    "hidden goal": (
        SPEC, "ctr]", "satisfaction]", "spec.yaml:10:11 metrics.goals.1",
        "must be an observed metric of the scenario, got 'satisfaction'; ",
    ),
    "goal that is better when lower": (
        SPEC, "ctr]", "return_rate]", "spec.yaml:10:11 metrics.goals.1",
        "a goal must be better when higher, got 'return_rate'; make it a guardrail, such as +5%",
    ),
    "guardrail that is none": (
        SPEC, "visits_per_user:", "visit_per_user:", "spec.yaml:10:52 metrics.guardrails.visit_per_user",
        "must be an observed metric of the scenario, got 'visit_per_user'; did you mean 'visits_per_user'? they are ",
    ),
    "hidden guardrail": (
        SPEC, "visits_per_user:", "satisfaction:", "spec.yaml:10:52 metrics.guardrails.satisfaction",
        "must be an observed metric of the scenario, got 'satisfaction'; ",
    ),
    "rise of what is better when higher": (
        SPEC, "-5%", "+5%", "spec.yaml:10:52 metrics.guardrails.visits_per_user",
        "the margin of visits_per_user must be a fall, such as -1%, got '+5%'",
    ),
    "fall of what is better when lower": (
        SPEC, "visits_per_user: -5%", "return_rate: -5%", "spec.yaml:10:52 metrics.guardrails.return_rate",
        "the margin of return_rate must be a rise, such as +5%, since it is better when lower, got '-5%'",
    ),
    "guard on nothing": (
        GUARDED, "metric: ctr", "metric: ctl", "spec.yaml:7:11 experiment.guard.metric",
        "must be an observed metric of the scenario, got 'ctl'; did you mean 'ctr'? they are ",
    ),
    "guard on what is hidden": (
        GUARDED, "metric: ctr", "metric: satisfaction", "spec.yaml:7:11 experiment.guard.metric",
        "must be an observed metric of the scenario, got 'satisfaction'; ",
    ),
    "guard with a rise": (
        GUARDED, "margin: -5%", "margin: 0.05", "spec.yaml:7:24 experiment.guard.margin",
        "the margin of ctr must be a fall, such as -1%, got 0.05",
    ),
    "guard with a fall of what is better when lower": (
        GUARDED, "metric: ctr", "metric: return_rate", "spec.yaml:7:32 experiment.guard.margin",
        "the margin of return_rate must be a rise, such as +5%, since it is better when lower, got '-5%'",
    ),
    "outcome that the scenario does not log": (
        SPEC, OTHER, "other: {share: 0.5, policy: {type: esmm, conversion: apply}}",
        "spec.yaml:9:25 experiment.arms.other.policy",
        "must ask for what the scenario's log holds, esmm needs 'apply'; there are click, collect, cart, buy,",
    ),
    "goal model of nothing": (
        SPEC, OTHER, "other: {share: 0.5, policy: {type: goal, goal: colect}}",
        "spec.yaml:9:25 experiment.arms.other.policy",
        "must ask for what the scenario's log holds, goal needs 'colect'; did you mean 'collect'? there are click,",
    ),
    "typo in a formula": (
        SPEC, OTHER, FORMULA % "cartt", "spec.yaml:9:25 experiment.arms.other.policy",
        "must ask for what the scenario's log holds, formula needs 'cartt'; did you mean 'cart'? there are click, "
        "collect, cart, buy, return_goods, stay, and other names of a formula must have a value in params",
    ),
    "warm-up that learns": (
        SPEC, "policy: production}", "policy: esmm}", "spec.yaml:3:19 warmup.policy",
        "must need no training, since there is no log yet, got 'esmm'; try production",
    ),
    "looks after the end": (
        SPEC, "metrics:", "analysis: {looks: [2, 7, 9]}\nmetrics:", "spec.yaml:10:12 analysis.looks",
        "must lie within the 6 days of the test, got [7, 9]",
    ),
    "lost rows of no arm": (
        SPEC, "metrics:", "faults: {lost_rows: {arm: othr}}\nmetrics:", "spec.yaml:10:22 faults.lost_rows.arm",
        "must name an arm out of production, other, got 'othr'",
    ),
    "finding about no arm": (
        FINDING, "arm: other", "arm: fusion", "spec.yaml:11:24 finding.arm", "must be one of other, got 'fusion'",
    ),
    "finding about the control": (
        FINDING, "arm: other", "arm: production", "spec.yaml:11:24 finding.arm",
        "must be one of other, got 'production'",
    ),
    "finding on no metric": (
        FINDING, "metric: ctr", "metric: ctl", "spec.yaml:11:36 finding.metric",
        "must be one of gmv_per_user, orders_per_user, ctr,",
    ),
    "trade with no metric": (
        FINDING, "other: gmv_per_user}", "other: gmv}", "spec.yaml:11:49 finding.other",
        "must be one of gmv_per_user,",
    ),
    "trade without another": (
        FINDING, ", other: gmv_per_user}", "}", "finding.other",
        "must be given for a finding of trade; name one of gmv_per_user,",
    ),
    "cost without another": (
        COST, ", other: third}", "}", "finding.other", "must be given for a finding of cost; name one of other",
    ),
    "cost against no arm": (COST, "third", "thrd", "finding.other", "must be one of other, got 'thrd'"),
    "finding on what is not judged": (
        LOOKED, "metric: ctr", "metric: cvr", "spec.yaml:12:36 finding.metric",
        "must be a goal or a guardrail, got 'cvr'",
    ),
    "delay without looks": (
        LOOKED, "analysis: {looks: [2]}\n", "", "spec.yaml:11:1 finding",
        "of delay needs analysis.looks, such as [3], found none",
    ),
    "interference where nothing is shared": (
        SHARED, ", sharing: true", "", "spec.yaml:11:1 finding",
        "of interference needs world.sharing: true, found none",
    ),
    "sharing nothing": (
        SHARED, "scenario: ecommerce", "scenario: feed", "spec.yaml:2:1 world",
        "sharing needs scenario.market.stock or scenario.market.recruiters, feed has neither; give one or drop sharing",
    ),
    "retraining of what does not learn": (
        SPEC, OTHER, "other: {share: 0.5, policy: random, retrain: {every_days: 2}}",
        "spec.yaml:9:41 experiment.arms.other.retrain", "needs a policy that learns, got one that does not; drop it",
    ),
    "unknown attention": (
        SPEC, "scenario: ecommerce", ATTENTION % "{type: kascade}",
        "spec.yaml:2:49 world.scenario.attention.type",
        "must have a type out of position_based, trust_bias, cascade, dynamic_bayesian, got 'kascade'; did you mean "
        "'cascade'?",
    ),
    "field of another attention": (
        SPEC, "scenario: ecommerce", ATTENTION % "{perseverance: 0.9}",
        "spec.yaml:2:49 world.scenario.attention.perseverance", "unknown key 'perseverance'; ",
    ),
    "field of another than the chosen attention": (
        SPEC, "scenario: ecommerce", ATTENTION % "{type: cascade, length: 10, trust: [1]}",
        "spec.yaml:2:76 world.scenario.attention.trust", "unknown key 'trust'; ",
    ),
    "value of the chosen attention": (
        SPEC, "scenario: ecommerce", ATTENTION % "{examination: [0.5, 2]}",
        "spec.yaml:2:49 world.scenario.attention.examination.1",
        "must be <= 1, got 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_problem_of_several_sections_is_one_line_with_place_rule_finding_and_cure(tmp_path: Path, case: str) -> None:
    text, good, bad, place, message = CASES[case]
    assert good in text
    lines = problems(tmp_path, text.replace(good, bad, 1))
    told = [line for line in lines if place in line and message in line]
    assert len(told) == 1, lines
    assert told[0].startswith(("spec.yaml:", "ecommerce.yaml:"))
    assert "\n" not in told[0]


@pytest.mark.parametrize(
    "text", [SPEC, GUARDED, FINDING, LOOKED, SHARED], ids=["plain", "guard", "trade", "delay", "shared"]
)
def test_the_specs_that_are_broken_above_are_valid_themselves(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    assert load_experiment(str(path)).name == "crossed"


def test_a_target_may_be_money_where_the_scenario_earns_some(tmp_path: Path) -> None:
    arm = "other: {share: 0.5, policy: {type: stacking, target: {value: 1, refund: -1}, inputs: [ctr]}}"
    (tmp_path / "sells.yaml").write_text(SPEC.replace(OTHER, arm, 1))
    assert load_experiment(str(tmp_path / "sells.yaml")).policy("other").outcomes() == {"click", "value", "refund"}
    elsewhere = problems(tmp_path, SPEC.replace(OTHER, arm, 1).replace("scenario: ecommerce", "scenario: feed", 1))
    assert any("stacking needs 'value'; there are click" in line for line in elsewhere), elsewhere


def test_one_problem_is_told_once_and_brings_no_others(tmp_path: Path) -> None:
    alone = ["goal that is none", "looks after the end", "typo in a formula", "guard with a rise", "sharing nothing"]
    for case in (*alone, "retraining of what does not learn", "field of another attention"):
        text, good, bad, _, _ = CASES[case]
        expected = 1 if case != "sharing nothing" else 3  # the feed has neither of the goals
        lines = problems(tmp_path, text.replace(good, bad, 1))
        assert len(lines) <= expected, (case, lines)


CALENDAR = {
    "a fall in days": (
        "[{day: 2, share: 0.5}, {day: 1, share: 1}]",
        "experiment.ramp: steps must rise by day and share",
    ),
    "a fall in shares": ("[{day: 0, share: 0.5}, {day: 1, share: 0.4}, {day: 2, share: 1}]", "steps must rise by day"),
    "no share of 1": ("[{day: 0, share: 0.5}]", "and reach share 1 before day 6, got [(0, 0.5)]; try"),
    "an end too late": ("[{day: 0, share: 0.5}, {day: 6, share: 1}]", "and reach share 1 before day 6"),
    "a day before the first": ("[{day: -1, share: 1}]", "experiment.ramp.0.day: must be >= 0, got -1"),
    "no share": ("[{day: 0, share: 0}]", "experiment.ramp.0.share: must be > 0, got 0"),
    "more than all": ("[{day: 0, share: 1.5}]", "experiment.ramp.0.share: must be <= 1, got 1.5"),
    "an unknown key": (
        "[{day: 0, shares: 1}]",
        "experiment.ramp.0.shares: unknown key 'shares'; did you mean 'share'?",
    ),
}


@pytest.mark.parametrize("case", CALENDAR)
def test_a_ramp_that_does_not_rise_to_all_in_time_is_told_in_a_line(tmp_path: Path, case: str) -> None:
    steps, message = CALENDAR[case]
    lines = problems(tmp_path, SPEC.replace("  arms:\n", f"  ramp: {steps}\n  arms:\n"))
    assert any(message in line for line in lines), lines
    assert all(line.startswith("spec.yaml:7:") for line in lines if "ramp" in line)


@pytest.mark.parametrize("unit", ["visit", "market", "switchback"])
@pytest.mark.parametrize("what", ["ramp: [{day: 0, share: 1}]", "guard: {metric: ctr, margin: -5%}"])
def test_ramp_and_guard_are_for_users_alone(tmp_path: Path, unit: str, what: str) -> None:
    text = SPEC.replace("  arms:\n", f"  assign: {{unit: {unit}}}\n  {what}\n  arms:\n")
    line = problems(tmp_path, text)[0]
    assert line.startswith("spec.yaml:7:")
    assert f"ramp and guard are for tests divided by user, got {unit}; drop one of them" in line


def test_a_guard_that_could_never_stop_anything_is_refused(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, GUARDED.replace("margin: -5%", "margin: -5%, from_day: 7"))
    assert line.startswith("spec.yaml:7:")
    assert "experiment.guard.from_day: must be at most the 6 days of the test, got 7" in line
