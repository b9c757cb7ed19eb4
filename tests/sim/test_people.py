"""Users: each their own, whoever lives beside them; the shop sees a noisy part of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.catalogue import CatalogueSpec, draw_catalogue
from sim.people import People, PeopleSpec, Style, draw_people, match, segment_tastes
from tests.asserts import assert_mean, assert_proportion, assert_same_columns

ITEMS = CatalogueSpec()
SPEC = PeopleSpec(
    styles={
        "collector": Style(share=3, shifts={"collect": 0.9, "cart": -0.7}, loyalty=0.8),
        "silent": Style(share=1, shifts={"collect": -1.5}, loyalty=1.6),
    }
)
N = 20_000


@pytest.fixture(scope="module")
def many() -> People:
    return draw_people(SPEC, ITEMS, 1, np.arange(N))


def true_segment(spec: PeopleSpec, ids: np.ndarray) -> np.ndarray:
    """Read off from tastes that leave their segment's in no doubt."""
    sharp = draw_people(replace(spec, concentration=1e6), ITEMS, 1, ids)
    return np.argmax(sharp.taste @ segment_tastes(spec, ITEMS, 1).T, axis=1)


def assert_same_people(a: People, b: People) -> None:
    assert_same_columns(a, b, ("user", "taste", "price_sensitivity", "spender", "patience", "habit", "loyalty"))
    assert_same_columns(a.public, b.public)
    assert set(a.style_shift) == set(b.style_shift)
    for action in a.style_shift:
        assert np.array_equal(a.style_shift[action], b.style_shift[action])


def rows(people: People, chosen: slice | np.ndarray) -> People:
    plain = {name: getattr(people, name)[chosen] for name in People.__slots__ if name not in ("style_shift", "public")}
    shifts = {action: shift[chosen] for action, shift in people.style_shift.items()}
    return People(**plain, style_shift=shifts, public=people.public.take(np.arange(len(people))[chosen]))


def test_user_is_the_same_however_many_there_are(many: People) -> None:
    assert_same_people(draw_people(SPEC, ITEMS, 1, np.arange(23)), rows(many, slice(23)))


def test_user_is_the_same_whoever_else_is_drawn(many: People) -> None:
    ids = np.array([7, 19_000, 3])
    assert_same_people(draw_people(SPEC, ITEMS, 1, ids), rows(many, ids))


def test_calibration_people_are_not_the_users(many: People) -> None:
    sample = draw_people(SPEC, ITEMS, 1, np.arange(N), "calibration")
    assert abs(np.corrcoef(sample.spender, many.spender)[0, 1]) < 5 / np.sqrt(N)


@pytest.mark.parametrize("seed", [0, 2])
def test_another_seed_is_other_people(many: People, seed: int) -> None:
    other = draw_people(SPEC, ITEMS, seed, np.arange(N))
    assert abs(np.corrcoef(other.patience, many.patience)[0, 1]) < 5 / np.sqrt(N)


def test_public_table_holds_no_hidden_column(many: People) -> None:
    assert many.public.__slots__ == ("user", "segment", "price_band")
    hidden = {"taste", "price_sensitivity", "spender", "patience", "habit", "loyalty", "style_shift"}
    assert not hidden & set(many.public.__slots__)


def test_tastes_have_unit_length(many: People) -> None:
    np.testing.assert_allclose(np.linalg.norm(many.taste, axis=1), 1, rtol=1e-6)


def test_traits_spread_as_told(many: People) -> None:
    for values, sd in (
        (np.log(many.price_sensitivity.astype(np.float64)), SPEC.price_sensitivity_sd),
        (many.spender.astype(np.float64), SPEC.spender_sd),
        (many.patience, SPEC.patience_sd),
        (np.log(many.habit / SPEC.habit_days), SPEC.habit_sd),
    ):
        assert_mean(values, 0)
        assert_mean(values**2, sd**2)


def test_styles_come_in_their_shares(many: People) -> None:
    silent = many.loyalty == 1.6
    assert_proportion(silent, 0.25)
    assert set(np.unique(many.style_shift["collect"][silent])) == {np.float32(-1.5)}
    assert set(np.unique(many.style_shift["cart"][silent])) == {0}
    assert set(np.unique(many.style_shift["cart"][~silent])) == {np.float32(-0.7)}


def test_public_segment_is_the_true_one_for_the_share_told(many: People) -> None:
    """`segment_accuracy` is documented as the share of users whose public segment is the true one."""
    assert_proportion(many.public.segment == true_segment(SPEC, many.user), SPEC.segment_accuracy)


def test_full_accuracy_never_errs() -> None:
    spec = replace(SPEC, segment_accuracy=1.0)
    ids = np.arange(2000)
    assert np.array_equal(draw_people(spec, ITEMS, 1, ids).public.segment, true_segment(spec, ids))


def test_segments_are_about_equally_large(many: People) -> None:
    sizes = np.bincount(many.public.segment, minlength=SPEC.segments)
    expected = N / SPEC.segments
    assert (abs(sizes - expected) < 5 * np.sqrt(expected)).all()


def test_price_bands_are_thirds_that_follow_sensitivity(many: People) -> None:
    for band in range(3):
        # Borders at -0.43 and 0.43 make thirds to 0.0003; the standard error is 0.0033.
        assert_proportion(many.public.price_band == band, 1 / 3)
    medians = [np.median(many.price_sensitivity[many.public.price_band == band]) for band in range(3)]
    assert medians[0] < medians[1] < medians[2]


def test_price_band_is_not_the_sensitivity_itself(many: People) -> None:
    order = np.argsort(many.price_sensitivity)
    exact = np.empty(N, dtype=np.int64)
    exact[order] = np.arange(N) * 3 // N
    assert 0.5 < (exact == many.public.price_band).mean() < 0.9


def test_concentration_zero_makes_segments_say_nothing() -> None:
    loose = draw_people(replace(SPEC, concentration=0.0), ITEMS, 1, np.arange(N))
    typical = segment_tastes(SPEC, ITEMS, 1)[loose.public.segment]
    assert_mean((loose.taste * typical).sum(axis=1), 0)


def test_concentration_draws_tastes_to_the_segment() -> None:
    def closeness(concentration: float) -> float:
        people = draw_people(replace(SPEC, concentration=concentration), ITEMS, 1, np.arange(2000))
        return float((people.taste * segment_tastes(SPEC, ITEMS, 1)[people.public.segment]).sum(axis=1).mean())

    assert closeness(0.5) < closeness(1.5) < closeness(5.0)


def test_match_has_unit_variance_for_strangers() -> None:
    spec = replace(ITEMS, items=N, category_spread=1.0)
    people = draw_people(replace(SPEC, concentration=0.0), spec, 1, np.arange(N))
    found = match(people.taste, draw_catalogue(spec, 1).topic).astype(np.float64)
    assert_mean(found, 0)
    assert_mean(found**2, 1)


def test_match_of_a_row_does_not_depend_on_the_other_rows(many: People) -> None:
    topic = draw_catalogue(ITEMS, 1).topic
    together = match(many.taste[:300, None, :], topic[None, :50, :])
    alone = np.array([[match(many.taste[u], topic[i]) for i in range(50)] for u in range(300)])
    assert together.tobytes() == alone.astype(np.float32).tobytes()


def test_no_styles_are_refused() -> None:
    with pytest.raises(ValueError, match="styles must hold at least one style, got none"):
        PeopleSpec(styles={})
