"""Where does ESMM beat a CVR model of clicks alone, over all impressions? `python -m tests.studies.cvr`."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from tests.studies import chart
from tests.studies.cells import Cell, Row, rows
from tests.studies.fits import RATES_WITH_SLOTS
from tests.studies.worlds import Setting

OUT = Path(__file__).parents[2] / "docs" / "studies"
PAGE = OUT.parent / "cvr.md"
TABLE = OUT / "cvr.csv"
FEW = ("cvr_on_clicks", "shared_bottom", "esmm", "esmm_ns")
BASE = Setting(cvr=0.25)
SPARSE = replace(BASE, items=12_000, pools=20, cvr=0.04)
MAIN = ("cvr_on_clicks", "shared_embeddings", "shared_bottom", "esmm", "esmm_stopped_on_clicks", "esmm_ns")
WEIGHED = (*MAIN, "esmm_buys_x10")
ON_LOGS = ("cvr_on_clicks", "esmm", "esmm_ns", "esm2", "escm2_ips", "escm2_dr")  # all that may hope to be unbiased

CELLS: Mapping[str, Cell] = {
    "base": Cell(BASE, ("aman", "division", *WEIGHED)),
    "clicks 20 %": Cell(replace(BASE, ctr=0.2, cvr=0.12), MAIN),
    "clicks 3 %": Cell(replace(BASE, ctr=0.03, cvr=0.5), ("aman", "division", *MAIN)),
    "conflict 0": Cell(replace(BASE, conflict=0.0), MAIN),
    "conflict 0.5": Cell(replace(BASE, conflict=0.5), ("aman", *MAIN, *ON_LOGS[3:])),
    "conflict 1": Cell(replace(BASE, conflict=1.0), ("aman", *WEIGHED)),
    "ids only": Cell(replace(BASE, ids_only=True), WEIGHED),
    "sparse": Cell(SPARSE, MAIN),
    "sparse, ids only": Cell(replace(SPARSE, ids_only=True), WEIGHED),
    "hidden intent": Cell(replace(BASE, hidden_intent=1.0), ("aman", *ON_LOGS)),
    "slots learned": Cell(BASE, FEW, RATES_WITH_SLOTS),
}


def record(name: str, cell: Cell, row: Row) -> dict[str, object]:
    """One line of the table."""
    setting = asdict(cell.setting) | {"cvr_stated": cell.setting.cvr, "ctr_stated": cell.setting.ctr}
    numbers = {key: float(f"{value:.6g}") for key, value in (row.facts | row.measures).items()}
    chosen = {"learning_rate": row.choice.learning_rate, "slot_bias": int(row.choice.slot_bias)}
    ended = {"best_epoch": row.epoch, "cut_short": int(row.cut_short)}
    return {"cell": name, **setting, "seed": row.seed, "model": row.model, **chosen, **ended, **numbers}


def write(lines: Sequence[Mapping[str, str]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def with_tables(page: str, lines: chart.Lines) -> str:
    """The page with its tables as they are in the file."""
    page = chart.pasted(page, "worlds", chart.worlds_table(lines))
    page = chart.pasted(page, "pooled", chart.pooled_table(lines))
    return chart.pasted(page, "models", chart.models_table(lines))


def run(names: Sequence[str], path: Path) -> None:
    """Measure what the table lacks of these cells; without the file, that is all of them."""
    for name in names:
        start, cell = time.process_time(), CELLS[name]
        lines = read(path) if path.exists() else []
        there = {line["model"] for line in lines if line["cell"] == name}
        if missing := [model for model in cell.models if model not in there]:
            for row in rows(replace(cell, models=missing)):
                lines.append({key: str(value) for key, value in record(name, cell, row).items()})
                print(name, row.seed, row.model, row.choice, row.epoch, row.cut_short, row.measures, flush=True)
            write(sorted(lines, key=_place), path)
        print(f"{name}: {time.process_time() - start:.0f} s CPU", flush=True)


def _place(line: Mapping[str, str]) -> tuple[int, int, int]:
    cell = line["cell"]
    return list(CELLS).index(cell), int(line["seed"]), CELLS[cell].models.index(line["model"])


if __name__ == "__main__":
    with threadpool_limits(1):
        run(sys.argv[1:] or list(CELLS), TABLE)
        measured = read(TABLE)
        chart.figure(measured, OUT / "cvr.png")
        PAGE.write_text(with_tables(PAGE.read_text(), measured))
