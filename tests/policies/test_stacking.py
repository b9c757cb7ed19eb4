from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from policies import nets
from policies.base import AbstractPolicy
from policies.features import Features, Inputs
from policies.goal import GoalModel
from policies.regression import least_squares
from policies.stacking import HEAVIEST, Stacking
from policies.training import Training
from sim.records import Floats, Log, Requests
from tests.logs import FEED, Shop, asking, hand_made, random_feed

ITEMS = 20
CTR = 0.05 + 0.35 * np.linspace(0, 1, ITEMS) ** 2
CVR = 0.05 + 0.55 * (1 - np.linspace(0, 1, ITEMS)) ** 4  # what is clicked most is bought least, as bait is
TRUE = {"ctr": CTR, "cvr": CVR, "ctcvr": CTR * CVR}
HALF = Training(validation_share=0.5)


@dataclass
class Known(GoalModel):
    """A goal model that knows the truth about every item."""

    def predict(self, inputs: Inputs) -> Floats:
        return TRUE[self.goal][inputs.item]


def made(n: int = 120_000, seed: int = 0) -> Log:
    """Items at random; clicks and buys by `CTR` and `CVR`; a buy brings its price."""
    rng = np.random.default_rng(seed)
    item = rng.integers(ITEMS, size=n)
    click = rng.random(n) < CTR[item]
    buy = click & (rng.random(n) < CVR[item])
    user = np.arange(n) // 10 % 50
    log = hand_made(click, item=item, user=user, buy=buy.astype(np.int8), after=("buy", "value"))
    return hand_made(
        click, item=item, user=user, buy=buy.astype(np.int8), value=buy * log.price, after=("buy", "value")
    )


@pytest.fixture(scope="module")
def log() -> Log:
    return made()


@pytest.fixture(scope="module")
def known(log: Log) -> Mapping[str, AbstractPolicy]:
    models = {goal: Known(goal, HALF) for goal in ("ctr", "cvr")}
    features = Features().fit(log)
    for model in models.values():
        model.features_, model.notes_ = features, []
    return models


def later_half(log: Log) -> Log:
    """What a stack of `HALF` learns from: rows after the median of time of all, and of the clicked."""
    clicked = log.time[log["click"] > 0]
    return log.take(log.time > max(np.median(log.time), np.median(clicked)))


def errors(x: Floats, y: Floats, weight: Floats) -> Floats:
    """Standard errors of intercept and coefficients, whatever the variance of each row (sandwich, HC0)."""
    line = least_squares(x, y, weight)
    design = np.column_stack([np.ones(len(x)), x])
    bread = np.linalg.inv((design * weight[:, None]).T @ design)
    meat = design * (weight * (y - line(x)))[:, None]
    return np.sqrt(np.diag(bread @ (meat.T @ meat) @ bread))


def fitted_line(policy: Stacking) -> Floats:
    return np.array([policy.line_.intercept, *policy.line_.coefficients])


def columns(log: Log, *names: str) -> Floats:
    return np.stack([TRUE[name][log.item] for name in names], axis=1)


def test_over_all_impressions_the_worth_of_each_outcome_is_recovered(
    log: Log, known: Mapping[str, AbstractPolicy]
) -> None:
    """E[0.1 click + 5 buy] = 0.1 ctr + 5 ctcvr: within 5 standard errors; on clicks alone more than 10 away."""
    policy = Stacking({"click": 0.1, "buy": 5}, ("ctr", "ctcvr"), training=HALF).fit(log, known)
    late, true = later_half(log), np.array([0, 0.1, 5])
    x, y = columns(late, "ctr", "ctcvr"), policy.worth(late)
    assert (np.abs(fitted_line(policy) - true) < 5 * errors(x, y, np.ones(len(y)))).all()
    clicked = late["click"] > 0
    naive = least_squares(x[clicked], y[clicked], np.ones(clicked.sum()))
    error = errors(x[clicked], y[clicked], np.ones(clicked.sum()))
    assert (np.abs(naive.coefficients - true[1:]) > 10 * error[1:]).any()


def test_money_is_in_currency_units(log: Log, known: Mapping[str, AbstractPolicy]) -> None:
    """E[value] = ctcvr * price: a coefficient of 1 per euro, not of 100 per cent."""
    policy = Stacking({"value": 1}, ("ctcvr*price",), training=HALF).fit(log, known)
    late = later_half(log)
    x = (columns(late, "ctcvr")[:, 0] * late.price / 100)[:, None]
    error = errors(x, policy.worth(late), np.ones(len(late)))
    assert (np.abs(fitted_line(policy) - [0, 1]) < 5 * error).all()
    assert 5 * error[1] < 0.99  # cents would give 100, and a unit taken twice 0.01


def test_clicks_weighted_by_one_over_ctr_stand_for_all_impressions(
    log: Log, known: Mapping[str, AbstractPolicy]
) -> None:
    """The worth of a click falls along the items, not in a line of ctr.

    Over impressions, which have every item alike, the best line is that of least squares over the items; clicks
    as they are have more of the often clicked, and another best line.
    """
    policy = Stacking({"buy": 5}, ("ctr",), missing="inverse_ctr", training=HALF).fit(log, known)
    late = later_half(log).take(np.flatnonzero(later_half(log)["click"]))
    x, y = columns(late, "ctr"), policy.worth(late)
    best = least_squares(CTR[:, None], 5 * CVR, np.ones(ITEMS))
    true = np.array([best.intercept, *best.coefficients])
    assert (np.abs(fitted_line(policy) - true) < 5 * errors(x, y, 1 / x[:, 0])).all()
    naive, error = least_squares(x, y, np.ones(len(y))), errors(x, y, np.ones(len(y)))
    assert abs(naive.coefficients[0] - true[1]) > 10 * error[1]


def test_two_parts_are_ctr_times_the_worth_of_a_click(log: Log, known: Mapping[str, AbstractPolicy]) -> None:
    """E[0.1 click + 5 buy | click] = 0.1 + 5 cvr, and ranks by 0.1 ctr + 5 ctcvr."""
    policy = Stacking({"click": 0.1, "buy": 5}, ("cvr",), missing="two_part", training=HALF).fit(log, known)
    late = later_half(log).take(np.flatnonzero(later_half(log)["click"]))
    error = errors(columns(late, "cvr"), policy.worth(late), np.ones(len(late)))
    assert (np.abs(fitted_line(policy) - [0.1, 5]) < 5 * error).all()
    everything = asking(log.users.take(np.arange(3)), np.tile(np.arange(ITEMS), (3, 1)), log.items)
    expected = CTR * (fitted_line(policy)[0] + fitted_line(policy)[1] * CVR)
    np.testing.assert_array_equal(np.argsort(policy.score(everything)[0]), np.argsort(expected))


@pytest.mark.parametrize("missing", ["impressions", "two_part"])
def test_log_odds_of_a_calibrated_goal_rank_as_it_does(
    missing: Any, log: Log, known: Mapping[str, AbstractPolicy]
) -> None:
    """By P(buy | shown) over impressions, and by ctr times P(buy | click) in two parts."""
    inputs = ("ctcvr",) if missing == "impressions" else ("cvr",)
    policy = Stacking({"buy": 1}, inputs, "logistic", missing, HALF).fit(log, known)
    assert policy.line_.coefficients[0] > 0
    everything = asking(log.users.take(np.arange(3)), np.tile(np.arange(ITEMS), (3, 1)), log.items)
    line = policy.line_(np.stack([TRUE[name] for name in inputs], axis=-1))
    expected = line if missing == "impressions" else CTR / (1 + np.exp(-line))
    np.testing.assert_array_equal(np.argsort(policy.score(everything)[0]), np.argsort(expected))


def test_the_worth_of_a_row_adds_up_its_outcomes_in_their_units() -> None:
    log = hand_made(
        [0, 1, 1, 1],
        after=("like", "buy", "value", "refund"),
        like=[0, 1, 0, 1],
        buy=[0, 0, 1, 1],
        value=[0, 0, 1250, 900],
        refund=[0, 0, 0, 900],
        stay=[0, 500, 2000, 1000],
    )
    worth = Stacking({"like": 3, "value": 2, "refund": -2, "stay": 0.1}, ("ctr",)).worth(log)
    np.testing.assert_allclose(worth, [0, 3.05, 25.2, 3.1])


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_no_row_that_a_goal_model_trained_on_teaches_the_stack(share: float, shop: Shop) -> None:
    """Each goal model splits its own rows by time: ctr all, cvr the clicked ones."""
    log = shop.log
    unseen = Stacking({"buy": 1}, training=Training(validation_share=share))._unseen(log)
    trained_ctr, checked_ctr = nets.time_split(log.time, share)
    clicked = np.flatnonzero(log["click"])
    trained_cvr = clicked[nets.time_split(log.time[clicked], share)[0]]
    assert not unseen[trained_ctr].any()
    assert not unseen[trained_cvr].any()
    assert unseen.sum() > 0.9 * len(checked_ctr) * (1 if share > 0.2 else 0.5)


def test_rows_are_predicted_as_they_would_be_served_with_history_of_the_other_half(shop: Shop) -> None:
    """As requests of one candidate; only the history differs, which must not hold the row's own click."""
    seen: dict[str, Inputs] = {}

    @dataclass
    class Spy(Known):
        def predict(self, inputs: Inputs) -> Floats:
            seen.setdefault("log", inputs)
            return np.tile(np.linspace(0.1, 0.9, len(inputs))[:, None], (1, inputs.item.shape[1]))

    log = shop.log
    model = Spy("ctr", HALF)
    model.features_, model.notes_ = Features().fit(log), []
    policy = Stacking({"click": 1}, ("ctr",), training=HALF).fit(log, {"ctr": model})
    rows = np.flatnonzero(policy._unseen(log))
    inputs, training = seen["log"], model.features_.training_rows(log).take(rows)
    assert inputs.item.shape == (len(rows), 1)
    np.testing.assert_array_equal(inputs.item[:, 0], log.item[rows])
    np.testing.assert_array_equal(inputs.pair_dense[:, 0], training.pair_dense)
    np.testing.assert_array_equal(inputs.user_dense, training.user_dense)


def test_its_goal_models_are_those_of_every_fusion() -> None:
    training = Training(epochs=2)
    ctr, cvr = GoalModel("ctr", training), GoalModel("cvr", training)
    assert Stacking({"buy": 1}, ("ctcvr", "price"), training=training).needs() == {"ctr": ctr, "cvr": cvr}
    assert Stacking({"buy": 1}, ("cvr*price",), training=training).needs() == {"cvr": cvr}
    assert Stacking({"buy": 1}, ("cvr",), missing="two_part", training=training).needs() == {"ctr": ctr, "cvr": cvr}
    assert Stacking({"buy": 1}, ("price",)).needs() == {}


def test_price_alone_needs_no_model(shop: Shop, requests: Requests) -> None:
    policy = Stacking({"click": 1}, ("price",)).fit(shop.log)
    assert policy.goals(requests) == {}
    by_price = np.argsort(requests.items.price[requests.candidates], axis=1, kind="stable")
    scores = np.take_along_axis(policy.score(requests), by_price, axis=1)
    assert (np.diff(scores * np.sign(policy.line_.coefficients[0]), axis=1) >= 0).all()


def test_it_notes_what_was_done_about_missing_labels_and_what_came_out(
    log: Log, known: Mapping[str, AbstractPolicy]
) -> None:
    def note(**changes: Any) -> str:
        policy = Stacking({"click": 0.1, "buy": 5}, ("ctr", "ctr*cvr"), training=HALF, **changes).fit(log, known)
        (told,) = policy.notes()
        b, se = policy.line_.coefficients, policy.line_.errors
        terms = f"{b[0]:+.3g} (se {se[0]:.2g}) ctr {b[1]:+.3g} (se {se[1]:.2g}) ctr*cvr"
        assert f"0.1 click + 5 buy = {policy.line_.intercept:.3g} {terms}" in told
        return told

    assert "regression (impressions)" in note()
    assert "0 where nothing happened" in note()
    assert f"weigh 1/ctr, 0% of them held at {HEAVIEST:g}" in note(missing="inverse_ctr")
    assert "the score is ctr times it" in note(missing="two_part")


def test_a_log_whose_last_part_has_too_few_positives_is_refused(known: Mapping[str, AbstractPolicy]) -> None:
    with pytest.raises(ValueError, match=r"at least 20 impressions with buy among those that no goal model trained on"):
        Stacking({"buy": 1}, training=HALF).fit(made(600), known)


def test_a_log_in_which_it_always_happened_has_no_odds(log: Log, known: Mapping[str, AbstractPolicy]) -> None:
    always = replace(log, outcomes={**log.outcomes, "buy": log["click"]})
    with pytest.raises(ValueError, match="at least 20 impressions with a click but no buy"):
        Stacking({"buy": 1}, ("ctr",), "logistic", "two_part", HALF).fit(always, known)


@pytest.mark.parametrize("missing", ["two_part", "inverse_ctr"])
def test_whether_a_clicked_impression_is_clicked_is_no_question(missing: str) -> None:
    """It was refused after the warm-up, with the advice to make that longer."""
    with pytest.raises(ValueError, match="target must not hold click where clicked impressions alone are learned from"):
        Stacking({"click": 1, "buy": 1}, link="logistic", missing=missing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({}, "must name at least one outcome"),
        ({"buy_time": 1}, "target must name actions"),
        ({"fit": 1}, "target must name actions"),
        ({"a click": 1}, "target must name actions"),
        ({"click": 0}, "finite worths other than 0"),
        ({"click": float("nan")}, "finite worths other than 0"),
    ],
)
def test_a_target_must_be_worths_of_outcomes(target: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stacking(target)


@pytest.mark.parametrize("target", [{"buy": 5}, {"click": 1, "buy": 2}, {"value": 1}])
def test_whether_it_happened_has_no_worth(target: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="target must be actions with a worth of 1 for a logistic link"):
        Stacking(target, link="logistic")


@pytest.mark.parametrize("inputs", [(), ("ctr*",), ("ctr + cvr",), ("ctr", "ctr"), ("ctr*cvr", "ctr * cvr")])
def test_inputs_must_be_different_goals_or_products(inputs: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="inputs must"):
        Stacking({"buy": 1}, inputs)


def test_outcomes_are_those_of_the_target_and_of_the_goals() -> None:
    assert Stacking({"value": 1}, ("ctr", "like")).outcomes() == {"click", "value", "like"}
    with pytest.raises(ValueError, match="the log has no 'lik'; did you mean 'like'"):
        Stacking({"lik": 1}, ("ctr",)).fit(random_feed())
    assert "like" in FEED
