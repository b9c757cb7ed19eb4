"""From a table and its map to estimates with their diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.metrics import nearest
from experiments.offpolicy import single, slatefile
from experiments.offpolicy.foreign import ForeignLog, parsed_map, read_foreign
from experiments.tables.reading import TableError

UNIFORM, COLUMNS = "uniform", "columns"


@dataclass(frozen=True, slots=True)
class Row:
    """An estimator's answer, its weights, and why it should not be used, or None."""

    answer: single.Answer
    overlap: single.Overlap
    refused: str | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """log: path. n: rows. per: what rewards are told per. beside: what a log of the target itself earned."""

    log: str
    n: int
    per: str
    rows: Sequence[Row]
    beside: single.Answer | None


def evaluate(path: Path, mapping: str, policy: str | None, estimator: str | None, beside: Path | None) -> Evaluation:
    """Read and evaluate.

    Args:
        policy: `uniform` or `columns`; None is columns where the map names the target's.

    Raises:
        TableError: the map or the table; a line per problem.
    """
    columns = parsed_map(mapping)
    log = read_foreign(path, columns)
    uniform = policy == UNIFORM or (policy is None and not {"target_rank", "target_propensity"} & set(columns))
    of_slates = "request" in columns and not uniform
    found = _of_slates(log, estimator) if of_slates else _of_rows(log, uniform, estimator)
    other = None
    if beside is not None:
        needed = {key: column for key, column in columns.items() if key in ("reward", "user", "request")}
        other = _really(read_foreign(beside, needed), of_slates)
    return Evaluation(str(path), len(log), "slate" if of_slates else "row", found, other)


def _of_rows(log: ForeignLog, uniform: bool, estimator: str | None) -> list[Row]:
    if not {"propensity", "marginal"} & set(log.numbers):
        raise TableError("--map: must name propensity=COLUMN where rows stand by themselves, found marginals alone")
    known = {**single.BY_WEIGHT, **single.BY_MODEL}
    target = single.uniform_target(log) if uniform else single.column_target(log)
    if estimator in single.BY_MODEL and not uniform:
        raise TableError(
            f"--estimator {estimator}: needs the policy's chance of every item, and a column tells that of the item "
            f"shown; take ips or snips"
        )
    _check_known(estimator, list(known))
    weight = single.weights(log, target)
    seen = single.overlap(weight, log.cluster)
    usual = [*single.BY_WEIGHT, *(single.BY_MODEL if uniform else ())]
    return [Row(known[name](log, weight), seen, seen.doubt) for name in ([estimator] if estimator else usual)]


def _of_slates(log: ForeignLog, estimator: str | None) -> list[Row]:
    if estimator:
        slatefile.check_estimator(estimator)
        _check_known(estimator, list(slatefile.ESTIMATORS))
    rows = []
    for name in [estimator] if estimator else slatefile.possible(log):
        weights, answer = slatefile.ESTIMATORS[name]
        weight = weights(log)
        seen = single.overlap(weight, log.cluster)
        rows.append(Row(answer(log, weight), seen, seen.doubt))
    return rows


def _really(log: ForeignLog, of_slates: bool) -> single.Answer:
    if not of_slates:
        return single.on_policy(log)
    return slatefile.per_slate(log, np.ones(len(log)), "on policy")


def _check_known(estimator: str | None, known: Sequence[str]) -> None:
    if estimator is not None and estimator not in known:
        raise TableError(
            f"--estimator {estimator}: {nearest(estimator, known)}must be one of {', '.join(known)}, got {estimator!r}"
        )
