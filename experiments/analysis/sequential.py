"""Group-sequential boundaries by alpha-spending (Lan and DeMets 1983): a test that may be read, and stopped, early.

Two-sided and symmetric. The chance to cross is integrated look by look over the distance of the score process
from 0 (Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000, ch. 19).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import norm

Floats = NDArray[np.float64]
LEAST_STEP = 1e-4  # of information between two looks: with less, the second has nothing to tell that is new
PANEL = 6.0  # sd of a step that 16 nodes of Gauss and Legendre cover
NEVER = 1e-9  # a probability; a look that spends less has the boundary of a look by itself, stricter by a trifle: > 6.1
FAR = 9.0  # sd beyond which a step goes with probability 1e-19


def obrien_fleming(t: Floats, alpha: float) -> Floats:
    """Alpha spent by information t, almost all of it late, after the bounds of O'Brien and Fleming (1979)."""
    return np.asarray(4 * norm.sf(norm.isf(alpha / 4) / np.sqrt(t)))


def pocock(t: Floats, alpha: float) -> Floats:
    """Alpha spent by information t, about as much at every look, after the bounds of Pocock (1977)."""
    return np.asarray(alpha * np.log1p((np.e - 1) * t))


SPENDING: Mapping[str, Callable[[Floats, float], Floats]] = {"obrien_fleming": obrien_fleming, "pocock": pocock}


def information_fractions(se: Sequence[float]) -> Floats:
    """Information 1 / SE^2 at each look, as a share of that at the last one, which is the last one planned.

    Information and not time or users: people who come again add less than people who come first (Ankargren 2023).
    It can fall, when a few large orders come in. A look with no more than an earlier one had, or already as much
    as the last one, gets NaN: it spends nothing.

    Args:
        se: shape (K,). Standard error at each look; NaN where unknown. Unknown at the end, the last known look is
            taken for the last.
    """
    error = np.asarray(se, dtype=np.float64)
    told = np.flatnonzero(np.isfinite(error) & (error > 0))
    fractions = np.full(len(error), np.nan)
    if not len(told):
        return fractions
    last, highest = told[-1], 0.0
    for k in told[:-1]:
        t = float((error[last] / error[k]) ** 2)
        if highest + LEAST_STEP <= t <= 1 - LEAST_STEP:
            fractions[k] = highest = t
    fractions[last] = 1.0
    return fractions


def boundaries(fractions: Sequence[float] | Floats, alpha: float, spending: str) -> Floats:
    """Critical values of |z| at each look, shape (K,), that are ever crossed with probability alpha if nothing differs.

    Args:
        fractions: shape (K,). Of the information at the last planned look, in (0, 1]. A look whose fraction is NaN,
            or hardly above those before it, spends nothing and is never crossed: its value is infinite.
        spending: a name in `SPENDING`.

    Raises:
        ValueError: a fraction outside (0, 1], an unknown spending function, or an alpha that is no probability.
    """
    t = np.asarray(fractions, dtype=np.float64)
    if spending not in SPENDING:
        raise ValueError(f"spending must be one of {', '.join(SPENDING)}, got {spending!r}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    if (t <= 0).any() or (t > 1 + 1e-12).any():
        raise ValueError(f"fractions of information must lie in (0, 1], got {t.tolist()}")
    return np.array(_boundaries(tuple(np.nan_to_num(t).tolist()), alpha, spending))  # NaN would miss the cache


def nominal_alpha(boundary: float) -> float:
    """The level of a single test with that critical value: `Lift.interval` at it is the repeated interval."""
    return float(2 * norm.sf(boundary))


def exit_probabilities(fractions: Sequence[float] | Floats, bounds: Sequence[float] | Floats) -> Floats:
    """Where nothing differs, the probability that |z| crosses its bound at each look for the first time; shape (K,).

    Args:
        fractions: shape (K,). Information, rising. bounds: shape (K,). Critical values of |z|.
    """
    walk, out = START, []
    times = np.asarray(fractions, dtype=np.float64)
    for t, bound, finest in zip(times, bounds, _finest(times), strict=True):
        limit = float(bound) * float(np.sqrt(t))
        out.append(walk.beyond(limit, t))
        walk = walk.within(limit, t, finest)
    return np.array(out)


@lru_cache(maxsize=512)
def _boundaries(fractions: tuple[float, ...], alpha: float, spending: str) -> tuple[float, ...]:
    looks, highest = list[int](), 0.0
    for k, t in enumerate(fractions):
        if t >= highest + LEAST_STEP:
            looks.append(k)
            highest = t
    times = np.minimum([fractions[k] for k in looks], 1.0)
    due = np.diff(SPENDING[spending](times, alpha), prepend=0.0)
    walk, found = START, np.full(len(fractions), np.inf)
    for k, t, share, finest in zip(looks, times, due, _finest(times), strict=True):
        limit = _limit(walk, float(share), t)
        walk = walk.within(limit, t, finest)
        found[k] = limit / np.sqrt(t)
    return tuple(found.tolist())


def _finest(times: Floats) -> Floats:
    """The smaller sd of the two steps that lead to each look and away from it, shape (K,)."""
    steps = np.sqrt(np.diff(times, prepend=0.0))
    return np.minimum(steps, np.append(steps[1:], np.inf))


def _limit(walk: Walk, due: float, t: float) -> float:
    """The distance from 0 beyond which the walk goes at time t with probability `due`.

    Newton's method in logarithms: a density that is logarithmically concave has a tail that is so too, and from the
    second step on the limit is approached from above.
    """
    alone = -float(ndtri(due / 2)) * float(np.sqrt(t))
    if due < NEVER or walk is START:
        return alone
    limit = min(alone, walk.farthest)
    for _ in range(50):
        tail = walk.beyond(limit, t)
        step = float(np.log(tail / due)) * tail / float(walk.density(np.array([limit]), t)[0])
        limit = min(limit + step, alone)
        if abs(step) < 1e-9:
            break
    return limit


@dataclass(frozen=True, slots=True)
class Walk:
    """Where the score process may be after a look, if nothing differs and no bound was crossed.

    The score process is z sqrt(t), Brownian motion in information time. Its distance from 0 says everything, by
    symmetry, and has a smooth density that a few nodes hold.

    t: information so far. at: shape (n,). Distances, rising. mass: shape (n,). The probability that each stands for.
    """

    t: float
    at: Floats
    mass: Floats

    @property
    def farthest(self) -> float:
        return float(self.at[-1])

    def beyond(self, limit: float, t: float) -> float:
        """Probability to be farther than `limit` from 0 at time t."""
        sd = np.sqrt(t - self.t)
        return float(self.mass @ (ndtr((self.at - limit) / sd) + ndtr(-(self.at + limit) / sd)))

    def density(self, distance: Floats, t: float) -> Floats:
        """Of the distance at time t; shape of `distance`, (m,)."""
        sd = np.sqrt(t - self.t)
        z = np.stack([distance[:, None] - self.at, distance[:, None] + self.at]) / sd  # (2, m, n)
        return np.asarray(np.exp(-0.5 * z * z).sum(axis=0) @ self.mass / (sd * np.sqrt(2 * np.pi)))

    def within(self, limit: float, t: float, finest: float) -> Walk:
        """The walk at time t as far as it is within `limit`.

        Args:
            finest: sd of the smaller of the steps to t and from t on; what nodes must resolve.
        """
        top = min(limit, self.farthest + FAR * float(np.sqrt(t - self.t)))
        panels = int(np.ceil(top / (PANEL * finest)))
        edges, half = np.arange(panels) * (top / panels), top / panels / 2
        at = (edges[:, None] + half * (_NODES + 1)).ravel()
        return Walk(t, at, self.density(at, t) * np.tile(half * _WEIGHTS, panels))


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
START = Walk(0.0, np.zeros(1), np.ones(1))
