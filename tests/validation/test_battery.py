"""The quick form of the battery: every figure in its band; `make validate` runs the full one."""

from __future__ import annotations

import pytest

from tests.validation.measured import Measured, Size, band, share
from tests.validation.table import CHECKS


def failures(found: list[Measured]) -> list[str]:
    return [f"{one.what}: {one.value:.5g} outside {one.low:.5g} to {one.high:.5g}" for one in found if not one.passed]


@pytest.mark.parametrize("check", CHECKS)
def test_every_figure_lies_in_its_band(check: str) -> None:
    found = CHECKS[check](Size.QUICK)
    assert any(one.judged for one in found)
    assert failures(found) == []


def test_a_share_outside_its_band_fails() -> None:
    low, high = band(0.05, 2_000, 0.999)
    assert (low, high) == pytest.approx((0.0345, 0.0665), abs=6e-4)  # of the list of checks
    assert not share("V1", "too often", 0.08, 0.05, 2_000).passed
    assert share("V1", "as often as expected", 0.05, 0.05, 2_000).passed
