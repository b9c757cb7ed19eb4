"""Run checks, and once more those with a figure outside its band: a defect stays, chance does not."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from tests.validation.measured import Measured, Size
from tests.validation.table import CHECKS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found.

    measured: every figure. repeated: those that were outside their bands, from a repetition of the whole check.
    seconds: of CPU, both together.
    """

    check: str
    measured: tuple[Measured, ...]
    repeated: tuple[Measured, ...]
    seconds: float

    @property
    def outside(self) -> int:
        return sum(not one.passed for one in self.measured)

    @property
    def failed(self) -> int:
        """Figures that are outside their bands again; without a repetition, those that are outside."""
        return sum(not one.passed for one in self.repeated) if self.repeated else self.outside


def outcome(check: str, size: Size) -> Outcome:
    """One check; in the full form, what is outside its band and random is measured once more.

    The rule is the same for every figure. Among two hundred of them, one run in five has one outside a band of 99.9 %
    by chance.
    """
    started = time.process_time()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = tuple(CHECKS[check](size))
        doubtful = {one.what for one in found if not one.passed and one.replications}
        again: Sequence[Measured] = CHECKS[check](Size.AGAIN) if doubtful and size is Size.FULL else ()
    repeated = tuple(one for one in again if one.what in doubtful)
    exact = tuple(one for one in found if not one.passed and not one.replications)
    return Outcome(check, found, (*repeated, *exact) if repeated else (), time.process_time() - started)


def outcomes(checks: Sequence[str], size: Size, workers: int) -> Iterator[Outcome]:
    """In the order of the checks, as they are done."""
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(outcome, checks, [size] * len(checks))
