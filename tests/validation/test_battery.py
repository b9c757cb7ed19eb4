"""The quick form of the battery: every figure in its band; `make validate` runs the full one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.validation import battery
from tests.validation.document import written
from tests.validation.measured import AGAIN, Measured, Size, at_least, at_most, band, beside, limits, luck, share
from tests.validation.table import CHECKS, Check


def failures(found: list[Measured]) -> list[str]:
    return [f"{one.what}: {one.value:.5g} outside {one.low:.5g} to {one.high:.5g}" for one in found if not one.passed]


@pytest.mark.parametrize("check", CHECKS)
def test_every_figure_lies_in_its_band(check: str) -> None:
    found = CHECKS[check](Size.QUICK)
    assert any(one.judged for one in found)
    assert {one.check for one in found} == {check}
    assert failures(found) == []


def test_bands_are_those_of_the_binomial_distribution() -> None:
    """Of 2 000 replications, as the list of checks has them."""
    assert band(0.05, 2_000, 0.999) == pytest.approx((0.0345, 0.0665), abs=6e-4)
    assert band(0.95, 2_000, 0.99) == pytest.approx((0.9370, 0.9620), abs=6e-4)


def test_a_share_outside_its_band_fails_on_the_side_that_is_judged() -> None:
    often, seldom = 0.08, 0.02
    assert not share("V1", "", often, 0.05, 2_000).passed
    assert not share("V1", "", seldom, 0.05, 2_000).passed
    assert at_most("V1", "", seldom, 0.05, 2_000).passed
    assert not at_most("V1", "", often, 0.05, 2_000).passed
    assert at_least("V1", "", often, 0.05, 2_000).passed
    assert not at_least("V1", "", seldom, 0.05, 2_000).passed
    assert not limits("V1", "", float("nan"), 0, 1, 1).passed
    assert beside("V1", "", often, 2_000).passed


def measuring(probability: float, unlucky: bool) -> Check:
    """A check of one figure that should be .05. unlucky: where it is first measured, it comes out as .08."""

    def check(size: Size) -> list[Measured]:
        k = size.of(200, 2_000)
        happened = np.random.default_rng(luck("V1", size)).binomial(k, probability) / k
        return [share("V1", "a share", 0.08 if unlucky and size is Size.FULL else happened, 0.05, k)]

    return check


@pytest.mark.parametrize(("probability", "failed"), [(0.05, 0), (0.08, 1)])
def test_what_is_outside_is_measured_again_and_only_a_defect_fails(
    probability: float, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHECKS, "V1", measuring(probability, unlucky=True))  # type: ignore[arg-type]
    found = battery.outcome("V1", Size.FULL)
    assert found.outside == 1
    assert [one.replications for one in found.repeated] == [2_000 * AGAIN]
    assert found.failed == failed
    text = written([found], Size.FULL)
    assert "0.0800 **outside** | 0.0345 to 0.0665 | 2,000" in text
    assert "Repeated:" in text


def test_what_is_inside_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKS, "V1", measuring(0.05, unlucky=False))  # type: ignore[arg-type]
    found = battery.outcome("V1", Size.FULL)
    assert found.outside == found.failed == 0
    assert not found.repeated
    assert "1 figures have a band; none were outside it." in written([found], Size.FULL)
