"""Position bias: which slots are looked at does not depend on what stands in them."""

from __future__ import annotations

import numpy as np
import pytest

from sim.attention import PositionBased
from tests.asserts import assert_proportion
from tests.worlds import ecommerce

JOACHIMS = (0.68, 0.61, 0.48, 0.34, 0.28, 0.20, 0.11, 0.10, 0.08, 0.06)
RNG = np.random.default_rng


def test_the_shop_is_read_by_the_eye_tracking_curve() -> None:
    """Joachims' eye tracking as in the ULTRA toolbox: the field's default."""
    assert ecommerce().attention.examination == JOACHIMS


def test_slots_are_examined_at_their_probabilities() -> None:
    looked = PositionBased(JOACHIMS).draw(RNG(0).random((40_000, 10)))
    for slot, probability in enumerate(JOACHIMS):
        assert_proportion(looked[:, slot], probability)


def test_certain_slots_are_always_and_impossible_ones_never_examined() -> None:
    luck = np.array([[np.nextafter(0, 1)] * 2, [1 - 2.0**-53] * 2])
    assert PositionBased((1.0, 0.0)).draw(luck).tolist() == [[True, False]] * 2


def test_click_probability_is_examination_times_attraction() -> None:
    found = PositionBased((1.0, 0.5, 0.0)).click_probability(np.array([[0.2, 0.4, 0.9]]))
    np.testing.assert_allclose(found, [[0.2, 0.2, 0.0]])


def test_length_of_the_curve_is_the_length_of_a_page() -> None:
    assert PositionBased((0.5, 0.4, 0.3)).slots == 3


def test_empty_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="examination must name at least one slot, got none; try"):
        PositionBased(())


@pytest.mark.parametrize("wrong", [-0.1, 1.2, float("nan")])
def test_numbers_that_are_no_probabilities_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"examination must be probabilities in \[0, 1\], got"):
        PositionBased((0.5, wrong))
