"""Simulated experiments whose true lifts are known, for claims of dominance, exchange rates and the winner's curse.

Arms are means of users, normal with a known covariance; everything after that is the analysis itself. Each function
returns measured figures by name, the naive method beside ours. Costs are of the full form, in CPU seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.contrasts import JointLifts, joint_lifts
from experiments.analysis.dominance_claims import dominance_claims
from experiments.analysis.exchange import UNBOUNDED, exchange_rates
from experiments.analysis.front import dominated
from experiments.analysis.joint import JointEstimate
from experiments.analysis.lifts import lifts
from experiments.analysis.selection import winners

Floats = NDArray[np.float64]
ALPHA = 0.05
ERROR = 0.01  # standard error of every arm's mean: lifts then have one of 1.4 %
FAR = 20 * ERROR  # a gap that no experiment misses
BETWEEN_GOALS = 0.3  # correlation of two metrics of one user, such as clicks and orders


def experiments(truth: Floats, k: int, seed: int, correlation: float = BETWEEN_GOALS) -> Iterator[JointLifts]:
    """Joint lifts of k experiments over the same true lifts.

    Args:
        truth: shape (A, M), of the challengers; the control's means are 1.
    """
    rng = np.random.default_rng(seed)
    n_arms, n_metrics = truth.shape[0] + 1, truth.shape[1]
    mean = np.vstack([np.ones(n_metrics), 1 + truth])
    within = ERROR**2 * (correlation + (1 - correlation) * np.eye(n_metrics))
    arms = tuple("ABCDEFGHIJ"[:n_arms])
    metrics = tuple(f"goal {m + 1}" for m in range(n_metrics))
    value = mean + rng.multivariate_normal(np.zeros(n_metrics), within, (k, n_arms), method="eigh")
    covariance = np.broadcast_to(within, (n_arms, n_metrics, n_metrics))
    users = dict.fromkeys(arms, 10_000)
    for means in value:
        estimate = JointEstimate(arms, metrics, users, means, covariance, "raw", np.zeros(n_metrics))
        yield joint_lifts(estimate, "A", lifts(estimate, "A", ALPHA))


def dominance_size(k: int, seed: int) -> dict[str, float]:
    """How often any claim of dominance is false, where no arm is better on all goals than any other. V13; 31 s for
    k = 5 000.

    pair: one challenger, equal to the control on one goal and far better on the other. ladder: six arms, equal on one
    goal and far apart on the other. equal: six arms, nothing differs. in step: likewise, and both goals are one.
    Beside ladder and equal: single, claims at alpha each, without a correction for all pairs; plug-in, how often the
    estimates show some arm dominated.
    """
    ladder = np.array([[0.0, (a + 1) * FAR] for a in range(5)])
    equal = np.zeros((5, 2))
    return {
        "pair": _false_claims("pair", np.array([[0.0, FAR]]), k, seed)["pair"],
        **_false_claims("ladder", ladder, k, seed + 1),
        **_false_claims("equal", equal, k, seed + 2),
        "in step": _false_claims("in step", equal, k, seed + 3, correlation=1.0)["in step"],
    }


def dominance_power(k: int, seed: int) -> float:
    """How often a challenger that gains three standard errors on both goals is said to dominate the control."""
    truth = np.full((1, 2), 3 * np.sqrt(2) * ERROR)
    return float(np.mean([bool(_sure(found)) for found in experiments(truth, k, seed)]))


def _false_claims(name: str, truth: Floats, k: int, seed: int, correlation: float = BETWEEN_GOALS) -> dict[str, float]:
    """Share of experiments with a false claim: ours, of single pairs, and of the estimates."""
    claims: list[bool] = []
    single: list[bool] = []
    shown: list[bool] = []
    for found in experiments(truth, k, seed, correlation):
        claims.append(bool(_sure(found)))
        lift = np.vstack([np.zeros(found.lift.shape[1]), found.lift])
        gap = (lift[:, None] - lift[None]).min(axis=2)  # the worst goal, of equal standard errors
        single.append(bool(gap.max() > 1.645 * np.sqrt(2) * ERROR))
        shown.append(bool(dominated(lift[:, :, None]).any()))
    shares = {name: claims, f"{name}, single": single, f"{name}, plug-in": shown}
    return {key: float(np.mean(values)) for key, values in shares.items()}


def _sure(found: JointLifts) -> set[tuple[str, str]]:
    return {(claim.better, claim.worse) for claim in dominance_claims(found, ALPHA) if claim.sure}


def exchange_coverage(k: int, seed: int) -> dict[str, float]:
    """How often the confidence set of an exchange rate holds the true one. V14; 16 s for k = 5 000.

    over control, between arms: two challengers of which one gains 4 standard errors of the second goal for a loss of
    2 of the first, the other 1 for 3. weak: between an arm and the control that hardly differ on the second goal.
    Beside each: naive, the interval of the delta method; unbounded, the share of sets that are all rates, which cover.
    """
    unit = np.sqrt(2) * ERROR
    clear = np.array([[-2 * unit, 4 * unit], [3 * unit, unit]])
    weak = np.array([[-2 * unit, 0.5 * unit]])
    return {
        **_coverage("over control", clear, 0, -0.5, k, seed),
        **_coverage("between arms", clear, 2, -5 / 3, k, seed),
        **_coverage("weak", weak, 0, -4.0, k, seed + 1),
    }


def _coverage(name: str, truth: Floats, at: int, rate: float, k: int, seed: int) -> dict[str, float]:
    covered, naive, unbounded = [], [], []
    for found in experiments(truth, k, seed):
        exchange = exchange_rates(found, ALPHA)[at]
        covered.append(exchange.contains(rate))
        unbounded.append(exchange.kind == UNBOUNDED)
        naive.append(abs(exchange.rate - rate) < 1.96 * _delta_error(found, at))
    shares = {name: covered, f"{name}, naive": naive, f"{name}, unbounded": unbounded}
    return {key: float(np.mean(values)) for key, values in shares.items()}


def _delta_error(found: JointLifts, at: int) -> float:
    """Standard error of a ratio of differences by the delta method: B - A, or C - B at 2."""
    contrast = np.array([1.0, 0.0] if at == 0 else [-1.0, 1.0])[: len(found.arms)]
    contrast = np.kron(contrast, np.eye(2))
    top, bottom = contrast @ found.lift.ravel()
    covariance = contrast @ found.covariance @ contrast.T
    slope = np.array([1 / bottom, -top / bottom**2])
    return float(np.sqrt(slope @ covariance @ slope))


def winners_curse(k: int, seed: int, truth: Sequence[float] = (0, 0, 0, 0, 0)) -> dict[str, float]:
    """What is said of the best of several challengers, in standard errors of a lift. V15; 1.3 s for k = 20 000.

    bias, rmse: of naive, shrunk and hybrid estimate. high: how often the hybrid estimate is above the truth.
    coverage, width: of the naive and the hybrid interval.

    Args:
        truth: the challengers' lifts in standard errors; they share one control of their own size.
    """
    true = np.array(truth, dtype=np.float64)
    covariance = (np.eye(len(true)) + 1) / 2
    rng = np.random.default_rng(seed)
    lift = true + rng.multivariate_normal(np.zeros(len(true)), covariance, k)
    found = winners(lift, covariance, ALPHA)
    of_best = true[found.best]
    estimates = {"naive": found.naive, "shrunk": found.shrunk, "hybrid": found.hybrid}
    return {
        **{f"bias, {name}": float((said - of_best).mean()) for name, said in estimates.items()},
        **{f"rmse, {name}": float(np.sqrt(((said - of_best) ** 2).mean())) for name, said in estimates.items()},
        "high, hybrid": float((found.hybrid > of_best).mean()),
        "coverage, naive": float(((found.naive_low <= of_best) & (of_best <= found.naive_high)).mean()),
        "coverage, hybrid": float(((found.low <= of_best) & (of_best <= found.high)).mean()),
        "width, naive": float((found.naive_high - found.naive_low).mean()),
        "width, hybrid": float((found.high - found.low).mean()),
    }
