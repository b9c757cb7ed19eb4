"""Which arm surely dominates which: an intersection-union test over goals (Berger 1982), held over all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr
from scipy.stats import norm

from experiments.analysis.contrasts import JointLifts
from experiments.analysis.pairs import Pairs, all_pairs
from experiments.analysis.verdicts import holm

Floats = NDArray[np.float64]
NEAR = 0.2  # one chance in five of a false claim: worth a look, and no more


@dataclass(frozen=True, slots=True)
class Dominance:
    """One arm is better than another on every goal.

    p_value: one-sided, adjusted for all ordered pairs of arms, the control among them. sure: it is below alpha.
    """

    better: str
    worse: str
    p_value: float
    sure: bool


def dominance_claims(lifts: JointLifts, alpha: float) -> tuple[Dominance, ...]:
    """The pairs whose dominance is sure, or nearly so (p below NEAR); the surest first.

    A claim is false if the better arm is in truth no better on some goal; the test on that goal alone is then
    passed with probability alpha at most. So the largest p-value over goals is one of the claim, whatever the other
    goals do and however goals correlate; it is met by an arm equal on one goal and far better on the others. Holm's
    steps hold the probability of any false claim over all ordered pairs below alpha, without assumption: with one
    challenger every goal must pass what its two-sided interval asks. The maximum over pairs and goals, the other
    bound that holds, is larger: 3.07 against 2.94 for six arms and two goals, since it does not use that a claim
    needs every goal.

    Args:
        lifts: of the arms and goals that count; all can be told.
    """
    pairs = all_pairs(lifts)
    single = _one_sided(pairs).max(axis=2)  # (A, A)
    ordered = list(permutations(range(len(pairs.arms)), 2))
    adjusted = holm([single[pair] for pair in ordered])
    claims = [
        Dominance(pairs.arms[x], pairs.arms[y], float(p), bool(p < alpha))
        for (x, y), p in zip(ordered, adjusted, strict=True)
        if p < max(NEAR, alpha)
    ]
    return tuple(sorted(claims, key=lambda claim: claim.p_value))


def _one_sided(pairs: Pairs) -> Floats:
    """P-values of "the row's arm is no better than the column's", by goal. Shape (A, A, G).

    What is known without error needs no test: better is 0, worse is 1. Equal stops nobody, as the definition of
    dominance has it, unless every goal is equal.
    """
    exact = pairs.se == 0
    z = pairs.difference / np.where(exact, 1.0, pairs.se)
    z[1:, 0], z[0, 1:] = pairs.z, -pairs.z  # over control: of the difference itself, as everywhere
    z = np.where(exact, np.inf * np.where(pairs.difference < 0, -1, 1), z)
    finite = np.isfinite(pairs.dof)
    p = np.where(finite, stdtr(np.where(finite, pairs.dof, 1.0), -z), norm.sf(z))
    equal = (exact & (pairs.difference == 0)).all(axis=2)
    return np.where(equal[:, :, None], 1.0, p)
