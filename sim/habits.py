"""How far people read, and when they come again: probabilities here, draws beside them."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from sim import draws
from sim.people import People
from sim.records import Floats, Ints
from sim.scenario import BrowseSpec, SatisfactionSpec

_GAP = draws.purpose("gap")


def pages_wanted(browse: BrowseSpec, people: People, keys: draws.Keys, rows: Ints | None = None) -> Ints:
    """How many pages each visit is ready to read, 1 to `pages`; one key per visit of the users in `rows`."""
    patience = people.patience if rows is None else people.patience[rows]
    wanted = np.log(browse.median_pages) + patience + browse.pages_log_sd * draws.normal(keys)
    return np.clip(np.ceil(np.exp(wanted)), 1, browse.pages).astype(np.int64)


def pages_probability(browse: BrowseSpec, patience: Floats, page: Ints) -> Floats:
    """P(a visit is ready to read page `page`, from 0): the first always, further ones by a log-normal.

    patience: of the person, as in `People`. page: shapes broadcast.
    """
    page = np.asarray(page)
    with np.errstate(divide="ignore"):
        above = np.log(browse.median_pages) + patience - np.log(np.maximum(page, 0))
        sd = browse.pages_log_sd
        chance = ndtr(above / sd) if sd > 0 else (above > 0).astype(np.float64)
    inside: Floats = np.where(page <= 0, 1.0, chance) * (page < browse.pages)
    return inside


def median_gap_days(people: People, spec: SatisfactionSpec, rows: Ints, satisfaction: Floats) -> Floats:
    """Median days to the next visit of users in this mood; all of shape (n,)."""
    eager = np.exp(-spec.return_strength * people.loyalty[rows] * (satisfaction - spec.start))
    return people.habit[rows] * eager


def gap_days(people: People, spec: SatisfactionSpec, rows: Ints, keys: draws.Keys, satisfaction: Floats) -> Floats:
    """Days to the next visit, log-normal around its median; one key per user in `rows`."""
    spread = np.exp(spec.gap_log_sd * draws.normal(draws.fold(keys, _GAP)))
    return median_gap_days(people, spec, rows, satisfaction) * spread


def return_probability(
    people: People, spec: SatisfactionSpec, rows: Ints, satisfaction: Floats, within_days: Floats
) -> Floats:
    """P(the next visit comes within so many days of operational time, see `Season`); all of shape (n,)."""
    median = median_gap_days(people, spec, rows, satisfaction)
    if spec.gap_log_sd == 0:
        return (median <= within_days).astype(np.float64)
    with np.errstate(divide="ignore"):
        chance: Floats = ndtr((np.log(within_days) - np.log(median)) / spec.gap_log_sd)
    return chance
