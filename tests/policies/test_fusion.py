from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.base import AbstractPolicy
from policies.fusion import FormulaPolicy, PowerProduct, as_scores, prices
from policies.goal import GoalModel
from policies.training import Training
from sim.records import Floats, Requests
from tests.contracts import assert_same_bits
from tests.logs import Shop, asking, random_feed, random_recruiting, table_of_items, table_of_users

ONE = {"ctr": 1, "cvr": 1, "price": 1}


def goals(seed: int = 0, shape: tuple[int, int] = (20, 50)) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    ctr, cvr = rng.beta(1, 20, size=shape), rng.beta(1, 30, size=shape)
    return {"ctr": ctr, "cvr": cvr, "ctcvr": ctr * cvr, "price": rng.lognormal(3, 0.7, size=shape)}


def order(values: Floats) -> np.ndarray:
    return np.argsort(-values, axis=1, kind="stable")


@pytest.fixture(scope="module")
def ctr_model(fitted: Mapping[str, AbstractPolicy]) -> AbstractPolicy:
    return fitted["goal"]


def test_power_product_is_the_log_of_the_product_of_powers() -> None:
    g = goals()
    product = PowerProduct({"ctr": 1.5, "cvr": 0.5, "price": -0.3})(g)
    np.testing.assert_allclose(np.exp(product), g["ctr"] ** 1.5 * g["cvr"] ** 0.5 * g["price"] ** -0.3, rtol=1e-9)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.sampled_from(["ctr", "cvr", "price"]), st.floats(-3, 3), min_size=1),
    st.sampled_from(["ctr", "cvr", "price"]),
    st.sampled_from([2.0**-20, 0.25, 2.0, 1024.0]),
)
def test_power_product_shifts_all_scores_alike_when_a_goal_is_scaled(
    exponents: dict[str, float], goal: str, factor: float
) -> None:
    """log(k g)^a = a log k + a log g: differences, hence the ranking, do not move (goals held above 1e-12)."""
    g = {name: np.maximum(values, 1e-4) for name, values in goals().items()}
    shift = PowerProduct(exponents)({**g, goal: g[goal] * factor}) - PowerProduct(exponents)(g)
    np.testing.assert_allclose(shift, exponents.get(goal, 0.0) * np.log(factor), atol=1e-9)


def test_power_product_ranking_does_not_depend_on_the_unit_of_a_goal() -> None:
    g = goals()
    for goal in ONE:
        np.testing.assert_array_equal(order(PowerProduct(ONE)(g)), order(PowerProduct(ONE)({**g, goal: 100 * g[goal]})))


@pytest.mark.parametrize("goal", ["ctr", "cvr", "price"])
def test_power_product_with_one_exponent_ranks_as_that_goal(goal: str) -> None:
    g = goals()
    np.testing.assert_array_equal(order(PowerProduct({**dict.fromkeys(ONE, 0), goal: 1})(g)), order(g[goal]))
    np.testing.assert_array_equal(order(PowerProduct({goal: 1})(g)), order(g[goal]))


def test_power_product_of_ones_ranks_by_expected_revenue() -> None:
    g = goals()
    np.testing.assert_array_equal(order(PowerProduct(ONE)(g)), order(g["ctr"] * g["cvr"] * g["price"]))


def test_ctcvr_is_ctr_times_cvr() -> None:
    g = goals()
    np.testing.assert_allclose(PowerProduct({"ctcvr": 1})(g), PowerProduct({"ctr": 1, "cvr": 1})(g), rtol=1e-12)


def test_a_negative_exponent_turns_the_ranking_round() -> None:
    g = goals()
    np.testing.assert_allclose(PowerProduct({"price": -1})(g), -PowerProduct({"price": 1})(g))


def test_a_goal_of_zero_gives_a_finite_score() -> None:
    nothing = {"ctr": np.zeros((1, 3)), "cvr": np.ones((1, 3)), "price": np.ones((1, 3))}
    assert np.isfinite(PowerProduct(ONE)(nothing)).all()
    assert np.isfinite(PowerProduct({"ctr": -5})(nothing)).all()


@pytest.mark.parametrize("exponents", [{}, {"": 1}, {"ctr": 1, "c t r": 2}, {"ctr*cvr": 1}])
def test_exponents_must_name_goals(exponents: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"exponents must name goals such as ctr, cvr or price, got \["):
        PowerProduct(exponents)


def test_exponents_may_name_any_goal_that_a_model_predicts() -> None:
    like, ctr = goals()["cvr"], goals()["ctr"]
    found = PowerProduct({"ctr": 1, "like": 2})({"ctr": ctr, "like": like})
    np.testing.assert_allclose(np.exp(found), ctr * like**2, rtol=1e-9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_exponents_must_be_finite(bad: float) -> None:
    """NaN passes every comparison the wrong way and would turn all scores into NaN while serving."""
    with pytest.raises(ValueError, match="ctr"):
        PowerProduct({"ctr": bad})


def test_a_model_without_the_goal_asked_for_says_what_it_predicts() -> None:
    with pytest.raises(ValueError, match=r"predicts ctr, the exponents ask for cvr"):
        PowerProduct({"ctr": 1, "cvr": 1})({"ctr": np.ones((1, 1))})


def test_prices_are_in_currency_units() -> None:
    requests = asking(table_of_users(2), [[0, 1], [2, 3]], table_of_items(20))
    np.testing.assert_array_equal(prices(requests), [[10, 11], [12, 13]])


def within_requests(values: np.ndarray) -> np.ndarray:
    """Values centred and scaled per request, as scores are."""
    centred = values - values.mean(axis=1, keepdims=True)
    return centred / np.abs(centred).max(axis=1, keepdims=True)


@pytest.mark.parametrize("values", [[1e300, -1e300, 1.5], [3e-57, 1e-57, 2e-57], [100000.003, 100000.001, 100000.002]])
def test_huge_tiny_and_close_values_keep_their_order_as_float32_scores(values: list[float]) -> None:
    """Cast as they are, the second three would all be 0 and the third all 100000: ranked by chance."""
    requests = asking(table_of_users(1), [[0, 1, 2]], table_of_items(20))
    scores = as_scores(np.array([values]), requests)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert np.argsort(scores[0]).tolist() == np.argsort(values).tolist()
    assert len(set(scores[0].tolist())) == 3


def test_a_value_for_all_becomes_an_equal_score_for_each() -> None:
    requests = asking(table_of_users(2), [[0, 1], [2, 3]], table_of_items(20))
    np.testing.assert_array_equal(as_scores(np.asarray(2.0), requests), np.zeros((2, 2), dtype=np.float32))


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
    assert given_one.models_["ctr"] is ctr_model
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
