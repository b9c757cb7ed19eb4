"""How a page is looked at: four models, their limits, and how one becomes another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from policies.baselines import Production
from sim.attention import AbstractAttention, Attention, Cascade, DynamicBayesian, PositionBased, TrustBias
from sim.engine import Arm
from sim.served import Served
from tests.asserts import assert_differs_from_zero, assert_mean, assert_proportion
from tests.contracts_sim import CHECKS, drawn, pages
from tests.worlds import ecommerce, serve_once, small_world

JOACHIMS = (0.68, 0.61, 0.48, 0.34, 0.28, 0.20, 0.11, 0.10, 0.08, 0.06)
TRUST = (0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.0, 0.0, 0.0)
RNG = np.random.default_rng
MODELS: dict[str, AbstractAttention] = {
    "position": PositionBased(JOACHIMS),
    "certain": PositionBased((1.0, 0.5, 0.0)),
    "trust": TrustBias(JOACHIMS, TRUST),
    "cascade": Cascade(10),
    "dependent clicks": Cascade(10, leave_after_skip=0.1, leave_after_click=0.4),
    "feed": Cascade(1, leave_after_skip=0.2, leave_after_click=0.05),
    "bayesian": DynamicBayesian(10, perseverance=0.9),
    "one slot": DynamicBayesian(1, perseverance=0.7),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_model_keeps_the_contract(check: Callable[[AbstractAttention], None], model: AbstractAttention) -> None:
    check(model)


def test_the_contract_sees_a_draw_that_forgets_its_curve() -> None:
    class Forgetful(PositionBased):
        def draw(self, luck: np.ndarray) -> np.ndarray:
            return luck < 0.5

    with pytest.raises(AssertionError, match="standard errors"):
        {check.__name__: check for check in CHECKS}["draws_agree_with_the_closed_form"](Forgetful(JOACHIMS))


def test_the_shop_is_read_by_the_eye_tracking_curve() -> None:
    """Joachims' eye tracking as in the ULTRA toolbox: the field's default."""
    assert ecommerce().attention == PositionBased(JOACHIMS)


# Position -----------------------------------------------------------------------------------------------------


def test_certain_slots_are_always_and_impossible_ones_never_examined() -> None:
    luck = np.array([[np.nextafter(0, 1)] * 2, [1 - 2.0**-53] * 2])
    assert PositionBased((1.0, 0.0)).draw(luck).tolist() == [[True, False]] * 2


def test_click_probability_is_examination_times_attraction() -> None:
    found = PositionBased((1.0, 0.5, 0.0)).click_probability(np.array([[0.2, 0.4, 0.9]]), np.zeros((1, 3)))
    np.testing.assert_allclose(found, [[0.2, 0.2, 0.0]])


def test_length_of_the_curve_is_the_length_of_a_page() -> None:
    assert PositionBased((0.5, 0.4, 0.3)).slots == 3
    assert TrustBias((0.5, 0.4), (0.1, 0.0)).slots == 2
    assert Cascade(7).slots == DynamicBayesian(7).slots == 7


@pytest.mark.parametrize(
    ("model", "satisfaction"),
    [
        (PositionBased((1.0,) * 5), 0.7),
        (TrustBias((1.0,) * 5, (0.0,) * 5), 0.7),
        (Cascade(5, leave_after_skip=0.0, leave_after_click=0.0), 0.7),
        (DynamicBayesian(5, perseverance=1.0), 0.0),
    ],
    ids=["position", "trust", "cascade", "bayesian"],
)
def test_with_the_bias_off_slots_are_exchangeable(model: AbstractAttention, satisfaction: float) -> None:
    """Everything is examined, and the chance of a click is the item's attraction in whatever slot."""
    attraction = pages(model, 20)[0]
    content = np.full(attraction.shape, satisfaction)
    assert (model.examination_probability(attraction, content) == 1).all()
    np.testing.assert_array_equal(model.click_probability(attraction, content), attraction)
    np.testing.assert_array_equal(model.click_probability(attraction[:, ::-1], content), attraction[:, ::-1])
    assert (model.onward_probability(attraction, content) == 1).all()


# Trust --------------------------------------------------------------------------------------------------------


def test_trust_of_zero_is_the_position_based_model_bit_for_bit() -> None:
    plain, trusting = PositionBased(JOACHIMS), TrustBias(JOACHIMS, (0.0,) * 10)
    attraction, satisfaction = pages(plain, 100)
    single = attraction.astype(np.float32)
    for given in (attraction, single):
        one, other = (model.click_probability(given, satisfaction) for model in (plain, trusting))
        assert one.tobytes() == other.tobytes()
    luck = RNG(1).random((50, 10))
    assert plain.draw(luck).tobytes() == trusting.draw(luck).tobytes()


def test_trust_of_zero_serves_the_position_based_visit_bit_for_bit() -> None:
    plain = serve_once(small_world(300))
    trusting = serve_once(small_world(300, attention=TrustBias(JOACHIMS, (0.0,) * 10)))
    assert_same_visits(plain, trusting)


def test_trust_clicks_what_does_not_attract() -> None:
    model = TrustBias((1.0, 1.0), (0.3, 0.0))
    nothing = np.zeros((1, 2))
    assert model.click_probability(nothing, nothing).tolist() == [[0.3, 0.0]]
    assert_proportion(drawn(model, nothing, nothing, 20_000)[1][:, 0], 0.3)


def test_swapping_two_items_changes_clicks_less_than_attraction_says() -> None:
    """Joachims et al. 2005: with the two top results exchanged, the first is still clicked more.

    Both slots are examined; of what attraction says, (a - b), trust lets (a - b)(1 - trust) be seen.
    """
    model, a, b, n = TrustBias((1.0, 1.0), (0.5, 0.1)), 0.4, 0.3, 100_000
    content = np.zeros((1, 2))
    straight = drawn(model, np.array([[a, b]]), content, n, seed=3)[1]
    swapped = drawn(model, np.array([[b, a]]), content, n, seed=4)[1]
    change = straight[:, 0].astype(float) - swapped[:, 0]
    assert_mean(change, (a - b) * (1 - 0.5))
    assert_differs_from_zero(change - (a - b), z=10)
    assert swapped[:, 0].mean() > swapped[:, 1].mean()  # though the better item stands second


# Cascade ------------------------------------------------------------------------------------------------------


def test_cascade_stops_at_the_first_click() -> None:
    attraction, satisfaction = pages(Cascade(10), 1)
    examined, clicked, onward = drawn(Cascade(10), attraction, satisfaction, 5000)
    assert clicked.sum(axis=1).max() == 1
    assert np.array_equal(onward, ~clicked.any(axis=1))
    first = np.where(clicked.any(axis=1), clicked.argmax(axis=1), 9)
    assert np.array_equal(examined.sum(axis=1), first + 1)


def test_cascade_clicks_at_the_product_of_skips_above() -> None:
    """Craswell et al. 2008, eq. 4: P(click at i) = r_i prod_{j<i} (1 - r_j)."""
    attraction, satisfaction = pages(Cascade(6), 30)
    above = np.cumprod(np.concatenate([np.ones((30, 1)), 1 - attraction[:, :-1]], axis=1), axis=1)
    np.testing.assert_allclose(Cascade(6).click_probability(attraction, satisfaction), attraction * above)


def test_cascade_in_a_world_clicks_once_a_visit_at_most_and_shows_no_page_after() -> None:
    wave = serve_once(small_world(500, attention=Cascade(10)))
    assert np.bincount(wave.click_visit).max() == 1
    last = np.zeros(len(wave.user), dtype=np.int64)
    np.maximum.at(last, wave.visit_of, wave.page)
    assert np.array_equal(wave.page[wave.click_page], last[wave.click_visit])


def test_who_leaves_for_certain_after_a_skip_sees_one_item() -> None:
    model = Cascade(4, leave_after_skip=1.0, leave_after_click=1.0)
    examined, _, onward = drawn(model, np.full((1, 4), 0.3), np.zeros((1, 4)), 1000)
    assert (examined.sum(axis=1) == 1).all()
    assert not onward.any()


# Dynamic Bayesian network ------------------------------------------------------------------------------------------


def test_bayesian_network_of_satisfied_tireless_people_is_the_cascade() -> None:
    attraction = pages(Cascade(10), 50)[0]
    ones = np.ones(attraction.shape)
    network, cascade = DynamicBayesian(10, perseverance=1.0), Cascade(10)
    for chance in ("examination_probability", "click_probability", "onward_probability"):
        np.testing.assert_array_equal(
            getattr(network, chance)(attraction, ones), getattr(cascade, chance)(attraction, ones)
        )
    one, other = (drawn(model, attraction[:1], ones[:1], 2000) for model in (network, cascade))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_more_satisfaction_never_lets_more_be_examined_below() -> None:
    model = DynamicBayesian(6, perseverance=0.9)
    attraction, satisfaction = pages(model, 30)
    content = satisfaction + 0.5 * (1 - satisfaction)
    before, after = (model.examination_probability(attraction, s) for s in (satisfaction, content))
    assert (after[:, 0] == before[:, 0]).all()
    assert (after[:, 1:] < before[:, 1:]).all()


@pytest.mark.parametrize(
    "model",
    [Cascade(10, 0.05, 0.5), DynamicBayesian(10, 0.9), TrustBias(JOACHIMS, TRUST)],
    ids=["cascade", "bayesian", "trust"],
)
def test_clicks_of_a_world_come_at_the_chances_of_its_model(model: Any) -> None:
    """On first pages and on later ones, among those whom a page reached."""
    world = small_world(3000, attention=model)
    wave = serve_once(world, Arm("production", Production()))
    clicked = np.zeros(wave.item.shape)
    clicked[wave.click_page, wave.click_slot] = 1
    for pages_ in (wave.page == 0, wave.page > 0):
        assert pages_.sum() > 200
        assert_mean((clicked - wave.click_probability)[pages_].sum(axis=1), 0)
    assert not (clicked.astype(bool) & ~wave.examined).any()


@pytest.mark.parametrize("model", [Cascade(10, 0.05, 0.5), DynamicBayesian(10, 0.9)], ids=["cascade", "bayesian"])
def test_stated_rate_of_clicks_is_reached_when_reading_from_the_top(model: Any) -> None:
    world = small_world(12_000, attention=model)
    clicks, shown = 0.0, 0
    for day in range(6):
        wave = serve_once(world, day=day, rows=np.arange(12_000)[day::6])
        clicks, shown = clicks + wave.click_probability.sum(), shown + wave.item.size
    assert clicks / shown == pytest.approx(0.05, rel=0.05)  # pools differ from the calibration's by about 1.5 %


# YAML -----------------------------------------------------------------------------------------------------------

ADAPTER: TypeAdapter[Any] = TypeAdapter(Attention)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_model_is_named_by_its_type_and_comes_back_the_same(model: AbstractAttention) -> None:
    written = ADAPTER.dump_json(model)
    assert b'"type":"' in written
    back = ADAPTER.validate_json(written)
    assert back == model
    assert type(back) is type(model)


def test_unknown_type_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python({"type": "pyramid", "length": 3})
    (problem,) = caught.value.errors()
    for name in ("position_based", "trust_bias", "cascade", "dynamic_bayesian"):
        assert name in problem["msg"]


def test_wrong_field_is_judged_by_the_chosen_type_alone() -> None:
    with pytest.raises(ValidationError) as caught:
        ADAPTER.validate_python({"type": "cascade", "length": 3, "examination": [0.5]})
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("cascade", "examination")


def test_model_without_a_type_is_refused() -> None:
    with pytest.raises(ValidationError, match="type"):
        ADAPTER.validate_python({"examination": [0.5]})


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: PositionBased(()), "examination must name at least one slot, got none; try"),
        (lambda: TrustBias((0.5,), ()), "trust must name at least one slot, got none; try"),
        (lambda: TrustBias((0.5, 0.4), (0.1,)), "trust must name as many slots as examination, got 1 and 2"),
        (lambda: PositionBased((0.5, -0.1)), r"examination must be probabilities in \[0, 1\], got \[-0.1\]"),
        (lambda: PositionBased((0.5, float("nan"))), r"examination must be probabilities in \[0, 1\], got \[nan\]"),
        (lambda: TrustBias((0.5,), (1.2,)), r"trust must be probabilities in \[0, 1\], got \[1.2\]"),
        (lambda: Cascade(0), "length must be >= 1, got 0"),
        (lambda: Cascade(3, leave_after_click=1.1), "leave_after_click must be <= 1, got 1.1"),
        (lambda: DynamicBayesian(3, perseverance=0.0), "perseverance must be > 0, got 0.0"),
    ],
)
def test_impossible_models_are_refused(build: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build()


def assert_same_visits(one: Served, other: Served) -> None:
    """Two waves showed, saw and led to the same, bit for bit."""
    for name in ("item", "score", "propensity", "examined", "click_page", "click_slot", "stay_ms", "next_visit"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.satisfaction.tobytes() == other.satisfaction.tobytes()
    for action in one.actions:
        assert np.array_equal(one.actions[action], other.actions[action]), action
