"""The scorecard of a run, judged by policies that are known: one that is told the truth, one that guesses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow.parquet as pq
import pytest

from experiments.executors import execute
from experiments.judge import costs_of, scorecard_of
from experiments.plan import Plan, plan
from experiments.policy_spec import build_policy
from experiments.report.page import page
from experiments.report.scorecard import unseen_intent
from experiments.report.subject import subject_of
from experiments.scorecard import AttentionPoint, Scorecard
from experiments.spec import load_experiment
from experiments.stages.scorecard import IMPRESSIONS, card
from experiments.store import RunFolder
from experiments.tasks import Task
from policies.base import AbstractPolicy
from sim.funnel import Encounter, encounter
from sim.logbook import HIDDEN_FILE, LOG_FILE, read_log
from sim.oracle import expected_value
from sim.records import Column, Floats, Log, Requests, Scores
from sim.world import World
from tests.asserts import assert_mean
from tests.experiments.finished import small
from tests.experiments.specs import experiment
from tests.experiments.test_report import MANIFEST, some_results

SHOP = """like: ecommerce, catalogue: {items: 240}, browse: {candidates: 50, pages: 3}, people: {habit_days: 1},
  funnel: {actions: {click: {rate: 0.2}, buy: {rate: 0.3}, cart: {rate: 0.2}}}"""
ESMM = "{type: esmm, training: {epochs: 1}}"
ARMS = f"{{production: {{share: 0.4}}, esmm: {{share: 0.3, policy: {ESMM}}}, popular: {{share: 0.3, policy: popular}}}}"
GOALS = "{goals: [gmv_per_user, ctr], guardrails: {}}"


@dataclass(frozen=True)
class Judged:
    """The tasks of a scorecard, done; the test itself is not run."""

    plan: Plan
    folder: RunFolder
    card: Scorecard
    world: World

    @property
    def impressions(self) -> Path:
        return self.folder.result(self.plan.judged[0])


def with_needs(task: Task) -> list[Task]:
    return [*(below for need in task.needs.values() for below in with_needs(need)), task]


def judge(text: str, out: Path, workers: int = 1) -> Judged:
    """Only what a scorecard needs: warm-up, fits, judged impressions."""
    spec = experiment(text)
    whole, folder = plan(spec), RunFolder(out)
    with folder.claimed(spec.identity(), False):
        tasks = {task.key: task for of in whole.cards.values() for task in with_needs(of)}
        execute(list(tasks.values()), folder, workers, lambda event: None)
    found = scorecard_of(spec, folder, whole)
    assert found is not None
    return Judged(whole, folder, found, spec.world.build(spec.seed.world, 0))


def shop(*, arms: str = ARMS, scenario: str = SHOP, world: str = "users: 800, markets: 1", goals: str = GOALS) -> str:
    return small(arms=arms, scenario=scenario, world=world, metrics=goals, warm=2, days=2)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judge(shop(), tmp_path_factory.mktemp("card") / "run")


@dataclass
class Knowing(AbstractPolicy):
    """Told the truth, which no policy is. world: of the judged users. guesses: shuffles what it was told."""

    name: ClassVar[str] = "knowing"
    world: World = field(repr=False)
    guesses: bool = False

    def spec(self) -> dict[str, Any]:
        return {"type": self.name}

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        return self

    def meet(self, requests: Requests) -> Encounter:
        row = np.searchsorted(self.world.people.user, requests.users.user)
        nothing = np.zeros((1, 1), dtype=np.float32)
        return encounter(self.world.people, self.world.catalogue, row[:, None], requests.candidates, nothing)

    def goals(self, requests: Requests) -> dict[str, Floats]:
        met, funnel = self.meet(requests), self.world.funnel
        examined = self.world.scenario.attention.examination  # type: ignore[union-attr]
        ctr = examined[0] * funnel.attraction(met).astype(np.float64)
        cvr = funnel.probability_after_click("buy", met)
        told = {"ctr": ctr, "cvr": cvr, "ctcvr": ctr * cvr, "cart": funnel.probability_after_click("cart", met)}
        told["stay"] = funnel.mean_stay(met)
        if not self.guesses:
            return told
        rng = np.random.default_rng(1)
        return {goal: rng.permutation(values.ravel()).reshape(values.shape) for goal, values in told.items()}

    def score(self, requests: Requests) -> Scores:
        worth = expected_value(self.world, "value_cents", self.meet(requests)).astype(np.float32)
        return np.random.default_rng(1).random(worth.shape).astype(np.float32) if self.guesses else worth

    def attention(self) -> Floats:
        curve = np.array(self.world.scenario.attention.examination)  # type: ignore[union-attr]
        return curve / curve[0]

    def learned(self) -> dict[str, Column]:
        return {}

    def restore(self, learned: Mapping[str, Column]) -> Self:
        return self


def rows_of(policy: AbstractPolicy, run: Judged) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    rows = card(policy, run.impressions, "value_cents")["rows"]
    return {(row["goal"], row["outcome"], row["against"], row["impressions"]): row for row in rows}


def test_whoever_knows_the_truth_is_as_good_as_can_be(judged: Judged) -> None:
    rows = rows_of(Knowing(judged.world), judged)
    true = [row for (goal, _, against, _), row in rows.items() if against == "truth" and goal not in ("score", "stay")]
    assert {row["goal"] for row in true} == {"ctr", "cvr", "ctcvr", "cart"}
    assert {row["impressions"] for row in true} == {"all", "clicked"}
    for row in true:
        assert row["auc"] == pytest.approx(row["auc_best"], abs=1e-6)
        assert row["ratio"] == pytest.approx(1, abs=1e-5)
        assert row["ece"] < 1e-6
        assert row["spearman"] > 1 - 1e-6
        assert row["above_one"] == 0
    assert rows["stay", "stay", "truth", "all"]["ratio"] == pytest.approx(1, abs=1e-5)
    assert rows["score", "value_cents", "truth", "requests"]["ndcg"] == pytest.approx(1, abs=1e-6)
    attention = card(Knowing(judged.world), judged.impressions, "value_cents")["attention"]
    assert attention["inferred"] == pytest.approx(attention["true"])


def test_what_is_logged_goes_as_the_truth_says(judged: Judged) -> None:
    """Outcomes of the judged impressions have the probabilities that stand beside them."""
    with np.load(judged.impressions / IMPRESSIONS) as saved:
        clicked, top = saved["happened click"] > 0, saved["slot"] == 0
        assert_mean((saved["happened click"] - saved["true click"])[top], 0)
        for action in ("buy", "cart", "collect"):
            assert_mean((saved[f"happened {action}"] - saved[f"true {action}"])[clicked], 0)
        assert_mean((saved["happened stay"] - saved["true stay"])[clicked], 0)
        assert not saved["happened buy"][~clicked].any()
        assert len(clicked) > 15_000
    rows = rows_of(Knowing(judged.world), judged)
    log, true = rows["cvr", "buy", "log", "clicked"], rows["cvr", "buy", "truth", "clicked"]
    assert log["auc"] == pytest.approx(true["auc"], abs=5 * 0.5 / np.sqrt(log["n"] * log["mean_truth"]))


def test_guesses_are_worth_a_half(judged: Judged) -> None:
    rows = rows_of(Knowing(judged.world, guesses=True), judged)
    for (goal, outcome, against, _), row in rows.items():
        if goal in ("ctr", "cvr", "cart") and against == "truth":
            positives = row["n"] * min(row["mean_truth"], 1 - row["mean_truth"])
            assert row["auc"] == pytest.approx(0.5, abs=5 / np.sqrt(12 * positives)), (goal, outcome)
            assert row["ratio"] > 0
    assert rows["cvr", "buy", "truth", "all"]["ratio"] == pytest.approx(1, abs=1e-5)
    click = rows["score", "click", "truth", "requests"]
    assert click["auc"] == pytest.approx(0.5, abs=0.02)  # 300 requests of 50: an SE of 0.003
    assert rows["score", "value_cents", "truth", "requests"]["ndcg"] < 0.7


def test_real_models_lie_between_a_guess_and_the_truth(judged: Judged) -> None:
    found = judged.card
    assert found.policies == ["production", "esmm", "popular"]
    for goal in ("ctr", "ctcvr", "cvr"):
        row = found.find("esmm", goal)
        assert row is not None
        assert 0.52 < row.auc < row.auc_best
    assert found.find("production", "ctr") is None
    scores = {row.policy: row for row in found.rows if (row.goal, row.outcome) == ("score", "value_cents")}
    assert all(0.2 < row.ndcg < 1 for row in scores.values())
    costs = costs_of(judged.folder, judged.plan)
    assert costs["production"]["train_cpu_seconds"] == 0
    assert costs["esmm"]["train_cpu_seconds"] > 0
    assert all(cost["scoring_us_per_candidate"] > 0 for cost in costs.values())


def test_a_scorecard_has_the_same_bytes_whatever_did_the_work(judged: Judged, tmp_path: Path) -> None:
    other = judge(shop(), tmp_path / "run", workers=2)
    assert json.dumps(other.card.to_dict()) == json.dumps(judged.card.to_dict())
    assert (other.impressions / IMPRESSIONS).read_bytes() == (judged.impressions / IMPRESSIONS).read_bytes()


def test_arms_of_one_policy_share_a_card() -> None:
    arms = f"{{production: {{share: 0.4}}, a: {{share: 0.3, policy: {ESMM}}}, b: {{share: 0.3, policy: {ESMM}}}}}"
    cards = plan(experiment(shop(arms=arms))).cards
    assert cards["a"].key == cards["b"].key != cards["production"].key


def test_nothing_is_judged_where_nothing_learns() -> None:
    whole = plan(experiment(shop(arms="{production: {share: 0.5}, luck: {share: 0.5, policy: random}}")))
    assert not whole.cards
    assert not whole.judged


POPULAR = "{production: {share: 0.5}, popular: {share: 0.5, policy: popular}}"
CLICKS = "{goals: [ctr], guardrails: {}}"
READING = "attention: {type: dynamic_bayesian, length: 10, perseverance: 0.8}"
TRUST = "attention: {type: trust_bias, examination: [0.7, 0.5], trust: [0.2, 0.1]}"
STOCK = "market: {stock: {median_units: 2}}"
WORLDS = {
    "reading": (f"{SHOP.replace('rate: 0.2}, buy', 'rate: 0.1}, buy')}, {READING}", "users: 800, markets: 1"),
    "trust": (f"{SHOP}, {TRUST}", "users: 800, markets: 1"),
    "sharing": (f"{SHOP}, {STOCK}", "users: 400, markets: 1, sharing: true"),
    "feed": ("like: feed, browse: {candidates: 40, pages: 20}", "users: 60, markets: 1"),
    "recruiting": ("like: recruiting", "users: 300, markets: 1, sharing: true"),
    "hardly anybody": (SHOP, "users: 60, markets: 1"),
}


@pytest.mark.parametrize("world", WORLDS)
def test_every_kind_of_world_has_its_truth(world: str, tmp_path: Path) -> None:
    scenario, people = WORLDS[world]
    run = judge(shop(arms=POPULAR, scenario=scenario, world=people, goals=CLICKS), tmp_path / "run")
    with np.load(run.impressions / IMPRESSIONS) as saved:
        clicked, top = saved["happened click"] > 0, saved["slot"] == 0
        assert_mean((saved["happened click"] - saved["true click"])[top], 0)
        actions = [name for name in run.world.scenario.funnel.actions if name != "click"]
        for action in actions:
            happened, true = saved[f"happened {action}"][clicked], saved[f"true {action}"][clicked]
            if happened.sum() > 30:
                assert_mean(happened - true, 0)
    assert {row.goal for row in run.card.rows} == {"score"}  # neither of the two predicts a goal
    assert all(0.3 < row.auc <= row.auc_best for row in run.card.rows if row.outcome == "click")


def test_hidden_intent_shows_as_what_no_log_can_teach(tmp_path: Path) -> None:
    """Those who click are in the mood to buy: a model that takes them for everybody predicts too many orders."""
    text = shop(world="users: 800, markets: 1, hidden_intent: 1.5", scenario=SHOP.replace("rate: 0.3", "rate: 0.2"))
    run = judge(text, tmp_path / "run")
    clicked, everything = (run.card.find("esmm", "cvr", "truth", space) for space in ("clicked", "all"))
    assert clicked is not None
    assert everything is not None
    assert everything.mean_truth < 0.8 * clicked.mean_truth
    said = unseen_intent(run.card)
    assert f"{100 * everything.mean_truth:.3g} %" in said
    assert "no model that is trained on it reaches the oracle" in said
    assert unseen_intent(replace(run.card, hidden_intent=0.0)) == ""


def shuffle_the_truth(folder: Path) -> None:
    """Every hidden column in another order; the log as it was."""
    table = pq.read_table(folder / HIDDEN_FILE)
    order = np.random.default_rng(1).permutation(table.num_rows)
    before = (folder / LOG_FILE).read_bytes()
    pq.write_table(table.take(order), folder / HIDDEN_FILE)
    assert not pq.read_table(folder / HIDDEN_FILE).equals(table)
    assert (folder / LOG_FILE).read_bytes() == before


def test_no_policy_sees_the_truth(judged: Judged, tmp_path: Path) -> None:
    """Fitted from a folder whose hidden truth is shuffled, or gone, every policy learns the same bits."""
    original = judged.folder.result(judged.plan.warmups[0])
    for kind in ("shuffled", "gone"):
        shutil.copytree(original, tmp_path / kind)
    shuffle_the_truth(tmp_path / "shuffled")
    (tmp_path / "gone" / HIDDEN_FILE).unlink()
    for name, spec in LEARNERS.items():
        learned = [
            {key: np.asarray(v).tobytes() for key, v in build_policy(spec).fit(read_log([folder])).learned().items()}
            for folder in (original, tmp_path / "shuffled", tmp_path / "gone")
        ]
        assert learned[0] == learned[1] == learned[2], name


BRIEF = {"epochs": 1}
LEARNERS: dict[str, dict[str, Any]] = {
    "popular": {"type": "popular"},
    "formula": {"type": "formula", "formula": "ctr * cvr", "training": BRIEF},
    "sample_weight": {"type": "sample_weight", "weights": {"click": 1, "buy": 5}, "training": BRIEF},
    "bpr": {"type": "bpr", "training": BRIEF},
    "lambdamart": {"type": "lambdamart", "trees": 3},
    "esmm": {"type": "esmm", "training": BRIEF},
}


def test_the_error_of_a_curve_is_its_mean_distance_below_the_top(judged: Judged) -> None:
    points = tuple(AttentionPoint("esmm", n, *v) for n, v in enumerate([(1.0, 1.0), (0.7, 0.8), (0.5, 0.8)]))
    assert replace(judged.card, attention=points).attention_error("esmm") == pytest.approx(0.2)
    assert np.isnan(judged.card.attention_error("esmm"))


def test_the_page_tells_what_the_card_holds(judged: Judged) -> None:
    points = tuple(AttentionPoint("esmm", n, *v) for n, v in enumerate([(1.0, 1.0), (0.7, 0.8), (0.5, 0.8)]))
    mine = tuple(row for row in judged.card.rows if row.policy != "popular")
    curves = tuple(point for point in judged.card.reliability if point.policy != "popular")
    shown = replace(judged.card, rows=mine, reliability=curves, attention=points)
    costs = {"esmm": {"train_cpu_seconds": 3.25, "scoring_us_per_candidate": 0.61}}
    results = replace(some_results(), scorecard=shown)
    subject = subject_of(load_experiment("ecommerce"), results)
    told = page(subject, results, {**MANIFEST, "scorecard": costs})
    assert told == page(subject, results, {**MANIFEST, "scorecard": costs})
    assert "How good are the predictions?" in told
    row = shown.find("esmm", "cvr")
    assert row is not None
    assert f"{row.auc:.3f}<small>best {row.auc_best:.3f}" in told
    assert "Mean absolute error below the top: esmm 0.200" in told
    assert '<td class="num">3.2</td><td class="num">0.61</td>' in told
    assert "How good are the predictions?" not in page(subject, some_results(), MANIFEST)
