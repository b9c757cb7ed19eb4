"""What a pick will gain, told by users who had no say in picking it.

A pick is the best of many, and so are its errors: the posterior of the users that it was picked by is too high where
settings are nearly tied. So the users are divided into folds; each fold values the setting that the others would have
picked. The mean over folds is the value of picking like this with nine tenths of the users: free of the winner's curse,
and with an error no larger than that of any one setting, since every user has been asked once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from experiments.tuning.aim import Observed
from experiments.tuning.gp import condition, fit
from experiments.tuning.picks import Belief, aim_of, picks_of
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


def promised(points: Floats, whole: Measured, observed: Observed, question: Question) -> dict[str, Promise]:
    """By taste, the promise of its pick; nothing for a taste of which no fold finds a pick.

    Args:
        points: shape (n, d), settings in the unit box. whole: of all n, with what every user contributes. observed: the
            same, with the errors that settings have in common.
    """
    with threadpool_limits(1):  # more threads change the order of sums, and with it the last bits
        processes = [fit(points, y, e) for y, e in zip(observed.values.T, observed.noise, strict=True)]
    influence = whole.influence.astype(np.float64)  # (n, M, users)
    n_users = influence.shape[2]
    fold_of = np.arange(n_users) % FOLDS
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
    return {taste: _promise(pairs, whole, influence, fold_of) for taste, pairs in valued.items()}


def _promise(pairs: list[tuple[int, int]], whole: Measured, influence: Floats, fold_of: NDArray[np.integer]) -> Promise:
    """The mean over folds of what each says of the others' pick, and its error over users."""
    n_users = len(fold_of)
    values, variance = np.zeros(whole.values.shape[1]), np.zeros(whole.values.shape[1])
    for fold, trial in pairs:
        mine = fold_of == fold
        scale = n_users / max(int(mine.sum()), 1)
        contributed = influence[trial][:, mine]  # (M, users of the fold)
        values += (whole.values[trial] + scale * contributed.sum(axis=1)) / len(pairs)
        variance += (scale / len(pairs)) ** 2 * (contributed**2).sum(axis=1)
    return Promise(values, np.sqrt(variance), len(pairs))
