from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, truncnorm

from experiments.analysis.truncated import log_mass, truncated_cdf

Z = np.array([-30.0, -3.0, 0.0, 3.0, 8.3, 30.0, 37.0])


def test_mass_above_a_bound_is_the_upper_tail() -> None:
    """Where 1 - cdf, the naive form, has no digit left from 8.3 standard errors on."""
    assert log_mass(Z, np.full(7, np.inf)) == pytest.approx(norm.logsf(Z), rel=1e-13)
    assert 1 - norm.cdf(8.3) == 0


def test_mass_is_the_same_on_both_sides_of_zero() -> None:
    assert log_mass(Z, Z + 0.1) == pytest.approx(log_mass(-Z - 0.1, -Z), rel=1e-13)


@pytest.mark.parametrize("low", [-2.0, 0.5, 9.0, 25.0])
def test_mass_between_bounds_is_the_integral_of_the_density(low: float) -> None:
    """The density over its value at the bound that is nearer to 0, so that the integral does not underflow."""
    integral, _ = quad(lambda x: np.exp((low**2 - x**2) / 2), low, low + 0.3, epsrel=1e-12)
    expected = np.log(integral) - low**2 / 2 - np.log(2 * np.pi) / 2
    assert float(log_mass(np.array(low), np.array(low + 0.3))) == pytest.approx(expected, rel=1e-11)


def test_an_empty_interval_has_no_mass() -> None:
    assert log_mass(np.array([1.0, -40.0]), np.array([1.0, -40.0])).tolist() == [-np.inf, -np.inf]


def test_the_cdf_agrees_with_scipy_where_scipy_is_sound() -> None:
    low, high, at = np.array([-1.0, 0.5, 2.0]), np.array([2.0, 3.0, np.inf]), np.array([0.3, 1.0, 2.5])
    found = truncated_cdf(at, np.array(0.2), np.array(1.5), low, high)
    assert found == pytest.approx(truncnorm.cdf(at, (low - 0.2) / 1.5, (high - 0.2) / 1.5, 0.2, 1.5), rel=1e-12)


def test_far_in_a_tail_the_cdf_is_exponential() -> None:
    """Beyond 1000 standard errors the density falls as exp(-1000 x), but for one part in a thousand."""
    found = truncated_cdf(np.array(1000.002), np.array(0.0), np.array(1.0), np.array(1000.0), np.array(np.inf))
    assert float(found) == pytest.approx(1 - np.exp(-2), rel=1e-4)


def test_the_cdf_is_zero_and_one_at_its_bounds() -> None:
    bounds = np.array([1.0, 2.0])
    found = truncated_cdf(bounds, np.array(-5.0), np.array(1.0), np.array(1.0), np.array(2.0))
    assert found.tolist() == [0, 1]
