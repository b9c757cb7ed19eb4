"""The files of many runs: operating.csv, a row per arm, metric and estimator; operating.json, everything; the page."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.many.sentence import sentence
from experiments.many.summary import Characteristics
from experiments.plain import nulled
from experiments.store import write_text

TABLE, WHOLE, PAGE = "operating.csv", "operating.json", "operating.html"


def write_summary(found: Characteristics, folder: Path) -> None:
    """Write all files into the folder that holds the runs."""
    from experiments.report.many import page

    rows, text = found.to_dicts(), io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    write_text(folder / TABLE, text.getvalue())
    write_text(folder / WHOLE, json.dumps(as_plain(found), indent=1) + "\n")
    write_text(folder / PAGE, page(found))


def as_plain(found: Characteristics) -> dict[str, Any]:
    """Everything as plain values; a number that is not there is null."""
    values = asdict(found) | {"rows": found.to_dicts(), "sentence": sentence(found)}
    plain: dict[str, Any] = nulled(values)
    return plain


def _cell(value: Any) -> Any:
    """Empty is unknown, as in results.csv."""
    return "" if isinstance(value, float) and math.isnan(value) else value
