"""Whether a log can tell of a target at all: effective sample size, mean weight, and what was cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.offpolicy.estimators import Weights
from experiments.offpolicy.slates import Slates

LEAST_ESS = 200.0  # examined impressions: clicks of 5 % then have a standard error of 30 % of themselves at best
# Of the target's attention; the rest of the answer is what the outcome model believes. In a shop logged at T = .05, the
# error of a CTR lift was 1.3 points (1.5 standard errors) where .81 to .92 were covered, 2.2 (2.4) at .76 to .81.
LEAST_COVERED = 0.8
WELL_COVERED = 0.9  # below it, the interval may be too narrow
SURELY = 4.0  # standard errors of the mean weight
NEAR_ONE = 0.1  # a mean weight this near to 1 does no harm that could be seen beside the error


@dataclass(frozen=True, slots=True)
class Overlap:
    """What the weights of a target say of it.

    ess: effective sample size of the weights in use, (sum m w)^2 / sum m w^2 (Kish), with m what an impression counts.
    out_of: sum m, the size that a target equal to the logging policy would have.
    largest: largest weight before any is cut. mean: mean weight before, 1 in expectation. mean_se: its standard error,
        clustered by user.
    clipped: share of impressions whose weight was cut.
    covered: mean of the weights that were cut: the share of the target's attention that the log speaks of; the rest
        is left to the outcome model. nan where nothing is cut, and the mean weight alone must tell.
    """

    ess: float
    out_of: float
    largest: float
    mean: float
    mean_se: float
    clipped: float
    covered: float

    def doubt(self, least_ess: float = LEAST_ESS, least_covered: float = LEAST_COVERED) -> str | None:
        """Why no estimate should be believed, or None."""
        if self.ess < least_ess:
            return (
                f"cannot tell: the effective sample size must be at least {least_ess:g}, got {self.ess:.1f} of "
                f"{self.out_of:.0f} impressions; explore more in the log, or log longer"
            )
        if self.covered < least_covered:
            return (
                f"cannot tell: the log must speak of at least {least_covered:.0%} of what the target shows, got "
                f"{self.covered:.0%}; explore more in the log, or ask for a target nearer to it"
            )
        if surely_off_one(self.mean, self.mean_se):
            return (
                f"cannot tell: the mean weight must be 1, got {self.mean:.3f} with a standard error of "
                f"{self.mean_se:.3f}; propensities are wrong, or parts of what the target shows are never in the log"
            )
        return None

    @property
    def warning(self) -> str | None:
        """What is believed rather than known, or None."""
        if self.covered < WELL_COVERED:
            return (
                f"the log speaks of {self.covered:.0%} of what the target shows; the rest is what the outcome model "
                f"believes, and the interval may be too narrow"
            )
        return None


def surely_off_one(mean: float, se: float) -> bool:
    """Whether a mean weight, which is 1 if all is well, is off by more than its error and by enough to matter."""
    off = abs(mean - 1)
    return off > NEAR_ONE and off > SURELY * se


def overlap(slates: Slates, weights: Weights, clip: float) -> Overlap:
    """Diagnostics of weights that are to be cut at `clip`; inf where nothing is cut."""
    weight, counts, total = weights.weight, weights.counts, weights.total
    used = counts * np.minimum(weight, clip)
    square = float((used * np.minimum(weight, clip)).sum())
    mean = float((counts * weight).sum() / total)
    by_request = slates.rows.summed(counts * (weight - mean)) / total
    by_user = np.bincount(slates.users[1], by_request)
    return Overlap(
        ess=float(used.sum() ** 2 / square) if square > 0 else 0.0,
        out_of=float(counts.sum()),
        largest=float(weight.max(initial=0)),
        mean=mean,
        mean_se=float(np.sqrt((by_user**2).sum())),
        clipped=float((weight > clip).mean()),
        covered=float(used.sum() / total) if np.isfinite(clip) else np.nan,
    )
