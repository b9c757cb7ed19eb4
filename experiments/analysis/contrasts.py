"""All (arm x metric) lifts over control at once, with their full covariance: what every joint verdict is read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.joint import JointEstimate
from experiments.analysis.lifts import Lift

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointLifts:
    """Relative lifts of A challengers on M metrics; a pair (arm, metric) stands at row a * M + m of the matrices.

    lift: shape (A, M), arm / control - 1; NaN where it cannot be told.
    covariance: shape (A M, A M), of the lifts by the delta method; arms share the control's error. 0 in rows and
        columns of lifts that cannot be told.
    z: shape (A, M), of the differences, as in `Lift`.
    correlation: shape (A M, A M), of the differences: what z has where nothing differs. Identity rows where unknown.
    dof: shape (A, M), degrees of freedom of Student's t behind each; infinite for the normal.
    """

    control: str
    arms: tuple[str, ...]
    metrics: tuple[str, ...]
    lift: Floats
    covariance: Floats
    z: Floats
    correlation: Floats
    dof: Floats

    def only(self, arms: Sequence[str] | None = None, metrics: Sequence[str] | None = None) -> JointLifts:
        """The same lifts for some arms and metrics, in the order given."""
        kept_arms = self.arms if arms is None else tuple(arms)
        kept = self.metrics if metrics is None else tuple(metrics)
        a = [self.arms.index(arm) for arm in kept_arms]
        m = [self.metrics.index(metric) for metric in kept]
        rows = [at * len(self.metrics) + k for at in a for k in m]
        square, table = np.ix_(rows, rows), np.ix_(a, m)
        return replace(
            self,
            arms=kept_arms,
            metrics=kept,
            lift=self.lift[table],
            covariance=self.covariance[square],
            z=self.z[table],
            correlation=self.correlation[square],
            dof=self.dof[table],
        )

    def at(self, arm: str, metric: str) -> int:
        """Row of a pair in the matrices."""
        return self.arms.index(arm) * len(self.metrics) + self.metrics.index(metric)

    def of(self, arm: str, metric: str) -> float:
        """One lift."""
        return float(self.lift[self.arms.index(arm), self.metrics.index(metric)])

    def se(self) -> Floats:
        """Standard errors of the lifts, shape (A, M); NaN where unknown."""
        sd = np.sqrt(np.maximum(np.diagonal(self.covariance), 0)).reshape(self.lift.shape)
        return np.where(np.isfinite(self.lift), sd, np.nan)

    def known(self) -> list[str]:
        """Arms whose every lift can be told."""
        return [arm for arm, row in zip(self.arms, self.lift, strict=True) if np.isfinite(row).all()]


def joint_lifts(estimate: JointEstimate, control: str, found: Sequence[Lift]) -> JointLifts:
    """The lifts with the covariance between them.

    Args:
        found: of `lifts` on the same estimate and control: their variances are taken (few clusters pay for theta).
    """
    c = estimate.arms.index(control)
    arms = tuple(arm for arm in estimate.arms if arm != control)
    by: Mapping[tuple[str, str], Lift] = {(lift.arm, lift.metric): lift for lift in found}
    table = [[by[arm, metric] for metric in estimate.metrics] for arm in arms]
    shape = (len(arms), len(estimate.metrics))
    lift = np.array([[cell.lift for cell in row] for row in table]).reshape(shape)
    z = np.array([[cell.z for cell in row] for row in table]).reshape(shape)
    dof = np.array([[cell.dof for cell in row] for row in table]).reshape(shape)
    known = np.isfinite(lift).ravel() & np.isfinite(z).ravel()
    top = np.array([[cell.arm_value for cell in row] for row in table]).reshape(shape)
    bottom = estimate.value[c]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = 1 / bottom  # of arm / control in the arm
        ratio = top / bottom
    within, shared = _inflated(estimate, c, table)
    m = len(estimate.metrics)
    signs = np.nan_to_num(np.sign(bottom))
    # What cannot be told is nothing here, so that it spoils no row but its own.
    slope, ratio = np.where(np.isfinite(slope), slope, 0.0), np.where(np.isfinite(ratio), ratio, 0.0)
    both, by_control, sign = np.tile(shared, (len(arms), len(arms))), (ratio * slope).ravel(), np.tile(signs, len(arms))
    covariance = both * (by_control[:, None] * by_control)
    difference = both * (sign[:, None] * sign)
    own_slope, own_sign = slope[:, None] * slope, signs[:, None] * signs
    for a, arm in enumerate(arms):
        at, own = slice(a * m, (a + 1) * m), within[estimate.arms.index(arm)]
        covariance[at, at] += own * own_slope
        difference[at, at] += own * own_sign
    covariance = np.where(np.outer(known, known), covariance, 0.0)
    return JointLifts(control, arms, estimate.metrics, lift, covariance, z, _correlation(difference, known), dof)


def spliced(whole: JointLifts, part: JointLifts, arm: str) -> JointLifts:
    """The lifts with one arm's taken from another estimate, such as of the day on which the arm was stopped.

    Both estimates share users, by how much is not known here: their errors count as independent, which is on the
    safe side for intervals that hold together (Sidak 1967).
    """
    row, other, m = whole.arms.index(arm), part.arms.index(arm), len(whole.metrics)
    here, there = (slice(at * m, (at + 1) * m) for at in (row, other))
    lift, z, dof = whole.lift.copy(), whole.z.copy(), whole.dof.copy()
    lift[row], z[row], dof[row] = part.lift[other], part.z[other], part.dof[other]
    matrices = []
    for mine, theirs in ((whole.covariance, part.covariance), (whole.correlation, part.correlation)):
        matrix = mine.copy()
        matrix[here, :] = matrix[:, here] = 0
        matrix[here, here] = theirs[there, there]
        matrices.append(matrix)
    return replace(whole, lift=lift, z=z, dof=dof, covariance=matrices[0], correlation=matrices[1])


def _inflated(estimate: JointEstimate, c: int, table: Sequence[Sequence[Lift]]) -> tuple[Floats, Floats]:
    """Covariances within arms, scaled so that their diagonals are the variances that the lifts carry."""
    if not table:
        return estimate.covariance, estimate.covariance[c]
    known = np.nan_to_num(estimate.covariance)
    if all(cell.dof == np.inf for cell in table[0]):  # thousands of units pay nothing for theta
        return known, known[c]
    carried = np.array([cell.control_variance for cell in table[0]])
    with np.errstate(divide="ignore", invalid="ignore"):
        price = np.sqrt(carried / estimate.variance()[c])
    price = np.where(np.isfinite(price), price, 1.0)
    within = known * np.outer(price, price)
    return within, within[c]


def _correlation(covariance: Floats, known: NDArray[np.bool_]) -> Floats:
    """Correlation, with the identity in rows that are not known."""
    sd = np.sqrt(np.maximum(np.diagonal(covariance), 0))
    fine = known & (sd > 0)
    scale = np.where(fine, sd, 1.0)
    correlation = np.where(np.outer(fine, fine), covariance / np.outer(scale, scale), 0.0)
    np.fill_diagonal(correlation, 1.0)
    return np.clip(correlation, -1, 1)
