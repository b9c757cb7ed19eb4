from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from policies import nets
from policies.base import AbstractPolicy
from policies.features import Features
from policies.goal import LEAST_POSITIVES, GoalModel, goals_of
from policies.towers import Towers
from policies.training import Training
from sim.records import Log, Requests
from tests.logs import FEED, RECRUITING, asking, hand_made, random_feed, with_outcome

GOALS = ("ctr", "cvr", "stay", "collect", "cart", "buy")
NET_FREE = Training(epochs=1, embedding=1, hidden=1, hidden2=1)


class Seen(Exception):
    """Stops a fit once it has shown what it would train on."""


@pytest.fixture
def examples_of(monkeypatch: pytest.MonkeyPatch):
    """How many rows a model would learn from and validate on."""

    def count(model: GoalModel, log: Log) -> int:
        sizes: list[int] = []
        split = nets.time_split

        def remember(time: Any, share: float) -> Any:
            sizes.append(len(time))
            return split(time, share)

        def stop(*_: Any, **__: Any) -> None:
            raise Seen

        monkeypatch.setattr(nets, "time_split", remember)
        monkeypatch.setattr(nets, "train", stop)
        with pytest.raises(Seen):
            model.fit(log)
        return sizes[0]

    return count


def clicked_log(seed: int = 0, n: int = 2000) -> Log:
    rng = np.random.default_rng(seed)
    click = (rng.random(n) < 0.4).astype(np.int8)
    actions = {name: (click * (rng.random(n) < 0.3)).astype(np.int8) for name in ("collect", "cart", "buy")}
    stay = (click * np.exp(rng.normal(3, 0.7, size=n)) * 1000).astype(np.int32)
    return hand_made(click, stay=stay, item=rng.integers(20, size=n), **actions)


@pytest.mark.parametrize("goal", GOALS)
def test_ctr_learns_on_impressions_and_all_others_on_clicks(goal: str, examples_of: Any) -> None:
    log = clicked_log()
    expected = len(log) if goal == "ctr" else int(log["click"].sum())
    assert examples_of(GoalModel(goal, NET_FREE), log) == expected


@pytest.mark.parametrize(
    ("goal", "outcome"), [("ctr", "click"), ("cvr", "buy"), ("collect", "collect"), ("cart", "cart"), ("buy", "buy")]
)
def test_a_goal_with_too_few_positives_is_refused_by_its_outcome(goal: str, outcome: str) -> None:
    log = clicked_log()
    few = log[outcome].copy()
    few[np.flatnonzero(few)[LEAST_POSITIVES - 1 :]] = 0
    if outcome == "click":
        log = with_outcome(log, collect=few * 0, cart=few * 0, buy=few * 0)
    with pytest.raises(ValueError, match=f"at least 20 impressions with {outcome} .* has 19"):
        GoalModel(goal).fit(with_outcome(log, **{outcome: few}))


@pytest.mark.parametrize(
    ("goal", "cure"),
    [
        ("ctcvr", "write it in a formula"),
        ("click", "name it ctr"),
        ("ctr * cvr", r"actions such as click or buy, got 'ctr \* cvr'"),
        ("", "got ''"),
        ("buy_time", "got 'buy_time'"),
        ("value", "got 'value'"),
    ],
)
def test_a_goal_that_no_log_can_teach_is_refused_when_it_is_written(goal: str, cure: str) -> None:
    with pytest.raises(ValueError, match=cure):
        GoalModel.from_spec({"goal": goal})


@pytest.mark.parametrize(
    ("goal", "outcomes"),
    [("ctr", {"click"}), ("cvr", {"click", "buy"}), ("stay", {"click", "stay"}), ("like", {"click", "like"})],
)
def test_a_goal_knows_which_outcomes_it_is_learned_from(goal: str, outcomes: set[str]) -> None:
    assert GoalModel(goal).outcomes() == outcomes


@pytest.mark.parametrize(
    ("log", "goals"),
    [
        (hand_made([1]), "ctr cvr ctcvr stay collect cart buy"),
        (hand_made([1], after=FEED), "ctr stay long_view like comment follow share hate"),
        (hand_made([1], after=RECRUITING), "ctr stay apply answer chat call invitation interview"),
    ],
)
def test_the_goals_of_a_log_are_those_its_outcomes_teach(log: Log, goals: str) -> None:
    assert list(goals_of(log)) == goals.split()


def test_a_goal_that_the_log_does_not_have_is_refused_with_the_nearest_and_all_others() -> None:
    typo = r"goal 'lik' cannot be learned, the log has no lik; did you mean 'like'\? .*its goals: ctr, stay, long_v"
    with pytest.raises(ValueError, match=typo):
        GoalModel("lik").fit(random_feed())


def test_a_model_of_likes_learns_their_rate_among_clicks() -> None:
    """Three clicks in ten lead to a like, whatever the item: 700 clicks put 5 standard errors at 0.09."""
    log = random_feed()
    requests = asking(log.users, np.tile(np.arange(30), (len(log.users), 1)), log.items)
    found = GoalModel("like").fit(log).goals(requests)
    assert list(found) == ["like"]
    assert abs(found["like"].mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / log["click"].sum())


def pinned(goal: str, logit: float, spread: float, log: Log) -> GoalModel:
    """A model whose tower says `logit` to everyone."""
    model = GoalModel(goal, NET_FREE)
    model.features_ = Features().fit(log)
    net = nets.build(model.features_.schema(), model.features_.training_rows(log), (goal,), NET_FREE, 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        net.start_at(goal, logit)
    model.towers_, model.spread_, model.notes_ = Towers(tuple(net.export([goal]))), spread, []
    return model


def test_stay_is_the_mean_of_a_log_normal_in_seconds() -> None:
    """Median e^m, and half the variance of the log on top: exp(m + s^2 / 2)."""
    log = clicked_log()
    requests = asking(log.users.take(np.arange(3)), np.tile(np.arange(5), (3, 1)), log.items)
    seconds = pinned("stay", np.log(30), 0.65**2 / 2, log).goals(requests)["stay"]
    np.testing.assert_allclose(seconds, 30 * np.exp(0.65**2 / 2), rtol=1e-5)


def test_probabilities_are_the_logistic_of_the_logit() -> None:
    log = clicked_log()
    requests = asking(log.users.take(np.arange(3)), np.tile(np.arange(5), (3, 1)), log.items)
    model = pinned("cvr", -3.0, 0.0, log)
    np.testing.assert_allclose(model.goals(requests)["cvr"], 1 / (1 + np.exp(3)), rtol=1e-6)
    np.testing.assert_allclose(model.score(requests), -3.0)


@pytest.mark.parametrize("logit", [-300.0, 300.0])
@pytest.mark.parametrize("goal", ["ctr", "stay"])
def test_extreme_logits_give_finite_goals(goal: str, logit: float) -> None:
    log = clicked_log()
    requests = asking(log.users.take(np.arange(3)), np.tile(np.arange(5), (3, 1)), log.items)
    assert np.isfinite(pinned(goal, logit, 0.2, log).goals(requests)[goal]).all()


def test_a_model_of_stay_recovers_the_mean_seconds() -> None:
    """Stays are log-normal with mean exp(3 + .245) = 25.7 s whatever the item.

    Over 800 clicks, the mean has a standard error of 0.75 / sqrt(800) = 2.7 % of itself; within 5.
    """
    log = clicked_log()
    requests = asking(log.users, np.tile(np.arange(20), (len(log.users), 1)), log.items)
    seconds = GoalModel("stay").fit(log).goals(requests)["stay"].mean()
    expected = np.exp(3 + 0.7**2 / 2)
    assert abs(seconds / expected - 1) < 5 * np.sqrt(np.expm1(0.7**2) / log["click"].sum())


def test_a_model_alone_ranks_by_its_goal(fitted: Mapping[str, AbstractPolicy], requests: Requests) -> None:
    model = fitted["goal"]
    by_score = np.argsort(model.score(requests), axis=1)
    goal = np.take_along_axis(model.goals(requests)["ctr"], by_score, axis=1)
    assert (np.diff(goal, axis=1) >= -1e-7).all()
