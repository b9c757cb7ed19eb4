"""Outcome model mu: expected reward of an examined candidate, cross-fitted by user, by gradient-boosted trees.

E[reward] = examination x mu(features), so that log examination is the offset. One objective serves clicks, money and
time: rewards divided by sum r^2 / sum r behave like counts (compound Poisson), whatever their unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.offpolicy.slates import F32, Slates
from sim import draws
from sim.records import Bools, Floats, Ints

ROUNDS = 60
CAPACITY: Mapping[str, Any] = {  # small: rewards such as orders are few, and the estimators forgive a blunt model
    "num_leaves": 8,
    "learning_rate": 0.1,
    "lambda_l2": 5.0,  # in expected events, as rewards are scaled to counts
    "min_sum_hessian_in_leaf": 5.0,
    "min_data_in_leaf": 50,
    "poisson_max_delta_step": 0.1,
}
_QUIET: Mapping[str, Any] = {
    "objective": "poisson",
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 0,
    "verbosity": -1,
}


def fold_of(user: Ints, n_folds: int, seed: int) -> Ints:
    """Fold of each request by its user: keyed, so that nobody's fold depends on who else is there; shape (R,)."""
    luck = draws.uniform(draws.fold(draws.root(seed, "outcome folds"), user))
    return (luck * n_folds).astype(np.int64)


def expected_rewards(
    slates: Slates, names: tuple[str, ...], examined: Floats, *, n_folds: int = 2, seed: int = 0
) -> Floats:
    """mu of every candidate by models that did not see its user, shape (R, C, J), J rewards.

    Args:
        names: of the rewards.
        examined: shape (n,). Examination of each impression, up to a constant.
    """
    folds = fold_of(slates.user, n_folds, seed)
    mu = np.empty((*slates.utilities.shape, len(names)))
    seen, of_rows = _seen(slates), folds[slates.rows.request]
    for fold in np.unique(folds):
        held = folds == fold
        wanted = slates.features[held].reshape(-1, slates.features.shape[2])
        for j, name in enumerate(names):
            model = _model(seen, slates.of_rows(name), examined, of_rows != fold)
            mu[held, :, j] = model(wanted).reshape(held.sum(), -1)
    return mu


def expected_of_shown(slates: Slates, name: str, examined: Floats, *, n_folds: int = 2, seed: int = 0) -> Floats:
    """The same of one reward and of what was shown, shape (n,): a tenth of the cost."""
    folds = fold_of(slates.user, n_folds, seed)[slates.rows.request]
    seen, mu = _seen(slates), np.empty(len(slates.rows))
    for fold in np.unique(folds):
        mu[folds == fold] = _model(seen, slates.of_rows(name), examined, folds != fold)(seen[folds == fold])
    return mu


def _seen(slates: Slates) -> F32:
    return slates.features[slates.rows.request, slates.rows.candidate]


def _model(seen: F32, reward: Floats, examined: Floats, learn: Bools) -> Callable[[F32], Floats]:
    """Fit on the impressions `learn`, or on all where nobody else is there; predicts features (m, F), shape (m,)."""
    learn = (learn if learn.any() else ~learn) & (examined > 0)  # what cannot be seen teaches nothing
    y, offset = reward[learn], examined[learn]
    if (y < 0).any():
        raise ValueError("outcome model: rewards must not be negative; model what is paid and what is refunded apart")
    if not y.any():
        return lambda wanted: np.zeros(len(wanted))
    import lightgbm

    unit = (y**2).sum() / y.sum()
    rate = y.sum() / offset.sum()
    data = lightgbm.Dataset(seen[learn], y / unit, init_score=np.log(offset * rate / unit), params=dict(_QUIET))
    booster = lightgbm.train({**_QUIET, **CAPACITY}, data, num_boost_round=ROUNDS)
    return lambda wanted: rate * np.exp(booster.predict(wanted, raw_score=True, num_threads=1))
