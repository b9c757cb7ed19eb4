"""Do clicks above matter? A test of the position-based model on the log that it is to be used on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from experiments.offpolicy.evidence import Evidence
from experiments.offpolicy.outcomes import expected_of_shown
from experiments.offpolicy.slates import CLICK
from sim.records import Floats

SURE = 1e-3  # p-value below which position-based estimates are warned of
MATTERS = 0.9  # assumed: in a large log a factor nearer to 1 is sure long before it moves a lift by its error


@dataclass(frozen=True, slots=True)
class ClickModelTest:
    """Observed over predicted clicks below a click on the same page, over the same where nothing was clicked above.

    factor: 1 in the position-based model, below 1 where a click ends or tires the reading, above 1 where people
        differ more than the outcome model knows, which hides a weak effect.
    statistic: observed less predicted over its standard error, clustered by user and no less than Poisson's.
        p_value: of a factor below 1, one-sided.
    by_slot: the factor by slot, shape (n_slots,); nan where there is too little.
    """

    factor: float
    statistic: float
    p_value: float
    by_slot: Floats

    @property
    def fires(self) -> bool:
        return self.p_value < SURE and self.factor < MATTERS

    @property
    def sentence(self) -> str:
        expected = f"as a position-based model expects (p = {self.p_value:.2g})"
        told = f"{self.factor:.2f} times as many clicks below a click {expected}"
        if self.fires:
            return f"People read from the top down: {told}; position-based estimates are biased, take reading_dr."
        return f"Nothing speaks against the position-based model: {told}."


def click_model_test(evidence: Evidence) -> ClickModelTest:
    """Test on the position-based evidence of a log."""
    slates, rows = evidence.slates, evidence.slates.rows
    click = slates.of_rows(CLICK)
    mu = expected_of_shown(slates, CLICK, evidence.examined, n_folds=evidence.n_folds, seed=evidence.seed)
    predicted = evidence.theta[rows.rank] * mu
    below = slates.clicks_above > 0
    slot = slates.slot[rows.rank]
    if not below.any() or not click[~below].any():
        return ClickModelTest(np.nan, 0.0, 1.0, np.full(slates.n_slots, np.nan))
    # Slot by slot: the first slots have nothing above them, and what theta is off there must not count.
    expected = np.bincount(slot[~below], predicted[~below], minlength=slates.n_slots)
    level = np.bincount(slot[~below], click[~below], minlength=slates.n_slots) / np.maximum(expected, 1e-300)
    predicted = predicted * level[slot]
    seen, hoped = click[below].sum(), predicted[below].sum()
    factor = float((seen + 0.5) / (hoped + 0.5))
    # What is seen below clicks, less what is hoped for, and what the levels owe to chance.
    share = np.bincount(slot[below], predicted[below], minlength=slates.n_slots) / np.maximum(level * expected, 0.5)
    residual = np.where(below, 1.0, -share[slot]) * (click - predicted)
    by_user = np.bincount(slates.users[1], rows.summed(residual))
    z = float((seen - hoped) / np.sqrt(max((by_user**2).sum(), hoped, 1e-300)))
    seen_by, hoped_by = (np.bincount(slot[below], x[below], minlength=slates.n_slots) for x in (click, predicted))
    by_slot = np.where(hoped_by >= 5, seen_by / np.maximum(hoped_by, 1e-300), np.nan)
    return ClickModelTest(factor, z, float(ndtr(z)), by_slot)
