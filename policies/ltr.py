"""Learning to rank from a file of judgments: the rankers of this package on data that has no users and no log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from policies.features import Rows, Schema
from policies.graded import Graded, GroupScorer, RanksGrades
from policies.levels import usual_gains
from sim.records import Floats, Ints, Scores

F32 = NDArray[np.float32]
HIGHEST_GRADE = 30  # gains of 2^30 are more than any judge means; a label of 31 and more is no grade
_LARGEST = float(np.finfo(np.float32).max)  # beyond it, a feature is infinite as it is kept
LINES_PER_BLOCK = 10_000  # parsed at once: 136 features take 25 MB

_GRADE, _QID = r"\d+(?:\.0*)?", r"qid:\d{1,15}"  # up to 15 digits are exact as floats
_FEATURE = r"\d{1,9}:[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_LINE = re.compile(rf"{_GRADE}\s+{_QID}(?:\s+{_FEATURE})*")


@dataclass(frozen=True, slots=True)
class Queries:
    """Judged documents, those of a query together.

    grade: shape (n,). From 0 = irrelevant. qid: shape (n,). features: shape (n, F). Column k is feature k + 1.
    """

    grade: Ints
    qid: Ints
    features: F32

    def __post_init__(self) -> None:
        lengths = {"grade": len(self.grade), "qid": len(self.qid), "features": len(self.features)}
        if len(set(lengths.values())) > 1 or not len(self):
            raise ValueError(f"Queries: all columns must have one length above 0, got {lengths}")
        if len(self.starts) - 1 != len(np.unique(self.qid)):
            raise ValueError("Queries: rows of one query must be contiguous; sort them by qid")
        if self.grade.min() < 0 or self.grade.max() > HIGHEST_GRADE:
            found = f"{self.grade.min()} to {self.grade.max()}"
            raise ValueError(f"Queries: grades must be from 0 to {HIGHEST_GRADE}, got {found}; grade 0 is irrelevant")

    def __len__(self) -> int:
        return len(self.grade)

    @property
    def starts(self) -> Ints:
        """Where each query begins, and the end of the last; shape (n_queries + 1,)."""
        return np.concatenate([[0], np.flatnonzero(np.diff(self.qid)) + 1, [len(self)]])


def read_svmlight(path: Path | str, n_features: int | None = None) -> Queries:
    """Read lines such as `2 qid:7 1:0.3 5:1 # comment`: grade, query, features from 1; those not named are 0.

    Args:
        n_features: columns to read, features beyond it being left out; without it, as many as the file names.

    Raises:
        ValueError: with file and line, for what is not of this form, a feature twice in a line, a feature 0,
            or a query whose lines are not together, which is not sorted here: it may be two queries of one name.
    """
    grades, qids, parts = [], [], []
    for block in _blocks(Path(path)):
        grade, qid, row, feature, value = _parsed(block)
        grades.append(grade)
        qids.append(qid)
        parts.append((row, feature, value))
    if not grades:
        raise ValueError(f"{path}: the file must hold judged documents, found none")
    width = n_features or max(int(feature.max(initial=0)) for _, feature, _ in parts)
    dense = [_dense(len(grade), width, *part) for grade, part in zip(grades, parts, strict=True)]
    return Queries(np.concatenate(grades), np.concatenate(qids), np.concatenate(dense))


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines of a file without comments; number: shape (n,). Of each line in its file."""

    path: Path
    number: list[int]
    line: list[str]

    def refuse(self, at: int, why: str) -> ValueError:
        return ValueError(f"{self.path.name}:{self.number[at]}: {why}")


def _blocks(path: Path) -> Iterator[_Block]:
    """Lines that say something; a query must not begin again, in this block or a later one."""
    seen: set[str] = set()
    last = ""
    with path.open(encoding="utf-8", errors="replace") as file:  # comments may be of any encoding
        numbered = ((number, line.partition("#")[0].strip()) for number, line in enumerate(file, start=1))
        said = ((number, line) for number, line in numbered if line)
        while lines := list(islice(said, LINES_PER_BLOCK)):
            block = _Block(path, [number for number, _ in lines], [line for _, line in lines])
            for at, line in enumerate(block.line):
                if not _LINE.fullmatch(line):
                    raise block.refuse(at, _complaint(line))
                qid = line.split(maxsplit=2)[1]
                if qid != last and qid in seen:
                    raise block.refuse(at, f"lines of {qid} must be together, but {last} is between; sort by qid")
                seen.add(qid)
                last = qid
            yield block


def _complaint(line: str) -> str:
    grade, *rest = line.split()
    if not re.fullmatch(_GRADE, grade):
        return f"a line must begin with a grade, a whole number from 0, got {grade!r}"
    if not rest or not re.fullmatch(_QID, rest[0]):
        return f"after the grade must come the query, such as qid:7, got {rest[0] if rest else 'nothing'!r}"
    wrong = next((token for token in rest[1:] if not re.fullmatch(_FEATURE, token)), line)
    return f"a feature must be its number, a colon and a finite value, such as 5:0.25, got {wrong!r}"


def _parsed(block: _Block) -> tuple[Ints, Ints, Ints, Ints, Floats]:
    """Grade and qid by line, shape (n,); row, feature (from 1) and value of what is named, shape (m,)."""
    text = " ".join(block.line).replace("qid:", "").replace(":", " ")
    pairs = np.fromstring(text, sep=" ").reshape(-1, 2)  # grade and qid, then each feature and its value
    n_pairs = np.array([line.count(":") for line in block.line])
    heads = np.cumsum(n_pairs) - n_pairs
    row = np.repeat(np.arange(len(n_pairs)), n_pairs)
    named = np.ones(len(pairs), dtype=np.bool_)
    named[heads] = False
    row, feature, value = row[named], pairs[named, 0].astype(np.int64), pairs[named, 1]
    if (bad := feature == 0).any():
        raise block.refuse(row[bad][0], "features are numbered from 1, got 0; add 1 to every number")
    if (bad := np.abs(value) > _LARGEST).any():
        raise block.refuse(row[bad][0], f"the value of feature {feature[bad][0]} must be finite, got {value[bad][0]}")
    order = np.lexsort((feature, row))
    if (twice := (np.diff(row[order]) == 0) & (np.diff(feature[order]) == 0)).any():
        at = order[1:][twice][0]
        raise block.refuse(row[at], f"feature {feature[at]} must be named once, got it twice")
    grade, qid = pairs[heads].astype(np.int64).T
    if (bad := grade > HIGHEST_GRADE).any():
        at = int(np.flatnonzero(bad)[0])
        raise block.refuse(at, f"a grade must be at most {HIGHEST_GRADE}, got {grade[at]}; is it a score?")
    return grade, qid, row, feature, value


def _dense(n: int, width: int, row: Ints, feature: Ints, value: Floats) -> F32:
    dense = np.zeros((n, width), dtype=np.float32)
    kept = feature <= width
    dense[row[kept], feature[kept] - 1] = value[kept]
    return dense


@dataclass(frozen=True, slots=True)
class Standard:
    """Features on one scale, learned from the queries to train on: sign(x) log(1 + |x|), standardised.

    The logarithm is what networks need for features that span orders of magnitude (Qin et al., ICLR 2021, sec. 5);
    to trees it is nothing. A feature that never varied is 0 everywhere. mean, scale: shape (F,).
    """

    mean: F32
    scale: F32

    @classmethod
    def of(cls, features: F32) -> Self:
        logs = _signed_log(features)
        mean, spread = logs.mean(axis=0, dtype=np.float64), logs.std(axis=0, dtype=np.float64)
        scale = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0)
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    def __call__(self, features: F32) -> F32:
        if features.shape[1] > len(self.mean):
            raise ValueError(
                f"features must be those of training, 1 to {len(self.mean)}, got 1 to {features.shape[1]}; "
                f"read the file with n_features={len(self.mean)} to leave the others out"
            )
        absent = ((0, 0), (0, len(self.mean) - features.shape[1]))  # a sparse file ends at the last it names
        return (_signed_log(np.pad(features, absent)) - self.mean) * self.scale


def _signed_log(x: F32) -> F32:
    return np.copysign(np.log1p(np.abs(x)), x)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A ranker learned from queries. notes: what a reader should know of its fit."""

    standard: Standard
    scorer: GroupScorer
    notes: list[str]

    def score(self, queries: Queries) -> Scores:
        """Higher is better, shape (n,); comparable within a query, whose scores do not depend on the others."""
        each = (_rows(self.standard(queries.features[a:b])) for a, b in pairwise(queries.starts))
        return np.concatenate([self.scorer(rows) for rows in each]).astype(np.float32, copy=False)


def rank(ranker: RanksGrades, train: Queries, gains: Sequence[float] | None = None) -> Ranked:
    """Train a ranker on queries, as it would be trained on a log: the same loss, loop and settings.

    What the ranker says of a log's actions (its levels, gains or weights) is replaced: the levels are the grades.
    A network stops by the last queries of the file, so that they should be no special ones.

    Args:
        gains: of grade 0, 1, ..., by default 2^grade - 1 as in NDCG; also the weights of rows for sample_weight.

    Raises:
        ValueError: no two documents of a query differ in grade, or gains are not one for each grade.
    """
    starts, level = train.starts, train.grade
    highest = int(level.max())
    best, worst = np.maximum.reduceat(level, starts[:-1]), np.minimum.reduceat(level, starts[:-1])
    if not (best > worst).any():
        raise ValueError(f"queries must hold documents of several grades, got only one in each of {len(best)}")
    if gains is not None and len(gains) <= highest:
        raise ValueError(f"gains must be of grades 0 to {highest}, got {len(gains)}; try {_usual(highest)}")
    standard = Standard.of(train.features)
    rows = _rows(standard(train.features))
    names = [f"feature_{k + 1}" for k in range(train.features.shape[1])]
    query = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    graded = Graded(_schema(len(names)), rows, names, level, starts, query)
    used = tuple(gains) if gains is not None else _usual(highest)
    return Ranked(standard, *ranker.for_grades(used).learn_grades(graded))


def _usual(highest: int) -> tuple[float, ...]:
    return tuple(usual_gains(tuple(() for _ in range(highest))))


def _schema(width: int) -> Schema:
    """One user, one segment and one item, of which nothing is known: all features are of the pair."""
    nobody = np.zeros(1, dtype=np.int64)
    return Schema(1, 1, nobody, np.zeros((1, 0), dtype=np.float32), 0, width)


def _rows(features: F32) -> Rows:
    nobody, nothing = np.zeros(len(features), dtype=np.int64), np.zeros((len(features), 0), dtype=np.float32)
    return Rows(nobody, nobody, nobody, nothing, nothing, features, nobody)


def ndcg(
    queries: Queries, scores: Scores | Floats, at: Sequence[int] = (1, 3, 5, 10), empty: float | None = 0.0
) -> dict[int, float]:
    """Mean NDCG of queries at each cut-off k; as `ndcg_by_query`.

    Args:
        empty: what a query without a relevant document counts: 0 as in LETOR's evaluation, 1 as in LightGBM and
            XGBoost, None to leave it out.
    """
    by_query = ndcg_by_query(queries, scores, at)
    counted = by_query[~np.isnan(by_query[:, 0])] if empty is None else np.nan_to_num(by_query, nan=empty)
    if not len(counted):
        raise ValueError("NDCG needs a query with a relevant document, got none; empty=0 counts each as 0")
    return {k: float(value) for k, value in zip(at, counted.mean(axis=0), strict=True)}


def ndcg_by_query(queries: Queries, scores: Scores | Floats, at: Sequence[int]) -> Floats:
    """NDCG at each cut-off, shape (n_queries, len(at)); nan where no document is relevant.

    Gain 2^grade - 1, discount 1 / log2(1 + rank) (Burges et al., ICML 2005). Documents of equal score stand in
    random order, and what is returned is the expectation over it (McSherry and Najork, ECIR 2008), so that a
    ranker that cannot tell documents apart gains nothing from how they lie in the file.
    """
    if scores.shape != (len(queries),) or not np.isfinite(scores).all():
        raise ValueError(f"scores must be {len(queries)} finite numbers, one per document, got {scores.shape}")
    if not at or min(at) < 1:
        raise ValueError(f"at must name cut-offs from 1, got {tuple(at)}; try (1, 3, 5, 10)")
    starts = queries.starts
    query = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    rank_from_0 = np.arange(len(queries)) - starts[query]
    gain = 2.0**queries.grade - 1
    ideal = gain[np.lexsort((-gain, query))]
    order = np.lexsort((-scores, query))
    ranked = scores[order]
    alone = np.concatenate([[True], (np.diff(ranked) != 0) | (np.diff(query) != 0)])
    ties = np.flatnonzero(alone)
    size = np.diff(np.append(ties, len(queries)))
    expected = np.repeat(np.add.reduceat(gain[order], ties) / size, size)  # the mean of the tied, wherever they stand
    discount = 1 / np.log2(2 + rank_from_0)
    out = np.full((len(starts) - 1, len(at)), np.nan)
    for column, k in enumerate(at):
        weight = discount * (rank_from_0 < k)
        best = np.add.reduceat(ideal * weight, starts[:-1])
        found = np.add.reduceat(expected * weight, starts[:-1])
        np.divide(found, best, out=out[:, column], where=best > 0)
    return out
