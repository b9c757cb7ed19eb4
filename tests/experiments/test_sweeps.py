"""Sweeps: policies that live in the truth alone, from the spec to the page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.analysis.decision import Decision
from experiments.analysis.dominance import dominates, dominators
from experiments.analysis.swept import SweepPoint, judged
from experiments.findings.table import Finding, sentence
from experiments.plan import plan
from experiments.report.format import DASH
from experiments.report.page import page
from experiments.report.sheets import asides
from experiments.report.subject import subject_of
from experiments.report.sweeps import beaten_by, front_beside_sweeps, sweep_figure
from experiments.results import FrontPoint, Results
from experiments.spec import Experiment, SpecError, load_experiment
from experiments.sweeps import labels
from tests.experiments.finished import Finished, finished, small
from tests.experiments.specs import experiment
from tests.experiments.test_crosscheck import SPEC, problems

NAN = math.nan
TREES = "{share: 0.5, policy: {type: lambdamart, trees: 3}}"
TRUTH = "truth: {users: 0.5%s}"
SWEPT = (
    ", sweeps: {depth: {arm: trees, key: policy.trees, values: [%s]}, "
    "luck: {policy: production, key: explore.temperature, values: [2, 0.5]}}"
)
ESMM = "type: esmm, fusion: {type: power_product, exponents: {ctr: 1, cvr: 1, price: 1}}"
PRICE = "price: {arm: esmm, key: policy.fusion.exponents.price, values: [2, 0, 1]}"


def text(sweeps: str) -> str:
    return small(
        arms=f"{{production: {{share: 0.5}}, trees: {TREES}}}",
        world="users: 500, markets: 2",
        scenario="like: ecommerce, catalogue: {items: 240}, browse: {candidates: 50, pages: 3}",
        more=TRUTH % sweeps,
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished(text(SWEPT % "5, 3"), tmp_path_factory.mktemp("swept") / "run")


def points(results: Results, sweep: str) -> list[SweepPoint]:
    return [point for point in results.sweeps if point.sweep == sweep]


def test_a_point_at_the_arms_own_value_is_the_arms_task_and_has_its_truth(swept: Finished) -> None:
    own, other = points(swept.results, "depth")
    assert [own.label, other.label] == ["3", "5"]
    for row in swept.results.truth:
        assert (own.lift[row.metric], own.lift_se[row.metric]) == (row.expected_lift, row.expected_lift_se)
    assert other.lift["ctr"] != own.lift["ctr"]
    for market in (0, 1):
        assert swept.plan.sweeps["depth", 0, market].key == swept.plan.truths["trees", market].key
        assert swept.plan.sweeps["depth", 1, market].key != swept.plan.truths["trees", market].key
    assert [task.name for task in swept.plan.tasks()].count("depth, point 1, market 0") == 0


def test_exploration_that_is_swept_without_an_arm_costs_clicks(swept: Finished) -> None:
    """Noise of two standard deviations of the scores spoils the ranking more than noise of half of one."""
    little, much = points(swept.results, "luck")
    assert (little.changes, much.changes) == ({"explore.temperature": 0.5}, {"explore.temperature": 2})
    assert much.lift["ctr"] + 5 * much.lift_se["ctr"] < little.lift["ctr"] < -5 * little.lift_se["ctr"]
    assert "production" in much.dominated_by


def test_neither_the_order_of_values_nor_of_sweeps_changes_a_byte(swept: Finished) -> None:
    again = experiment(text(SWEPT % "3, 5"))
    assert again.identity() == swept.spec.identity()
    assert [task.key for task in plan(again).tasks()] == [task.key for task in swept.plan.tasks()]


def test_a_sweep_leaves_everything_else_as_it_was(swept: Finished, tmp_path: Path) -> None:
    without = finished(text(""), tmp_path / "run")
    assert repr(replace(swept.results, sweeps=())) == repr(without.results)  # equal to the bit, NaN included
    told = swept.results.to_dict()["sweeps"]
    assert [point["label"] for point in told] == ["3", "5", "0.5", "2"]
    assert told[0]["true_lift"]["ctr"] == swept.results.truth[0].expected_lift


def test_a_row_per_point_and_metric_is_written(swept: Finished) -> None:
    rows = swept.results.sweep_dicts()
    assert len(rows) == 4 * len(swept.results.metrics())
    assert rows[0]["changes"] == '{"policy.trees": 3}'
    assert {row["metric"] for row in rows} == set(swept.results.metrics())


def test_the_page_and_the_terminal_show_every_point(swept: Finished) -> None:
    subject = subject_of(swept.spec, swept.results)
    html = page(subject, swept.results, {})
    assert "What other values would do" in html
    assert html.count('<th scope="row">0.5</th>') == 1
    (told,) = (table for title, table in asides(swept.results) if title.startswith("sweeps"))
    assert told.row_count == 4
    assert "What other values would do" not in page(subject, replace(swept.results, sweeps=()), {})


def esmm(sweeps: str) -> Experiment:
    arms = f"{{production: {{share: 0.5}}, esmm: {{share: 0.5, policy: {{{ESMM}}}}}}}"
    return experiment(small(arms=arms, more=TRUTH % f", sweeps: {{{sweeps}}}"))


def test_points_that_differ_in_fusion_alone_share_one_fit() -> None:
    whole = plan(esmm(PRICE))
    assert [task.name for task in whole.fits.values()] == ["production", "esmm"]
    assert len({task.key for task in whole.sweeps.values()}) == 3
    assert whole.sweeps["price", 1, 0].key == whole.truths["esmm", 0].key  # values are put in rising order


def test_a_quick_run_and_the_resolved_spec_keep_the_sweeps(tmp_path: Path) -> None:
    spec = esmm(PRICE + ", bare: {policy: esmm, points: [{policy.training.epochs: 1, policy.conversion: cart}]}")
    quick = plan(spec.quick())
    assert len(quick.sweeps) == 4
    resolved = spec.resolved()
    assert resolved["truth"]["sweeps"]["price"]["values"] == [0, 1, 2]
    assert resolved["truth"]["sweeps"]["bare"]["policy"]["conversion"] == "buy"
    path = tmp_path / "again.yaml"
    path.write_text(json.dumps(resolved))
    assert load_experiment(str(path)).identity() == spec.identity()


def test_points_of_several_keys_are_called_by_what_tells_the_keys_apart() -> None:
    both = "{policy.fusion.exponents.ctr: 1, policy.fusion.exponents.cvr: 0.5}, {policy.fusion.exponents.ctr: 2}"
    spec = esmm(f"both: {{arm: esmm, points: [{both}]}}")
    assert labels(spec.truth.sweeps["both"]) == ["ctr 1, cvr 0.5", "ctr 2"]
    exponents = ("ctr", "cvr", "price")
    served = [spec.resolved()["experiment"]["arms"]["esmm"]["policy"]["fusion"]["exponents"]]
    served += [plan(spec).sweeps["both", k, 0].arguments["arm"]["policy"]["fusion"]["exponents"] for k in (0, 1)]
    assert [tuple(e[name] for name in exponents) for e in served] == [(1, 1, 1), (1, 0.5, 1), (2, 1, 1)]


def test_a_mapping_that_names_nothing_yet_may_be_given_keys_and_the_policy_says_which() -> None:
    named = "{{arm: esmm, key: policy.balance.weights.{}, values: [1, 2]}}"
    spec = esmm(f"loss: {named.format('buy')}")
    weights = [plan(spec).sweeps["loss", k, 0].arguments["arm"]["policy"]["balance"]["weights"] for k in (0, 1)]
    assert weights == [{"buy": 1}, {"buy": 2}]
    with pytest.raises(SpecError, match=r"balance.weights: the losses are of click, buy, got by; drop them"):
        esmm(f"loss: {named.format('by')}")


WEIGHTED = "weighted: {share: 0.5, policy: {type: sample_weight, weights: {click: 1, buy: 10}}}"
SWEEP = SPEC.replace("other: {share: 0.5, policy: popular}", WEIGHTED) + (
    "truth:\n  sweeps:\n    weight: {arm: weighted, key: policy.weights.buy, values: [1, 10]}\n"
)
POINTS = SWEEP.replace(
    "key: policy.weights.buy, values: [1, 10]", "points: [{policy.weights.buy: 3}, {policy.weights.buy: 9}]"
)
BARE = SWEEP.replace("arm: weighted", "policy: {type: sample_weight, weights: {click: 1, buy: 10}}")
FOUND = SWEEP + "finding: {type: sweep, sweep: weight, metric: gmv_per_user, other: ctr}\n"
AT = "truth.sweeps.weight"
# (a valid spec, what to replace, by what, where the problem is, what it says)
CASES = {
    "unknown arm": (
        SWEEP, "arm: weighted", "arm: weigthed", f"spec.yaml:13:14 {AT}.arm",
        "must name an arm, got 'weigthed'; did you mean 'weighted'? there are production, weighted",
    ),
    "key that is none of the policy": (
        SWEEP, "weights.buy", "weights.by", f"spec.yaml:13:29 {AT}.key",
        "must be a key of the policy of weighted, got 'policy.weights.by': no 'by'; did you mean 'buy'? there are "
        "click, buy",
    ),
    "key below a number": (
        SWEEP, "weights.buy", "weights.buy.more", f"spec.yaml:13:29 {AT}.key",
        "got 'policy.weights.buy.more': no 'more'; it ends there",
    ),
    "key beside the policy": (
        SWEEP, "policy.weights.buy", "share", f"spec.yaml:13:29 {AT}.key",
        "must be explore.temperature or a path below policy, such as policy.weights.buy, got 'share'",
    ),
    "value that the policy refuses": (
        SWEEP, "[1, 10]", "[1, -3]", f"spec.yaml:13:54 {AT}.values.1",
        "policy.weights.buy: weights must be > 0, got {'buy': -3",
    ),
    "value of another type": (
        SWEEP, "[1, 10]", "[1, ten]", f"spec.yaml:13:54 {AT}.values.1",
        "policy.weights.buy: must be a number, got 'ten'",
    ),
    "exploration below zero": (
        SWEEP, "policy.weights.buy, values: [1, 10]", "explore.temperature, values: [0, -1]",
        f"spec.yaml:13:55 {AT}.values.1", "explore.temperature: must be >= 0, got -1",
    ),
    "value twice": (
        SWEEP, "[1, 10]", "[1, 1.0]", f"spec.yaml:13:54 {AT}.values", "each must be given once, got 1 twice",
    ),
    "no value": (SWEEP, "[1, 10]", "[]", f"spec.yaml:13:54 {AT}.values", "must hold at least 1, got []"),
    "values without a key": (
        SWEEP, "key: policy.weights.buy, ", "", f"spec.yaml:13:5 {AT}",
        "must have key and values, or points, got values alone; add key",
    ),
    "neither arm nor policy": (
        SWEEP, "arm: weighted, ", "", f"spec.yaml:13:5 {AT}", "must have an arm or a policy to vary, got none",
    ),
    "both arm and policy": (
        SWEEP, "arm: weighted", "arm: weighted, policy: popular", f"spec.yaml:13:5 {AT}",
        "must have an arm or a policy to vary, got both",
    ),
    "a policy that is none": (
        BARE, "weight: {policy: {type: sample_weight", "weight: {policy: {type: sample_wieght",
        f"spec.yaml:13:23 {AT}.policy.type", "did you mean 'sample_weight'?",
    ),
    "a policy that asks for what is not logged": (
        BARE, "policy: {type: sample_weight, weights: {click: 1, buy: 10}}, key: policy.weights.buy, values: [1, 10]",
        "policy: esmm, key: policy.conversion, values: [buy, apply]", f"spec.yaml:13:52 {AT}.values.1",
        "policy.conversion: must ask for what the scenario's log holds, esmm needs 'apply'",
    ),
    "point with an unknown key": (
        POINTS, "buy: 9", "bye: 9", f"spec.yaml:13:64 {AT}.points.1.policy.weights.bye",
        "must be a key of the policy of weighted, got 'policy.weights.bye'",
    ),
    "point that the policy refuses": (
        POINTS, "buy: 9", "buy: 0", f"spec.yaml:13:29 {AT}.points.1", "must be > 0, got {'buy'",
    ),
    "point with a key inside another": (
        POINTS, "{policy.weights.buy: 9}", "{policy.weights: {buy: 9}, policy.weights.click: 2}",
        f"spec.yaml:13:90 {AT}.points.1.policy.weights.click",
        "must not be below another key of its point, got it below policy.weights; put its value in there",
    ),
    "point that changes nothing": (
        POINTS, "{policy.weights.buy: 9}", "{}", f"spec.yaml:13:29 {AT}.points",
        "every point must change a key, got {} at position 1; drop it",
    ),
    "unknown key of a sweep": (
        SWEEP, "values:", "value:", f"spec.yaml:13:54 {AT}.value", "unknown key 'value'; did you mean 'values'?",
    ),
    "finding about no sweep": (
        FOUND, "sweep: weight", "sweep: wait", "spec.yaml:14:24 finding.sweep", "must be one of weight, got 'wait'",
    ),
    "finding without a sweep": (
        FOUND, "sweep: weight, ", "", "finding.sweep", "must be given for a finding of sweep; name one of weight",
    ),
    "finding without the other": (
        FOUND, ", other: ctr", "", "finding.other", "must be given for a finding of sweep; name one of gmv_per_user",
    ),
    "finding without an arm": (
        FOUND, "type: sweep, sweep: weight", "type: cost", "finding.arm",
        "must be given for a finding of cost; name one of weighted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_a_sweep_is_told_in_its_place(tmp_path: Path, case: str) -> None:
    text, good, bad, place, message = CASES[case]
    assert good in text
    lines = problems(tmp_path, text.replace(good, bad, 1))
    assert any(place in line and message in line for line in lines), lines


@pytest.mark.parametrize("text", [SWEEP, POINTS, BARE, FOUND])
def test_the_specs_that_the_cases_spoil_are_valid(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    assert load_experiment(str(path)).truth.sweeps["weight"].changes()


@pytest.mark.parametrize(
    ("mine", "other", "is_better"),
    [
        ((1.0, 1.0), (1.0, 0.5), True),
        ((1.0, 1.0), (1.0, 1.0), False),
        ((2.0, 0.0), (1.0, 1.0), False),
        ((2.0, NAN), (1.0, 0.0), False),
        ((2.0,), (1.0,), True),
    ],
)
def test_who_dominates_is_as_good_on_all_goals_and_better_on_one(
    mine: Sequence[float], other: Sequence[float], is_better: bool
) -> None:
    assert dominates(mine, other) is is_better
    assert not dominates(other, mine)


def test_everyone_who_dominates_is_named() -> None:
    found = dominators({"a": (0.0, 0.0), "b": (1.0, 1.0), "c": (2.0, 0.5), "d": (2.0, 1.0)})
    assert found == {"a": ("b", "c", "d"), "b": ("d",), "c": ("d",), "d": ()}


def a_point(label: str, gmv: float, ctr: float, sweep: str = "price") -> SweepPoint:
    lift = {"gmv": gmv, "ctr": ctr, "hate": -ctr}
    return SweepPoint(sweep, label, {"policy.price": float(label)}, lift, dict.fromkeys(lift, 0.01))


def by_hand(*swept: SweepPoint, front: tuple[FrontPoint, ...] = ()) -> Results:
    """Results with a control alone; each sweep judged on gmv and ctr."""
    return Results(
        control="today", arms=("today",), goals=("gmv", "ctr"), guardrails={}, estimator="raw", rows=(), truth=(),
        decision=Decision("EXTEND", None, "extend", (), 0.5), satisfaction_correlation={}, unit="user", meanings={},
        n_users={}, conversion="buy", conversions={}, notes=(), warnings=(), lower_is_better=("hate",), front=front,
        sweeps=judged(swept, {"today": (0.0, 0.0)}, ("gmv", "ctr")),
    )  # fmt: skip


def test_points_are_judged_beside_arms_and_other_sweeps() -> None:
    found = by_hand(a_point("1", 0.1, 0.1), a_point("2", -0.1, -0.1), a_point("1", 0.2, 0.1, "more")).sweeps
    assert [point.dominated_by for point in found] == [("more: 1",), ("today", "price: 1", "more: 1"), ()]
    assert [beaten_by(point) for point in found] == ["more: 1", "today; price: 1; more: 1", DASH]


def said(*swept: SweepPoint, metric: str = "gmv", other: str = "ctr") -> str:
    return sentence(Finding(type="sweep", sweep="price", metric=metric, other=other), by_hand(*swept))


def test_a_finding_says_what_the_values_win_and_what_they_pay() -> None:
    assert said(a_point("0", 0.01, 0.02), a_point("1", 0.05, 0.01), a_point("2", 0.1, -0.03)) == (
        "in truth, raising policy.price from 0 to 2 moves gmv from +1.0 % to +10.0 % and ctr from +2.0 % to -3.0 %, "
        "over today: it buys gmv with ctr; no point of it is dominated on the goals."
    )


def test_a_finding_names_the_best_point_between_the_ends_and_the_useless_ones() -> None:
    line = said(a_point("0", 0.01, 0.02), a_point("1", 0.2, 0.01), a_point("2", -0.1, -0.03))
    assert (
        "it loses both; gmv is best at 1 (+20.0 %, ctr +1.0 %); 1 of its 3 points are dominated on the goals (2)."
        in line
    )


def test_a_rise_of_what_is_better_when_lower_is_a_price_of_a_sweep() -> None:
    assert "it buys gmv with hate" in said(a_point("0", 0.1, 0.2), a_point("1", 0.2, 0.1), other="hate")
    assert "can't be told" in said(a_point("0", NAN, 0.2), a_point("1", 0.2, 0.1))


def test_the_front_is_drawn_beside_sweeps_unless_it_dwarfs_them() -> None:
    near = (FrontPoint(0, 0.1, 0.2), FrontPoint(1, 0.2, 0.1))
    swept = (a_point("0", 0.1, 0.0), a_point("1", 0.0, 0.1))
    assert front_beside_sweeps(by_hand(*swept, front=near))
    assert not front_beside_sweeps(by_hand(*swept, front=(FrontPoint(0, 1.0, 2.0),)))
    figure = sweep_figure(by_hand(*swept, front=near))
    assert figure is not None
    assert "attainable in truth" in figure
