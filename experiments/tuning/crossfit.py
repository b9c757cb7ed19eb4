"""What a pick will gain, told by users who had no say in picking it.

A pick is the best of many, and so are its errors: the posterior of the users that it was picked by is too high where
settings are nearly tied. So the users are divided into folds; each fold values the setting that the others would have
picked. The mean over folds is the value of picking like this with nine tenths of the users: free of the winner's curse,
and with an error hardly larger than that of any one setting, since every user has been asked once. Where the folds pick
different settings, what these are believed to differ by from the pick of all is added to the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from experiments.tuning.aim import Observed
from experiments.tuning.gp import condition, fit
from experiments.tuning.picks import Belief, Pick, aim_of, picks_of
from experiments.tuning.posterior import Posterior, feasibility
from experiments.tuning.question import Measured, Question

Floats = NDArray[np.float64]
FOLDS = 10  # of users: nine tenths of them pick nearly what all do


@dataclass(frozen=True, slots=True)
class Promise:
    """What a taste's pick is promised to be. value, sd: by quantity. folds: that found a pick, out of `FOLDS`."""

    value: Floats
    sd: Floats
    folds: int


def promised(
    points: Floats, whole: Measured, observed: Observed, picks: Sequence[Pick], question: Question
) -> dict[str, Promise]:
    """By taste, the promise of its pick; nothing for a taste of which no fold finds a pick.

    Args:
        points: shape (n, d), settings in the unit box. whole: of all n, with what every user contributes. observed: the
            same, with the errors that settings have in common. picks: of all users.
    """
    with threadpool_limits(1):  # more threads change the order of sums, and with it the last bits
        processes = [fit(points, y, e) for y, e in zip(observed.values.T, observed.noise, strict=True)]
    influence = whole.influence.astype(np.float64)  # (n, M, users)
    n_users = influence.shape[2]
    fold_of = np.arange(n_users) % FOLDS
    believed = np.array([process.mean(points) for process in processes]).T  # (n, M), by all users
    valued: dict[str, list[tuple[int, int]]] = {}  # by taste, the fold and what the others pick
    for fold in range(FOLDS):
        others = fold_of != fold
        scale = n_users / max(int(others.sum()), 1)
        values = whole.values + scale * influence[:, :, others].sum(axis=2)
        part = scale * influence[:, :, others].transpose(1, 0, 2)  # (M, n, users of the others)
        noise = part @ part.transpose(0, 2, 1)
        joint = []
        for process, y, error in zip(processes, values.T, noise, strict=True):
            units = (process.shift, process.scale)
            again = condition(points, y, error, lengths=process.lengths, signal=process.signal, units=units)
            joint.append(again.joint(points))
        found = Posterior(np.array([mean for mean, _ in joint]).T, np.array([covariance for _, covariance in joint]))
        belief = Belief(found, feasibility(found, aim_of(question).bounds), np.zeros(0, dtype=np.intp))
        for pick in picks_of(belief, question):
            valued.setdefault(pick.taste, []).append((fold, pick.trial))
    return {
        pick.taste: _promise(valued[pick.taste], pick.trial, whole, believed, fold_of)
        for pick in picks
        if pick.taste in valued
    }


def _promise(
    pairs: list[tuple[int, int]], pick: int, whole: Measured, believed: Floats, fold_of: NDArray[np.integer]
) -> Promise:
    """The mean over folds of what each says of the others' pick, with its error over users and over picks."""
    n_users, n_metrics = len(fold_of), whole.values.shape[1]
    values, variance = np.zeros(n_metrics), np.zeros(n_metrics)
    for fold, trial in pairs:
        mine = fold_of == fold
        scale = n_users / max(int(mine.sum()), 1)
        contributed = whole.influence[trial][:, mine].astype(np.float64)  # (M, users of the fold)
        values += (whole.values[trial] + scale * contributed.sum(axis=1)) / len(pairs)
        variance += (scale / len(pairs)) ** 2 * (contributed**2).sum(axis=1)
        variance += (believed[trial] - believed[pick]) ** 2 / len(pairs)
    return Promise(values, np.sqrt(variance), len(pairs))
