"""How people read: which slots they look at, where they stop, how many pages they open."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from experiments.marginals.simulated import Simulated, ratio
from sim.attention import AbstractGlance
from sim.records import Floats


def examination(of: Simulated) -> tuple[Floats, Floats] | None:
    """Share of pages on which each slot was looked at, simulated and in closed form; None for reading models."""
    attention = of.scenario.attention
    if not isinstance(attention, AbstractGlance):
        return None
    return of.sample.examined / max(of.sample.n_pages, 1), np.array(attention.examination)


def attention_curve(of: Simulated) -> float | None:
    """Largest distance of the share of looks at a slot from the closed form."""
    curves = examination(of)
    return None if curves is None else float(np.abs(curves[0] - curves[1]).max())


def leave_per_item(of: Simulated) -> float | None:
    """Visits that end before the feed does, per item looked at; as a log would show it, whatever the reason."""
    if isinstance(of.scenario.attention, AbstractGlance):
        return None
    return ratio(of.sample.pages[:-1].sum(), of.sample.examined.sum())


def pages_per_visit_log_sd(of: Simulated) -> float | None:
    """Log sd of the pages that a visit wants, read from a log-normal cut off at one page and at the list's end.

    The list ends after a few pages, so that the pages shown cannot spread as far as those wanted. P(one page) and
    P(more than all but the last) are two points of the law's distribution function, and two points fix its sd.
    """
    pages, most = of.sample.pages, of.scenario.browse.pages
    if most < 3 or not isinstance(of.scenario.attention, AbstractGlance):
        return None
    one, to_the_end = pages[1] / pages.sum(), pages[most] / pages.sum()
    if not 0 < one < 1 - to_the_end < 1:
        return float("nan")
    return float(np.log(most - 1) / (ndtri(1 - to_the_end) - ndtri(one)))
