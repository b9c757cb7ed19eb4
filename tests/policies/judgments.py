"""Files of judgments whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sim.records import Floats

WEIGHTS = np.array([1.0, -0.7, 0.5, 0.0, 0.0, 0.0])  # of relevance, by feature


def relevance(x: Floats) -> Floats:
    """What grades are drawn from: a line, and a product that no single feature shows. x: shape (n, 6)."""
    value: Floats = x @ WEIGHTS + 0.7 * x[:, 3] * x[:, 4]
    return value


def write_judgments(path: Path, n_queries: int, seed: int, noise: float = 0.5) -> Floats:
    """Queries of 5 to 30 documents with grades 0 to 4, and a few without any relevant; returns the true relevance.

    A query shifts its last feature, as a query's length would, which says nothing of the documents.
    """
    luck = np.random.default_rng(seed)
    truth, lines = [], []
    for query in range(n_queries):
        n = int(luck.integers(5, 31))
        x = luck.normal(size=(n, 6)).round(4)
        x[:, 5] = round(float(luck.normal()), 4)
        value = relevance(x)
        grade = np.searchsorted([0.3, 1.0, 1.8, 2.6], value + luck.normal(scale=noise, size=n))
        grade = grade if query % 20 else 0 * grade
        truth.append(value)
        for g, row in zip(grade, x, strict=True):
            named = " ".join(f"{k}:{v:g}" for k, v in enumerate(row, start=1) if v)
            lines.append(f"{g} qid:{query + 10} {named} #doc = {len(lines)}")
    path.write_text("\n".join(lines) + "\n")
    return np.concatenate(truth)
