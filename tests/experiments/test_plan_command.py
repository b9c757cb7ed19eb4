"""`seesaw plan`: what it predicts, held against tests that really run, and the command as a user meets it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from experiments.analysis.joint import Metric, joint_estimate
from experiments.analysis.lifts import Lift, lifts
from experiments.analysis.stats import SufficientStats, pooled
from experiments.analysis.verdicts import non_inferiority
from experiments.assignment import assign
from experiments.cli import cli
from experiments.demands import Design, days_needed
from experiments.executors import Event, execute
from experiments.gather import Gathered, Table, estimand
from experiments.plan import plan
from experiments.planning import ExperimentPlan, plan_test
from experiments.spec import Experiment
from experiments.stages.recorders import MOMENTS, load_moments
from experiments.stages.warmup import NAME, REHEARSAL
from experiments.store import RunFolder
from experiments.warmup_curves import WarmupCurves, curves_of, warmed_up
from tests.experiments.finished import small
from tests.experiments.specs import experiment

GOALS = ("gmv_per_user", "ctr", "stay_per_user")
GUARDRAIL = "visits_per_user"
SHOP = """like: ecommerce, catalogue: {items: 400}, browse: {candidates: 60, pages: 3}, people: {habit_days: 1.5},
  funnel: {actions: {buy: {rate: 0.2}}}"""
# Both arms are the warm-up's policy as it was: a test in which nothing differs, and nothing from the warm-up.
EQUAL = """{production: {share: 0.5, explore: {temperature: 0.5}},
    same: {share: 0.5, policy: production, explore: {temperature: 0.5}}}"""


def shop(users: int, warm: int, days: int, more: str = "truth: {users: 0.2}", calendar: str = "") -> str:
    return small(
        arms=EQUAL,
        world=f"users: {users}, markets: 2",
        scenario=SHOP,
        warm=warm,
        days=days,
        calendar=calendar,
        metrics=f"{{goals: [{', '.join(GOALS)}], guardrails: {{{GUARDRAIL}: -10%}}}}",
        more=more,
    )


@dataclass(frozen=True)
class Rehearsed:
    """An experiment whose warm-up and test are done, and nothing else."""

    spec: Experiment
    folder: RunFolder
    events: list[Event]

    @property
    def curves(self) -> WarmupCurves:
        return curves_of(self.spec, self.folder, plan(self.spec))

    @property
    def gathered(self) -> Gathered:
        return Gathered(self.spec, self.folder, plan(self.spec))


def performed(text: str, out: Path) -> Rehearsed:
    """Do the warm-up by planning, then the test in the same folder."""
    spec, events = experiment(text), list[Event]()
    warmed_up(spec, out, 1, lambda event: None)
    folder, whole = RunFolder(out), plan(spec)
    with folder.claimed(spec.identity(), False):
        tasks = [*whole.warmups.values(), *whole.fits.values(), *whole.tests.values()]
        execute(tasks, folder, 1, events.append)
    return Rehearsed(spec, folder, events)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return performed(shop(2500, 6, 6), tmp_path_factory.mktemp("plan") / "run")


@pytest.fixture(scope="module")
def planned(run: Rehearsed) -> ExperimentPlan:
    return plan_test(run.spec, run.curves, 0.8, {})


N_SPLITS = 500


@pytest.fixture(scope="module")
def splits(run: Rehearsed) -> list[dict[str, SufficientStats]]:
    """The users of the test divided anew, by salt after salt: each a test that could have been."""
    users = run.gathered.users
    assert users.user is not None
    names = {c for m in _metrics(run) for c in (m.numerator, m.denominator, *(m.pre or ())) if c}
    keep = [n for n, column in enumerate(users.columns) if column in names]
    small_table = Table(users.names, tuple(users.columns[n] for n in keep), users.arm, users.values[:, keep])
    return [_split(small_table, users.user, f"salt {k}") for k in range(N_SPLITS)]


def _metrics(run: Rehearsed) -> list[Metric]:
    scenario = run.spec.world.scenario.metrics
    return [estimand(name, scenario[name]) for name in (*GOALS, GUARDRAIL)]


def _split(table: Table, user: NDArray[np.int64], salt: str) -> dict[str, SufficientStats]:
    arm = assign(user, {"production": 0.5, "same": 0.5}, salt, 1)
    return {name: SufficientStats.of(table.columns, table.values[arm == n]) for n, name in enumerate(table.names)}


def _lifts(run: Rehearsed, groups: dict[str, SufficientStats], *, cuped: bool) -> dict[str, Lift]:
    estimate = joint_estimate(groups, _metrics(run), cuped=cuped)
    return {lift.metric: lift for lift in lifts(estimate, "production", 0.05)}


def raised(group: SufficientStats, run: Rehearsed, metric: str, lift: float) -> SufficientStats:
    """The same users with so much more of a metric for everyone alike that its mean rises by a share."""
    spec = next(m for m in _metrics(run) if m.name == metric)
    mean, at = group.mean.copy(), group.at(spec.numerator)
    mean[at] *= 1 + lift
    return SufficientStats(group.columns, group.n, mean, group.scatter)


class TestPrediction:
    @pytest.mark.parametrize("cuped", [False, True])
    def test_the_standard_error_is_that_of_tests_that_run(
        self, run: Rehearsed, splits: list[dict[str, SufficientStats]], cuped: bool
    ) -> None:
        """Within 15 %, of which 3 % are chance of the splits; who takes users to come at the rate of the first day,
        as if a longer test added users linearly, is off by a third and more."""
        design = Design.of(run.spec, run.curves)
        found = [_lifts(run, groups, cuped=cuped) for groups in splits]
        for metric in _metrics(run):
            errors = design.errors(design.spread(run.curves, metric, cuped=cuped))
            real = np.std([one[metric.name].lift for one in found], ddof=1)
            assert errors[5] == pytest.approx(real, rel=0.15), metric.name
            linear = errors[5] * np.sqrt(design.came[5] / (6 * design.came[0]))
            assert linear < 0.75 * real, metric.name

    def test_users_come_as_predicted(self, run: Rehearsed, planned: ExperimentPlan) -> None:
        came = sum(stats.n for stats in run.gathered.groups("user").values())
        assert sum(planned.units.values()) == pytest.approx(came, rel=0.05)

    def test_cuped_cuts_the_error_only_where_the_past_tells_the_future(self, planned: ExperimentPlan) -> None:
        assert planned.of(GUARDRAIL).cut > 0.2
        assert planned.of("gmv_per_user").cut < 0.1

    @pytest.mark.parametrize("metric", ["ctr", "stay_per_user"])
    def test_the_lift_that_is_seen_is_seen_with_the_power(
        self, run: Rehearsed, planned: ExperimentPlan, splits: list[dict[str, SufficientStats]], metric: str
    ) -> None:
        """Power 90 % of each of goal and guardrail for 80 % of both; half the lift is seen far more rarely."""
        assert planned.power_each == pytest.approx(0.9)
        row = planned.of(metric)

        def power(lift: float) -> float:
            seen = [
                _lifts(run, one | {"same": raised(one["same"], run, metric, lift)}, cuped=True)[metric]
                for one in splits
            ]
            return float(np.mean([one.p_value < planned.level for one in seen]))

        assert 0.8 <= power(row.sees) <= 0.97
        assert power(row.sees / 2) < 0.5

    def test_the_margin_that_is_kept_is_kept_with_the_power(
        self, run: Rehearsed, planned: ExperimentPlan, splits: list[dict[str, SufficientStats]]
    ) -> None:
        margin = planned.of(GUARDRAIL).sees
        found = [_lifts(run, one, cuped=True)[GUARDRAIL] for one in splits]
        kept = [np.mean([non_inferiority(one, -m, 0.05)[0] == "PASS" for one in found]) for m in (margin, margin / 2)]
        assert 0.8 <= kept[0] <= 0.97
        assert kept[1] < 0.6


class TestWarmupMoments:
    def test_the_rehearsal_is_the_test_that_would_have_begun_in_the_middle(
        self, tmp_path: Path, run: Rehearsed
    ) -> None:
        """A warm-up of three days and a test of three in which nothing differs: the same people with the same luck as
        in a warm-up of six days. Late orders of the first half belong to neither."""
        other = performed(shop(2500, 3, 3), tmp_path / "run")
        for market, task in plan(run.spec).warmups.items():
            rehearsal = load_moments(run.folder.result(task) / REHEARSAL / MOMENTS)
            real = load_moments(
                other.folder.result(plan(other.spec).tests["user", market]) / f"market{market:06d}" / MOMENTS
            )
            assert list(rehearsal) == list(real) == [1, 2, 3]
            for day in real:
                whole, seen = pooled(list(real[day].values())), rehearsal[day][NAME]
                assert (whole.columns, whole.n) == (seen.columns, seen.n)
                np.testing.assert_allclose(seen.mean, whole.mean, rtol=1e-10)
                np.testing.assert_allclose(seen.scatter, whole.scatter, rtol=1e-8, atol=1e-6)

    def test_the_test_begins_with_the_warm_up_that_was_planned_with(self, run: Rehearsed) -> None:
        reused = {event.task.stage for event in run.events if event.kind == "reused"}
        begun = {event.task.stage for event in run.events if event.kind == "start"}
        assert reused == {"warm-up"}
        assert "warm-up" not in begun
        assert "arms" in begun


class TestPlan:
    def test_every_observed_metric_has_a_row_by_role(self, run: Rehearsed, planned: ExperimentPlan) -> None:
        roles = {row.metric: row.role for row in planned.metrics}
        observed = {name for name, metric in run.spec.world.scenario.metrics.items() if not metric.hidden}
        assert set(roles) == observed
        assert list(roles)[:4] == [*GOALS, GUARDRAIL]
        assert [roles[name] for name in (*GOALS, GUARDRAIL, "cvr")] == [*["goal"] * 3, "guardrail", "secondary"]

    def test_goals_are_asked_for_2_percent_and_guardrails_for_their_margin(self, planned: ExperimentPlan) -> None:
        assert planned.of("ctr").asked == 0.02
        assert planned.of(GUARDRAIL).asked == 0.1

    def test_the_units_needed_grow_with_the_square_of_what_is_missing(
        self, run: Rehearsed, planned: ExperimentPlan
    ) -> None:
        for row in planned.metrics[:4]:
            units = planned.units[planned.smallest] * (row.sees / row.asked) ** 2
            assert row.units == pytest.approx(units, rel=1e-6)
        twice = plan_test(run.spec, run.curves, 0.8, {"ctr": 0.04})
        assert twice.of("ctr").units == pytest.approx(planned.of("ctr").units / 4)

    def test_what_is_seen_already_needs_no_more_days(self, run: Rehearsed) -> None:
        sees = plan_test(run.spec, run.curves, 0.8, {}).of("ctr").sees
        asked = plan_test(run.spec, run.curves, 0.8, {"ctr": sees * 1.001, "stay_per_user": 0.001})
        assert asked.of("ctr").enough
        assert asked.of("ctr").days <= 6
        assert asked.of("ctr").units <= asked.units["same"]
        assert np.isinf(asked.of("stay_per_user").days)
        slightly_more = plan_test(run.spec, run.curves, 0.8, {"ctr": sees * 0.9}).of("ctr")
        assert 6 < slightly_more.days < 36

    def test_more_power_and_more_comparisons_cost_units(self, run: Rehearsed, planned: ExperimentPlan) -> None:
        assert plan_test(run.spec, run.curves, 0.95, {}).of("ctr").sees > planned.of("ctr").sees
        one_goal = run.spec.model_copy(update={"metrics": run.spec.metrics.model_copy(update={"goals": ["ctr"]})})
        alone = plan_test(one_goal, run.curves, 0.8, {})
        assert alone.level == pytest.approx(0.05)
        assert planned.comparisons == 3
        assert 0.05 / 3 < planned.level < 0.05
        assert alone.of("ctr").sees < planned.of("ctr").sees

    def test_looks_leave_less_for_the_end(self, run: Rehearsed, planned: ExperimentPlan) -> None:
        analysis = run.spec.analysis.model_copy(update={"looks": [2, 4], "spending": "pocock"})
        looked = plan_test(run.spec.model_copy(update={"analysis": analysis}), run.curves, 0.8, {})
        assert looked.of("ctr").sees > 1.05 * planned.of("ctr").sees
        assert any("looks at days 2, 4 leave" in note for note in looked.notes)
        idle = run.spec.analysis.model_copy(update={"looks": [2, 4], "spending": "none"})
        unwatched = plan_test(run.spec.model_copy(update={"analysis": idle}), run.curves, 0.8, {})
        assert unwatched.of("ctr").sees == planned.of("ctr").sees

    def test_the_smallest_challenger_is_what_numbers_are_of(self, run: Rehearsed, planned: ExperimentPlan) -> None:
        arms = dict(run.spec.experiment.arms)
        arms["same"] = arms["same"].model_copy(update={"share": 0.1})
        test = run.spec.experiment.model_copy(update={"arms": arms})
        uneven = plan_test(run.spec.model_copy(update={"experiment": test}), run.curves, 0.8, {})
        assert uneven.units["same"] == pytest.approx(planned.units["same"] / 5)
        assert uneven.of("ctr").sees == pytest.approx(planned.of("ctr").sees * np.sqrt(12 / 4), rel=0.01)
        assert uneven.of("ctr").units == pytest.approx(planned.of("ctr").units * 12 / 4 / 5, rel=0.01)


def test_days_are_those_from_which_on_the_effect_is_always_seen() -> None:
    sees = np.array([np.nan, 0.1, 0.3, 0.2, 0.1, 0.05])
    assert days_needed(sees, 0.2) == 4
    assert days_needed(sees, 0.04) == np.inf
    assert days_needed(sees[1:], 1.0) == 1
    assert np.isnan(days_needed(np.full(3, np.nan), 0.1))


def seesaw(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["plan", *arguments])


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "shop.yaml"
    path.write_text(shop(400, 2, 3), encoding="utf-8")
    return str(path)


class TestCommand:
    def test_prints_a_table_a_sentence_and_what_to_do_next(self, spec: str, tmp_path: Path) -> None:
        out = str(tmp_path / "run")
        result = seesaw(spec, "--out", out, "--workers", "1", "--mde", "5%", "--mde", "ctr=400%")
        assert result.exit_code == 0, result.output
        lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
        assert "5 %" in lines["gmv_per_user"]
        assert "400 %" in lines["ctr"]
        assert "\N{MINUS SIGN}10 %" in lines[GUARDRAIL]
        assert "With 3 days and about" in result.stdout
        assert "gmv_per_user" in lines["With"]
        assert "next" in lines
        assert "nan" not in result.stdout.lower()
        as_json = seesaw(spec, "--out", out, "--workers", "1", "--json")
        told = json.loads(as_json.stdout)
        assert {row["metric"]: row["asked"] for row in told["metrics"]}["gmv_per_user"] == 0.02
        assert told["folder"] == out
        assert "NaN" not in as_json.stdout

    def test_a_test_longer_than_a_warm_up_of_one_day_cannot_be_told(self, spec: str, tmp_path: Path) -> None:
        result = seesaw(spec, "--out", str(tmp_path / "run"), "--workers", "1", "--set", "warmup.days=1")
        assert result.exit_code == 0, result.output
        assert "can't tell anything" in result.stdout
        assert "nan" not in result.stdout.lower()

    def test_markets_are_planned_with_students_t(self, tmp_path: Path) -> None:
        text = shop(400, 2, 2, calendar="assign: {unit: market}").replace("markets: 2", "markets: 6")
        path = tmp_path / "markets.yaml"
        path.write_text(text, encoding="utf-8")
        result = seesaw(str(path), "--out", str(tmp_path / "run"), "--workers", "1", "--json")
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert told["units"] == {"production": 3.0, "same": 3.0}
        ctr = next(row for row in told["metrics"] if row["metric"] == "ctr")
        se = ctr["spread"] * np.sqrt((1 - ctr["cut"]) * 2 / 3)
        assert ctr["sees"] > 1.2 * 4 * se  # of many units it would be about four errors
        assert ctr["units"] < 3 * (ctr["sees"] / ctr["asked"]) ** 2  # more markets, more degrees of freedom

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--set", "world.users=x"), "must be a whole number"),
            (("--set", "experiment.assign.unit=visit"), "must be user or market to be planned, got visit"),
            (("--mde", "gmv=2%"), "must name a metric, got 'gmv'"),
            (("--mde", "gmv_user=2%"), "did you mean 'gmv_per_user'?"),
            (("--mde", "ctr=0%"), "must be a lift above 0"),
            (("--mde", "ctr="), "must be a lift above 0"),
            (("--mde", "much"), "must be a lift above 0"),
            (("--power", "1"), "--power"),
            (("--out", "/dev/null"), "must be a folder, found a file"),
        ],
    )
    def test_wrong_input_ends_with_2_and_a_line(self, spec: str, arguments: tuple[str, ...], message: str) -> None:
        result = seesaw(spec, *arguments)
        assert result.exit_code == 2
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""

    def test_a_folder_of_another_experiment_is_left_alone(self, spec: str, run: Rehearsed) -> None:
        result = seesaw(spec, "--out", str(run.folder.path))
        assert result.exit_code == 2
        assert "found another one" in result.stderr
