from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from policies.rules import (
    ClickGated,
    ExpSum,
    Fusion,
    PowerProduct,
    RankReciprocal,
    Rule,
    ShiftedPowerProduct,
    WeightedSum,
    as_scores,
    check_fusion,
    prices,
    ranks,
)
from sim.records import Floats
from tests.logs import asking, table_of_items, table_of_users

ONE = {"ctr": 1, "cvr": 1, "price": 1}
RULES: tuple[Rule, ...] = (
    WeightedSum({"ctr": 3, "cvr": -1, "stay": 0.01}),
    ClickGated({"cvr": 4, "stay": 0.1}),
    PowerProduct({"ctr": 1.5, "cvr": 0.5, "price": -0.3}),
    ShiftedPowerProduct({"ctr": 2, "cvr": 0.5, "price": -1}, {"ctr": 4}, {"cvr": 0.02}),
    ExpSum({"ctr": 5, "cvr": -20, "price": 0.1}),
    RankReciprocal({"ctr": 2, "cvr": 1, "stay": 0.3}, {"cvr": 0.5}, {"ctr": 10}),
)
TYPES = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


def goals(seed: int = 0, shape: tuple[int, int] = (20, 50)) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    ctr, cvr = rng.beta(1, 20, size=shape), rng.beta(1, 30, size=shape)
    stay, price = rng.lognormal(3, 0.7, size=shape), rng.lognormal(3, 0.7, size=shape)
    return {"ctr": ctr, "cvr": cvr, "ctcvr": ctr * cvr, "stay": stay, "price": price}


def order(values: Floats) -> np.ndarray:
    return np.argsort(-values, axis=1, kind="stable")


def by_hand(rule: Rule, values: Mapping[str, Floats]) -> Floats:
    """The definitions, one candidate at a time; products and sums of exponentials as they are, without logs."""
    wanted = np.zeros(values["ctr"].shape)
    for r, c in np.ndindex(*wanted.shape):
        p = {goal: float(value[r, c]) for goal, value in values.items()}
        match rule:
            case WeightedSum(weights):
                wanted[r, c] = sum(w * p[g] for g, w in weights.items())
            case ClickGated(weights):
                wanted[r, c] = p["ctr"] * (1 + sum(w * p[g] for g, w in weights.items()))
            case PowerProduct(exponents):
                wanted[r, c] = np.prod([p[g] ** a for g, a in exponents.items()])
            case ShiftedPowerProduct(exponents, weights, shifts):
                factors = [(shifts.get(g, 1) + weights.get(g, 1) * p[g]) ** a for g, a in exponents.items()]
                wanted[r, c] = np.prod(factors)
            case ExpSum(weights):
                wanted[r, c] = sum(np.exp(w * p[g]) for g, w in weights.items())
            case RankReciprocal(weights, exponents, shifts):
                rank = {g: 1 + sum(float(other) > p[g] for other in values[g][r]) for g in weights}
                terms = [w / (rank[g] ** exponents.get(g, 1) + shifts.get(g, 0)) for g, w in weights.items()]
                wanted[r, c] = sum(terms)
    return wanted


@TYPES
def test_a_rule_is_its_definition(rule: Rule) -> None:
    g = goals(shape=(6, 20))
    in_logs = isinstance(rule, PowerProduct | ShiftedPowerProduct | ExpSum)
    found = np.exp(rule(g)) if in_logs else rule(g)
    np.testing.assert_allclose(found, by_hand(rule, g), rtol=1e-10)


def test_every_rule_is_tried_here() -> None:
    choices = TypeAdapter(Fusion).json_schema()["discriminator"]["mapping"]
    assert {rule.type for rule in RULES} == set(choices)  # type: ignore[attr-defined]


@TYPES
def test_a_rule_is_read_by_its_type_and_written_back(rule: Rule) -> None:
    reader: TypeAdapter[Any] = TypeAdapter(Fusion)
    text = reader.dump_json(rule)
    assert reader.validate_json(text, strict=True) == rule


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "product", "exponents": {"ctr": 1}},
        {"exponents": {"ctr": 1}},
        {"type": "weighted_sum", "exponents": {"ctr": 1}},
        {"type": "exp_sum", "weights": {"ctr": "much"}},
    ],
)
def test_another_type_or_the_keys_of_another_rule_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Fusion).validate_json(json.dumps(wrong), strict=True)


@TYPES
def test_a_rule_asks_for_the_goals_it_uses_and_for_no_others(rule: Rule) -> None:
    g = goals()
    np.testing.assert_array_equal(rule({goal: g[goal] for goal in rule.goals}), rule(g))
    for goal in rule.goals:
        with pytest.raises(ValueError, match=f"this model predicts .*, the fusion asks for {goal}"):
            rule({name: value for name, value in g.items() if name != goal})


def test_a_fusion_of_what_a_policy_does_not_predict_is_refused() -> None:
    check_fusion(PowerProduct(ONE), "esmm", ["ctr", "cvr", "ctcvr"])
    with pytest.raises(ValueError, match="fusion: esmm predicts ctr, cvr and ctcvr, not cart, stay; drop them"):
        check_fusion(ClickGated({"stay": 1, "cart": 1, "cvr": 1}), "esmm", ["ctr", "cvr", "ctcvr"])


@TYPES
@pytest.mark.parametrize("extreme", [0.0, 1.0, 1e-300])
def test_extreme_goals_give_finite_scores(rule: Rule, extreme: float) -> None:
    assert np.isfinite(rule({goal: np.full((2, 3), extreme) for goal in goals()})).all()


@pytest.mark.parametrize("number", [1e308, -1e308])
@pytest.mark.parametrize(
    "make",
    [
        lambda x: WeightedSum({"ctr": x, "stay": x, "price": -x}),
        lambda x: ClickGated({"stay": x, "price": x}),
        lambda x: PowerProduct({"ctr": x, "stay": x}),
        lambda x: ShiftedPowerProduct({"ctr": x, "stay": -x}, {"stay": x}, {"ctr": abs(x)}),
        lambda x: ExpSum({"ctr": x, "stay": x}),
        lambda x: RankReciprocal({"ctr": x, "stay": x}, {"ctr": abs(x)}, {"stay": abs(x)}),
    ],
)
def test_extreme_parameters_give_finite_scores(make: Callable[[float], Rule], number: float) -> None:
    assert np.isfinite(make(number)(goals())).all()


@TYPES
def test_a_rule_treats_candidates_alike_wherever_they_stand(rule: Rule) -> None:
    """Ties among them: a goal with few values, and pairs of equal candidates."""
    g = {goal: np.round(value, 2) for goal, value in goals().items()}
    turn = np.random.default_rng(1).permutation(50)
    np.testing.assert_array_equal(rule({goal: value[:, turn] for goal, value in g.items()}), rule(g)[:, turn])


@pytest.mark.parametrize("goal", ["ctr", "cvr", "price"])
@pytest.mark.parametrize(
    "make",
    [
        lambda weights: WeightedSum(weights),
        lambda weights: PowerProduct(weights),
        lambda weights: ShiftedPowerProduct(weights),
        lambda weights: ShiftedPowerProduct(dict.fromkeys(weights, 1), weights),
        lambda weights: ExpSum(weights),
        lambda weights: RankReciprocal(weights),
    ],
)
def test_all_weight_on_one_goal_ranks_as_that_goal(make: Callable[[dict[str, float]], Rule], goal: str) -> None:
    g = goals()
    for weights in ({**dict.fromkeys(ONE, 0.0), goal: 1.0}, {goal: 1.0}):
        np.testing.assert_array_equal(order(make(weights)(g)), order(g[goal]))


def test_nothing_after_the_click_leaves_ctr_alone() -> None:
    g = goals()
    np.testing.assert_array_equal(ClickGated({})(g), g["ctr"])
    np.testing.assert_array_equal(ClickGated({"cvr": 0})(g), g["ctr"])


def test_a_gate_makes_exposure_goals_of_what_follows_the_click() -> None:
    """ctr (1 + w cvr) = ctr + w ctcvr."""
    g = goals()
    np.testing.assert_allclose(ClickGated({"cvr": 7})(g), WeightedSum({"ctr": 1, "ctcvr": 7})(g), rtol=1e-12)


def test_a_shifted_power_product_tends_to_the_weighted_sum_of_w_times_a() -> None:
    """log prod (b + w p)^a = const + sum a w p / b - r: to first order, and the rest r falls with the square.

    |log(1 + x) - x| <= x^2 / 2 for x >= 0.
    """
    g, a = goals(), {"ctr": 2.0, "cvr": 3.0}
    shifts = {"cvr": 0.5}
    for small in (1e-2, 1e-4, 1e-6):
        w = {"ctr": small, "cvr": 5 * small}
        x = {goal: w[goal] * g[goal] / shifts.get(goal, 1) for goal in a}
        found = ShiftedPowerProduct(a, w, shifts)(g) - a["cvr"] * np.log(0.5)
        linear = WeightedSum({goal: w[goal] * a[goal] / shifts.get(goal, 1) for goal in a})(g)
        bound = sum(a[goal] * x[goal] ** 2 / 2 for goal in a)
        assert (np.abs(found - linear) <= bound + 1e-14).all()


def test_without_shifts_it_is_the_power_product() -> None:
    g, a = goals(), {"ctr": 2, "price": 0.5}
    found = ShiftedPowerProduct(a, {}, dict.fromkeys(a, 0))(g)
    np.testing.assert_allclose(found, PowerProduct(a)(g), rtol=1e-12)


def test_a_sum_of_exponentials_orders_where_exponentials_overflow() -> None:
    """exp(1000) is infinite in floats, and all would be tied."""
    values = {"stay": np.array([[1000.0, 1001.0, 2000.0]])}
    np.testing.assert_array_equal(ExpSum({"stay": 1})(values), values["stay"])


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


@pytest.mark.parametrize("rising", [np.log, np.sqrt, lambda p: 3 * p, lambda p: p**3 - 7, np.arctan])
def test_rank_reciprocal_does_not_change_under_a_rising_map_of_a_goal(rising: Callable[[Floats], Floats]) -> None:
    g, rule = goals(), RankReciprocal({"ctr": 2, "cvr": 1, "price": 0.5}, {"cvr": 0.3}, {"ctr": 5})
    for goal in rule.goals:
        np.testing.assert_array_equal(rule({**g, goal: rising(g[goal])}), rule(g))


def test_a_weighted_sum_does_not_mind_a_common_factor_but_a_factor_on_one_goal() -> None:
    g = goals()
    before = order(WeightedSum(ONE)(g))
    np.testing.assert_array_equal(order(WeightedSum({goal: 4 * w for goal, w in ONE.items()})(g)), before)
    assert (order(WeightedSum(ONE)({**g, "cvr": 3 * g["cvr"]})) != before).any()


def test_equal_candidates_share_the_best_of_their_ranks() -> None:
    values = np.array([[0.2, 0.9, 0.2, 0.1, 0.9], [1, 1, 1, 1, 1], [5, 4, 3, 2, 1]], dtype=float)
    np.testing.assert_array_equal(ranks(values), [[3, 1, 3, 5, 1], [1, 1, 1, 1, 1], [1, 2, 3, 4, 5]])
    assert ranks(np.zeros((0, 4))).shape == (0, 4)


def test_power_product_of_ones_ranks_by_expected_revenue() -> None:
    g = goals()
    np.testing.assert_array_equal(order(PowerProduct(ONE)(g)), order(g["ctr"] * g["cvr"] * g["price"]))


def test_ctcvr_is_ctr_times_cvr() -> None:
    g = goals()
    np.testing.assert_allclose(PowerProduct({"ctcvr": 1})(g), PowerProduct({"ctr": 1, "cvr": 1})(g), rtol=1e-12)


def test_a_negative_exponent_turns_the_ranking_round() -> None:
    g = goals()
    np.testing.assert_allclose(PowerProduct({"price": -1})(g), -PowerProduct({"price": 1})(g))


@pytest.mark.parametrize("make", [WeightedSum, PowerProduct, ShiftedPowerProduct, ExpSum, RankReciprocal])
@pytest.mark.parametrize("numbers", [{}, {"": 1}, {"ctr": 1, "c t r": 2}, {"ctr*cvr": 1}])
def test_parameters_must_name_goals(make: Callable[[dict[str, float]], Rule], numbers: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must name goals such as ctr, cvr or price, got \["):
        make(numbers)


@pytest.mark.parametrize("make", [WeightedSum, ClickGated, PowerProduct, ShiftedPowerProduct, ExpSum, RankReciprocal])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_parameters_must_be_finite(make: Callable[[dict[str, float]], Rule], bad: float) -> None:
    """NaN passes every comparison the wrong way and would turn all scores into NaN while serving."""
    with pytest.raises(ValueError, match=r"must be finite numbers, got {'cvr'"):
        make({"cvr": bad})


@pytest.mark.parametrize("goal", ["ctr", "ctcvr"])
def test_a_gate_must_not_weigh_what_it_multiplies_in(goal: str) -> None:
    with pytest.raises(ValueError, match=f"weights must name what follows a click, .* got '{goal}'; drop it"):
        ClickGated({goal: 1})


def test_further_parameters_must_be_of_the_goals_and_within_bounds() -> None:
    with pytest.raises(ValueError, match="weights must name goals that exponents name, got cvr"):
        ShiftedPowerProduct({"ctr": 1}, {"cvr": 1})
    with pytest.raises(ValueError, match="shifts must be from 0"):
        ShiftedPowerProduct({"ctr": 1}, {}, {"ctr": -1})
    with pytest.raises(ValueError, match="exponents must name goals that weights name, got price"):
        RankReciprocal({"ctr": 1}, {"price": 1})
    with pytest.raises(ValueError, match="shifts must be from 0"):
        RankReciprocal({"ctr": 1}, {}, {"ctr": -1})
    with pytest.raises(ValueError, match="exponents must be from 0, or the worst rank would count most"):
        RankReciprocal({"ctr": 1}, {"ctr": -1})


def test_prices_are_in_currency_units() -> None:
    requests = asking(table_of_users(2), [[0, 1], [2, 3]], table_of_items(20))
    np.testing.assert_array_equal(prices(requests), [[10, 11], [12, 13]])


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
