from __future__ import annotations

import numpy as np
import pytest

from experiments.analysis.interference import design_row
from experiments.analysis.lifts import lift


def test_bias_is_the_estimate_less_the_truth_with_the_errors_of_both() -> None:
    found = lift("b", "gmv", 1.1, 8e-4, 1.0, 1e-4, 0.05)
    row = design_row("by user", found, 0.06, 0.01)
    se = np.sqrt(8e-4 + 1.1**2 * 1e-4)
    assert (row.design, row.arm, row.metric) == ("by user", "b", "gmv")
    assert (row.estimate, row.se, row.low, row.high) == (found.lift, found.se, found.low, found.high)
    assert row.bias == pytest.approx(0.04)
    assert row.bias_se == pytest.approx(np.sqrt(se**2 + 1e-4))
    assert row.z == pytest.approx(0.04 / np.sqrt(se**2 + 1e-4))


def test_without_an_estimate_or_a_truth_there_is_no_bias() -> None:
    known, nothing = lift("b", "gmv", 1.1, 1e-3, 1.0, 1e-3, 0.05), lift("b", "gmv", 0.0, 0.0, 0.0, 0.0, 0.05)
    for row in (design_row("d", nothing, 0.0, 0.01), design_row("d", known, np.nan, np.nan)):
        assert np.isnan([row.bias, row.bias_se, row.z]).all()


def test_without_an_error_of_the_truth_the_bias_is_known_and_its_z_is_not() -> None:
    row = design_row("d", lift("b", "gmv", 1.1, 1e-3, 1.0, 1e-3, 0.05), 0.1, np.nan)
    assert row.bias == pytest.approx(0, abs=1e-12)
    assert np.isnan(row.z)


def test_unbiased_designs_have_standard_normal_z() -> None:
    rng, n = np.random.default_rng(0), 4000
    truths = 0.1 + 0.01 * rng.standard_normal(n)
    tops, bottoms = 1.1 + 0.02 * rng.standard_normal(n), 1 + 0.02 * rng.standard_normal(n)
    z = [
        design_row("d", lift("b", "gmv", top, 4e-4, bottom, 4e-4, 0.05), truth, 0.01).z
        for top, bottom, truth in zip(tops, bottoms, truths, strict=True)
    ]
    assert abs(np.mean(z)) < 5 / np.sqrt(n)
    assert abs(np.std(z) - 1) < 5 / np.sqrt(2 * n)
