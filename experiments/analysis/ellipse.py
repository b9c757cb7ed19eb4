"""The joint confidence ellipse of one arm's lifts on two goals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, f

from experiments.analysis.contrasts import JointLifts
from experiments.analysis.draws import covariance_root

Floats = NDArray[np.float64]
FLAT = 1e-9  # of the longer axis: an ellipse that is thinner is a line, and a point this near lies on it


@dataclass(frozen=True, slots=True)
class Ellipse:
    """Where the pair of true lifts lies, by their joint normal distribution (of one arm, unadjusted for others).

    center: the lifts on the first and the second goal. covariance: shape (2, 2), in the same order.
    dof: of Student's t, for few clusters; infinite for the normal.
    """

    arm: str
    center: tuple[float, float]
    covariance: Floats
    dof: float = np.inf  # thousands of users: the normal

    def path(self, level: float = 0.95, n: int = 97) -> Floats:
        """A closed line around the pairs that the level keeps, shape (n, 2); a straight line where goals go in step.

        Args:
            level: 0.95 as all intervals of the page. n: 97 points, one for every 3.75 degrees, look round.
        """
        turn = np.linspace(0, 2 * np.pi, n)
        circle = np.stack([np.cos(turn), np.sin(turn)])
        line: Floats = np.array(self.center) + self._radius(level) * (covariance_root(self.covariance) @ circle).T
        return line

    def contains(self, point: tuple[float, float], level: float = 0.95) -> bool:
        """Whether a pair of lifts lies inside or on the line."""
        root, gap = covariance_root(self.covariance), np.array(point) - self.center
        steps = np.linalg.pinv(root, rcond=FLAT) @ gap  # in standard errors along the axes
        off = np.abs(root @ steps - gap).max()
        on_the_axes = off <= FLAT * max(np.abs(root).max(), np.abs(gap).max())
        return bool(on_the_axes and np.hypot(*steps) <= self._radius(level) * (1 + FLAT))

    def _radius(self, level: float) -> float:
        """In standard errors: chi-square with two degrees of freedom; Hotelling's F where clusters are few."""
        if np.isfinite(self.dof):
            return float(np.sqrt(2 * f.isf(1 - level, 2, self.dof)))
        return float(np.sqrt(chi2.isf(1 - level, 2)))


def ellipses(lifts: JointLifts) -> dict[str, Ellipse]:
    """By arm, of the first two metrics of the lifts."""
    found = {}
    for a, arm in enumerate(lifts.arms):
        at = a * len(lifts.metrics)
        first, second = (float(value) for value in lifts.lift[a, :2])
        covariance = lifts.covariance[at : at + 2, at : at + 2]
        found[arm] = Ellipse(arm, (first, second), covariance, float(lifts.dof[a, :2].min()))
    return found
