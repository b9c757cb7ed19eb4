"""Weighted linear and logistic regression in closed form and by Newton's method, for few columns and many rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.records import Floats

RIDGE = 1e-6  # per unit of weight, on standardised columns: settles what the rows leave open, and nothing else
STEPS = 100  # Newton's method takes about ten


@dataclass(frozen=True, slots=True)
class Line:
    """intercept + sum_k coefficients[k] x_k.

    coefficients: shape (K,).
    errors: shape (K,). Their standard errors, whatever the variance of each row (sandwich, HC0).
    """

    intercept: float
    coefficients: Floats
    errors: Floats

    def __call__(self, x: Floats) -> Floats:
        """Args: x: shape (..., K). Returns shape (...)."""
        total = np.full(x.shape[:-1], self.intercept)
        for k, b in enumerate(self.coefficients):  # column by column: a row's bits do not depend on the other rows
            total = total + b * x[..., k]
        return total


def least_squares(x: Floats, y: Floats, weight: Floats) -> Line:
    """The line that minimises sum_i w_i (y_i - line(x_i))^2; a column without variation gets 0.

    Args:
        x: shape (n, K). y: shape (n,). weight: shape (n,), >= 0.
    """
    design, centre, scale = _standardised(x)
    root = np.sqrt(weight)
    b = np.linalg.lstsq(design * root[:, None], y * root, rcond=1e-10)[0].astype(np.float64)
    information = (design * weight[:, None]).T @ design
    return _back(b, _errors(design, weight * (y - design @ b), information), centre, scale)


def logistic(x: Floats, y: Floats, weight: Floats) -> Line:
    """The line that is the log-odds of y = 1 by maximum likelihood, with a trace of ridge; shapes as above.

    Raises:
        ValueError: Newton's method did not settle.
    """
    design, centre, scale = _standardised(x)
    weight = weight / weight.mean()
    ridge = np.full(design.shape[1], RIDGE * len(y))
    ridge[0] = 0.0  # the intercept is free
    rate = np.average(y, weights=weight)
    b = np.zeros(design.shape[1])
    b[0] = np.log(rate) - np.log1p(-rate)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-design @ b))
        gradient = design.T @ (weight * (y - p)) - ridge * b
        hessian = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        if np.abs(step).max() < 1e-9:
            return _back(b, _errors(design, weight * (y - p), hessian), centre, scale)
        now = _likelihood(design, y, weight, ridge, b)
        while _likelihood(design, y, weight, ridge, b + step) < now and np.abs(step).max() > 1e-9:
            step = step / 2  # a full step may overshoot where positives are rare
        b = b + step
    raise ValueError(f"logistic regression did not settle in {STEPS} steps; give it fewer inputs or more rows")


def _likelihood(design: Floats, y: Floats, weight: Floats, ridge: Floats, b: Floats) -> float:
    logits = design @ b
    return float((weight * (y * logits - np.logaddexp(0, logits))).sum() - 0.5 * (ridge * b**2).sum())


def _standardised(x: Floats) -> tuple[Floats, Floats, Floats]:
    """Columns 1, (x - centre) / scale; scale is 1 for a column without variation."""
    centre, spread = x.mean(axis=0), x.std(axis=0)
    scale = np.where(spread > 1e-12 * np.maximum(np.abs(centre), 1e-300), spread, 1.0)
    return np.concatenate([np.ones((len(x), 1)), (x - centre) / scale], axis=1), centre, scale


def _errors(design: Floats, rest: Floats, information: Floats) -> Floats:
    """Root of the diagonal of I^-1 S'S I^-1 with scores S = rest * design, and 0 for what the rows leave open."""
    influence = (design * rest[:, None]) @ np.linalg.pinv(information, rcond=1e-10, hermitian=True)
    return np.sqrt((influence**2).sum(axis=0))


def _back(b: Floats, errors: Floats, centre: Floats, scale: Floats) -> Line:
    """The line over columns as they were."""
    coefficients = b[1:] / scale
    return Line(float(b[0] - coefficients @ centre), coefficients, errors[1:] / scale)
