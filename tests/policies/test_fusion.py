from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pytest

from policies.base import AbstractPolicy
from policies.fusion import (
    AbstractFusion,
    ClickGatedPolicy,
    ExpSumPolicy,
    FormulaPolicy,
    PowerProductPolicy,
    RankReciprocalPolicy,
    ShiftedPowerProductPolicy,
    WeightedSumPolicy,
)
from policies.goal import GoalModel
from policies.rules import prices
from policies.training import Training
from sim.records import Floats, Requests
from tests.contracts import assert_same_bits
from tests.logs import Shop, random_feed, random_recruiting

ONE = {"ctr": 1, "cvr": 1, "price": 1}


def order(values: Floats) -> np.ndarray:
    return np.argsort(-values, axis=1, kind="stable")


@pytest.fixture(scope="module")
def ctr_model(fitted: Mapping[str, AbstractPolicy]) -> AbstractPolicy:
    return fitted["goal"]


def within_requests(values: np.ndarray) -> np.ndarray:
    """Values centred and scaled per request, as scores are."""
    centred = values - values.mean(axis=1, keepdims=True)
    return centred / np.abs(centred).max(axis=1, keepdims=True)


def test_the_formula_ctr_ranks_as_the_goal_model_does(
    ctr_model: AbstractPolicy, shop: Shop, requests: Requests
) -> None:
    """Exactly, so the two arms of an experiment would be one."""
    policy = FormulaPolicy("ctr").fit(shop.log, {"ctr": ctr_model})
    np.testing.assert_array_equal(order(policy.score(requests)), order(ctr_model.score(requests)))


@pytest.mark.parametrize("text", ["2 * ctr", "ctr + 1", "ctr ** 2", "log(ctr)", "sqrt(ctr)", "-1 / ctr"])
def test_a_rising_function_of_one_goal_ranks_as_that_goal(
    text: str, ctr_model: AbstractPolicy, shop: Shop, requests: Requests
) -> None:
    """No pair is turned round; float32 may make ties of what was apart."""
    score = FormulaPolicy(text).fit(shop.log, {"ctr": ctr_model}).score(requests)
    by_goal = np.take_along_axis(score, order(ctr_model.score(requests)), axis=1)
    assert (np.diff(by_goal, axis=1) <= 0).all()


def test_a_formula_of_price_needs_no_model(shop: Shop, requests: Requests) -> None:
    policy = FormulaPolicy("-price")
    assert policy.needs() == {}
    assert policy.fit(shop.log).goals(requests) == {}
    np.testing.assert_allclose(policy.score(requests), within_requests(-prices(requests)), atol=1e-6)


def test_ctcvr_in_a_formula_asks_for_both_models_and_multiplies_them(
    ctr_model: AbstractPolicy, shop: Shop, requests: Requests
) -> None:
    policy = FormulaPolicy("ctcvr * price")
    assert sorted(policy.needs()) == ["ctr", "cvr"]
    predicted = policy.fit(shop.log, {"ctr": ctr_model}).goals(requests)
    np.testing.assert_array_equal(predicted["ctcvr"], predicted["ctr"] * predicted["cvr"])


def test_a_fitted_model_is_used_as_it_is_and_gives_the_bits_of_one_fitted_here(
    ctr_model: AbstractPolicy, shop: Shop, requests: Requests
) -> None:
    given_one, fitted_here = (FormulaPolicy("ctr * price").fit(shop.log, f) for f in ({"ctr": ctr_model}, None))
    assert given_one.models_.models["ctr"] is ctr_model
    assert_same_bits(given_one.score(requests), fitted_here.score(requests))


def test_formulas_over_the_same_goals_share_one_fit() -> None:
    one = FormulaPolicy("ctr**a * cvr", {"a": 1})
    other = FormulaPolicy("log(cvr) + b * ctr * price", {"b": 3})
    assert one.fit_spec() == other.fit_spec()
    assert one.seed() == other.seed()
    assert one.spec() != other.spec()


def test_formulas_over_other_goals_or_another_training_do_not_share_a_fit() -> None:
    one = FormulaPolicy("ctr * cvr")
    assert one.fit_spec() != FormulaPolicy("ctr * cart").fit_spec()
    assert one.fit_spec() != FormulaPolicy("ctr * cvr", training=Training(epochs=2)).fit_spec()


def test_a_formulas_model_is_the_goal_model_of_the_same_training() -> None:
    training = Training(epochs=2)
    needed = FormulaPolicy("ctr * stay", training=training).needs()
    assert needed == {"ctr": GoalModel("ctr", training), "stay": GoalModel("stay", training)}


def test_what_one_formula_saved_serves_another_over_the_same_goals(
    fitted: Mapping[str, AbstractPolicy], requests: Requests
) -> None:
    learned = fitted["formula"].learned()
    other = FormulaPolicy("log(ctr) + log(cvr) + 0 * stay").restore(learned)
    predicted = fitted["formula"].goals(requests)
    expected = np.log(predicted["ctr"]) + np.log(predicted["cvr"])
    np.testing.assert_allclose(other.score(requests), within_requests(expected), atol=1e-5)


def test_a_wrong_formula_is_refused_when_it_is_written() -> None:
    with pytest.raises(ValueError, match="'beta' is not"):
        FormulaPolicy.from_spec({"formula": "ctr", "params": {"beta": 1}})
    with pytest.raises(ValueError, match=r"certain given a click.*name it ctr"):
        FormulaPolicy("click * price")
    with pytest.raises(ValueError, match="goal must name actions such as click or buy, got 'buy_time'"):
        FormulaPolicy("ctr / buy_time")


def test_a_formula_knows_before_any_log_which_outcomes_it_needs() -> None:
    assert FormulaPolicy("ctr * price").outcomes() == {"click"}
    assert FormulaPolicy("ctcvr").outcomes() == {"click", "buy"}
    assert FormulaPolicy("log1p(stay) + w * like", {"w": 2}).outcomes() == {"click", "stay", "like"}
    assert FormulaPolicy("-price").outcomes() == frozenset()
    assert FormulaPolicy("crt**alpha").outcomes() == {"click", "crt", "alpha"}  # neither is known to be wrong yet


def test_a_typo_is_told_by_a_fit_with_the_nearest_name_and_both_cures() -> None:
    typo = (
        "unknown name 'crt' in the formula; did you mean 'ctr'? Or name a goal of the log "
        "(ctr, stay, apply, answer, chat, call, invitation, interview, price) or give crt a value in params"
    )
    with pytest.raises(ValueError, match=re.escape(typo)):
        FormulaPolicy("crt * stay").fit(random_recruiting())
    with pytest.raises(ValueError, match="did you mean 'alpha'"):
        FormulaPolicy("ctr**alpha * stay**alhpa", {"alpha": 1}).fit(random_recruiting())
    with pytest.raises(ValueError, match="did you mean 'price'"):
        FormulaPolicy("ctr * pric").fit(random_recruiting())


def test_a_goal_of_the_shop_in_a_feed_says_what_the_feed_lacks() -> None:
    with pytest.raises(
        ValueError, match="goal 'cvr' cannot be learned, the log has no buy; name one of its goals: ctr"
    ):
        FormulaPolicy("ctr * cvr").fit(random_feed())


POLICIES_OF_CTR = (
    WeightedSumPolicy({"ctr": 1}),
    WeightedSumPolicy({"ctr": 1, "price": 0}),
    ClickGatedPolicy({}),
    ExpSumPolicy({"ctr": 1}),
    RankReciprocalPolicy({"ctr": 1}),
)


@pytest.mark.parametrize("policy", POLICIES_OF_CTR, ids=lambda policy: str(policy.spec()))
def test_all_weight_on_ctr_ranks_as_the_ctr_model(
    policy: AbstractFusion, ctr_model: AbstractPolicy, requests: Requests
) -> None:
    found = policy.assemble({"ctr": ctr_model}).score(requests)
    np.testing.assert_array_equal(order(found), order(ctr_model.score(requests)))


@pytest.mark.parametrize("policy", [PowerProductPolicy({"ctr": 1}), ShiftedPowerProductPolicy({"ctr": 1})])
def test_a_log_of_ctr_turns_no_pair_of_the_ctr_model_round(
    policy: AbstractFusion, ctr_model: AbstractPolicy, requests: Requests
) -> None:
    """float32 may make ties of what was apart."""
    found = policy.assemble({"ctr": ctr_model}).score(requests)
    by_goal = np.take_along_axis(found, order(ctr_model.score(requests)), axis=1)
    assert (np.diff(by_goal, axis=1) <= 0).all()


def test_rules_over_the_same_goals_share_one_fit_whatever_their_parameters() -> None:
    policies: list[AbstractFusion] = [
        FormulaPolicy("ctr * cvr"),
        WeightedSumPolicy({"ctr": 1, "cvr": 9, "price": 2}),
        ClickGatedPolicy({"cvr": 3}, miscalibrated={"cvr": 3}),
        PowerProductPolicy({"ctcvr": 1}),
        ShiftedPowerProductPolicy({"ctr": 1, "cvr": 1}, {"ctr": 5}),
        ExpSumPolicy({"ctr": 1, "cvr": 1}),
        RankReciprocalPolicy({"cvr": 1, "ctr": 1}),
    ]
    assert len({policy.seed() for policy in policies}) == 1
    assert all(policy.fit_spec() == policies[0].fit_spec() for policy in policies)
    assert all(policy.needs() == {"ctr": GoalModel("ctr"), "cvr": GoalModel("cvr")} for policy in policies)
    assert WeightedSumPolicy({"ctr": 1}).fit_spec() != policies[0].fit_spec()


def test_a_rule_and_the_formula_that_spells_it_out_score_alike(
    fitted: Mapping[str, AbstractPolicy], requests: Requests
) -> None:
    """The weighted-odds identity as a formula too: w p / (1 - p + w p) ranks as p does."""
    learned = fitted["weighted_sum"].learned()

    def score(policy: AbstractFusion) -> Floats:
        return policy.restore(learned).score(requests).astype(np.float64)

    pairs: list[tuple[AbstractFusion, str]] = [
        (WeightedSumPolicy({"ctr": 1, "cvr": 2, "price": 0.01}), "ctr + 2 * cvr + 0.01 * price"),
        (ClickGatedPolicy({"cvr": 9}), "ctr * (1 + 9 * cvr)"),
        (PowerProductPolicy({"ctr": 0.5, "cvr": 2}), "0.5 * log(ctr) + 2 * log(cvr)"),
        (ShiftedPowerProductPolicy({"ctr": 2, "cvr": 3}, {"cvr": 4}), "2 * log(1 + ctr) + 3 * log(1 + 4 * cvr)"),
        (ExpSumPolicy({"ctr": 3, "cvr": 5}), "log(exp(3 * ctr) + exp(5 * cvr))"),
    ]
    for policy, text in pairs:
        np.testing.assert_allclose(score(policy), score(FormulaPolicy(f"{text} + 0 * ctr * cvr")), atol=2e-6)


def test_a_miscalibrated_goal_is_off_by_its_factor_and_no_probability_beyond_1(
    fitted: Mapping[str, AbstractPolicy], requests: Requests
) -> None:
    learned = fitted["formula"].learned()
    right = FormulaPolicy("ctcvr * stay").restore(learned).goals(requests)
    off = FormulaPolicy("ctcvr * stay", miscalibrated={"cvr": 3, "stay": 300}).restore(learned).goals(requests)
    np.testing.assert_array_equal(off["ctr"], right["ctr"])
    np.testing.assert_array_equal(off["cvr"], np.minimum(3 * right["cvr"], 1))
    np.testing.assert_array_equal(off["stay"], 300 * right["stay"])
    np.testing.assert_array_equal(off["ctcvr"], off["ctr"] * off["cvr"])
    at_most = FormulaPolicy("cvr", miscalibrated={"cvr": 1e9}).restore(learned).goals(requests)
    assert (at_most["cvr"] == 1).all()


@pytest.mark.parametrize("factor", [3, 1 / 3])
def test_a_miscalibrated_goal_turns_the_weighted_sum_but_neither_products_nor_ranks(
    factor: float, fitted: Mapping[str, AbstractPolicy], requests: Requests
) -> None:
    learned = fitted["formula"].learned()

    def ranking(policy: AbstractFusion) -> np.ndarray:
        return order(policy.restore(learned).score(requests))

    off = {"cvr": factor}
    weights, equal = {"ctr": 1, "cvr": 1}, np.testing.assert_array_equal
    assert (FormulaPolicy("cvr").restore(learned).goals(requests)["cvr"] < 1 / 3).all()  # or 1 would make ties
    equal(ranking(PowerProductPolicy(ONE, miscalibrated=off)), ranking(PowerProductPolicy(ONE)))
    equal(ranking(RankReciprocalPolicy(weights, miscalibrated=off)), ranking(RankReciprocalPolicy(weights)))
    for kind in (WeightedSumPolicy, ExpSumPolicy, ShiftedPowerProductPolicy):
        assert (ranking(kind(weights, miscalibrated=off)) != ranking(kind(weights))).any(), kind.name


def test_what_is_miscalibrated_must_be_a_goal_model_with_a_factor() -> None:
    with pytest.raises(ValueError, match="must name goal models of this policy, got price, stay; there are: ctr, cvr"):
        WeightedSumPolicy({"ctcvr": 1, "price": 1}, miscalibrated={"price": 2, "stay": 2})
    for factor in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"miscalibrated must be factors > 0, got {'ctr'"):
            WeightedSumPolicy({"ctr": 1}, miscalibrated={"ctr": factor})


def test_a_rule_over_a_goal_that_the_log_does_not_have_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="the log has no lik; did you mean 'like'"):
        WeightedSumPolicy({"ctr": 1, "lik": 2}).fit(random_feed())


def test_the_rules_that_a_policy_cannot_have_are_refused_when_it_is_written() -> None:
    with pytest.raises(ValueError, match="weights must name goals"):
        WeightedSumPolicy.from_spec({"weights": {}})
    with pytest.raises(ValueError, match="certain given a click"):
        ClickGatedPolicy({"click": 1})
    with pytest.raises(ValueError, match="finite number"):
        ExpSumPolicy({"ctr": np.inf})
