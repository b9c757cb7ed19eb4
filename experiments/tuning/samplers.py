"""Optimisers by name, each remade for every trial from the study's seed and the trial's number.

So a study that was killed proposes what the undisturbed one would have: nothing of a sampler lives longer than one
proposal, but for what the storage holds.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from experiments.tuning.space import Params
from experiments.tuning.thompson import Aim, Observed, ThompsonSampler

POPULATION = 20  # of NSGA-II: with tens of trials, more would be one generation
Made = Callable[[int], BaseSampler]


def samplers_of(
    name: str,
    aim: Aim,
    distributions: Mapping[str, BaseDistribution],
    *,
    seed: int,
    batch: int,
    trials: int,
    observe: Callable[[Sequence[FrozenTrial]], Observed],
    active: Callable[[Params], Collection[str]],
    conditional: bool,
) -> Made:
    """The sampler of a name for each trial's number.

    Args:
        trials: how many there will be; a grid is laid out for so many. conditional: whether some parameters are not
            always active, which TPE then models in groups.
    """
    match name:
        case "thompson":
            one = ThompsonSampler(aim, distributions, seed=seed, batch=batch, observe=observe, active=active)
            return lambda number: one
        case "tpe":
            return lambda number: _tpe(keyed(seed, number), conditional)
        case "nsga2":
            return lambda number: NSGAIISampler(population_size=POPULATION, seed=keyed(seed, number))
        case "random":
            return lambda number: RandomSampler(seed=keyed(seed, number))
    grid = GridSampler(distributions, trials, seed, active)
    return lambda number: grid


def keyed(seed: int, number: int) -> int:
    """A seed of its own for every trial; 32 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4], "little")


def _tpe(seed: int, conditional: bool) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of group, which conditional parameters need
        return TPESampler(multivariate=True, group=conditional, seed=seed)


class GridSampler(BaseSampler):
    """Every combination of evenly spread values, in a shuffled order: as fine as the trials allow, ends included."""

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        trials: int,
        seed: int,
        active: Callable[[Params], Collection[str]],
    ) -> None:
        self.distributions = dict(distributions)
        n_free = sum(not isinstance(d, CategoricalDistribution) for d in distributions.values())
        fixed = int(np.prod([len(d.choices) for d in distributions.values() if isinstance(d, CategoricalDistribution)]))
        each = max(2, int((trials / max(fixed, 1)) ** (1 / max(n_free, 1)) + 1e-9))
        axes = [spread(distribution, each) for distribution in distributions.values()]
        points = (dict(zip(distributions, values, strict=True)) for values in product(*axes))
        # Where a parameter has no say, its values are one point.
        once = {tuple(sorted((n, p[n]) for n in active(p))): {n: p[n] for n in active(p)} for p in points}
        order = np.random.default_rng(seed).permutation(len(once))
        every = list(once.values())
        self.points = [every[k] for k in order]

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.points[trial.number % len(self.points)]

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return spread(param_distribution, 2)[0]


def spread(distribution: BaseDistribution, n: int) -> list[Any]:
    """n values from end to end, evenly, or in the logarithm where the distribution says so; all choices of a choice."""
    match distribution:
        case CategoricalDistribution():
            return list(distribution.choices)
        case IntDistribution():
            even = _even(distribution.low, distribution.high, distribution.log, n)
            steps = np.round((even - distribution.low) / distribution.step) * distribution.step + distribution.low
            return list(dict.fromkeys(int(x) for x in np.clip(steps, distribution.low, distribution.high)))
        case FloatDistribution():
            even = _even(distribution.low, distribution.high, distribution.log, n)
            if distribution.step:
                even = np.round((even - distribution.low) / distribution.step) * distribution.step + distribution.low
            return list(dict.fromkeys(float(x) for x in np.clip(even, distribution.low, distribution.high)))
    raise TypeError(f"{distribution!r}: must be a float, an integer or a categorical distribution")


def _even(low: float, high: float, log: bool, n: int) -> np.ndarray:
    return np.geomspace(low, high, n) if log else np.linspace(low, high, n)
