"""A small experiment of one's own, as tables: a row per user, and the same as events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.tables.answers import Answers, answers_to
from experiments.tables.asking import Asked, load_question
from experiments.tables.collecting import Collected, collect
from experiments.tables.reading import open_table

ASKED: dict[str, Any] = {
    "unit": "user_id",
    "arm": "arm",
    "control": "A",
    "metrics": {"ctr": "clicks/impressions", "gmv": "value"},
}


def shop(n: int = 1200, *, seed: int = 7, lift: float = 0.3) -> pd.DataFrame:
    """Users of two arms; B has `lift` more value and as many clicks."""
    rng = np.random.default_rng(seed)
    taste = rng.gamma(4, 1, n)
    arm = np.where(rng.random(n) < 0.5, "A", "B")
    impressions = 1 + rng.poisson(20, n)
    value = np.round(taste * rng.gamma(4, 0.5, n) * np.where(arm == "B", 1 + lift, 1), 2)
    return pd.DataFrame(
        {
            "user_id": [f"u{k}" for k in range(n)],
            "arm": arm,
            "country": rng.choice(["DE", "FR"], n),
            "date": rng.choice(["2024-05-01", "2024-05-02"], n),
            "impressions": impressions,
            "clicks": rng.binomial(impressions, 0.1),
            "value": value,
            "value_before": np.round(taste * rng.gamma(4, 0.5, n), 2),
        }
    )


def written(table: pd.DataFrame, folder: Path, name: str = "shop.csv", **how: Any) -> Path:
    """A table as CSV, or as Parquet where its name ends so."""
    path = folder / name
    table.to_parquet(path, index=False) if name.endswith(".parquet") else table.to_csv(path, index=False, **how)
    return path


def asked_of(path: Path, **keys: Any) -> Asked:
    """The question about a table, with some keys changed; None takes a key away."""
    values = {key: value for key, value in (ASKED | keys).items() if value is not None}
    return load_question(str(path), [((key,), value, f"--{key}") for key, value in values.items()])


def collected_of(path: Path, **keys: Any) -> Collected:
    asked = asked_of(path, **keys)
    table = open_table(path, asked.question.separator)
    asked.check_columns(table.columns)
    return collect(table, asked)


def answers_of(path: Path, **keys: Any) -> Answers:
    return answers_to(asked_of(path, **keys))
