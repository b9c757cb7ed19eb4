"""Run every benchmark, print a table and write `bench.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from threadpoolctl import threadpool_limits

from tests.bench.measure import Figure


def figures() -> Iterator[Figure]:
    """Every benchmark there is; a new one joins here."""
    from tests.bench import analysis, memory, scoring, throughput, training, tuning

    yield from throughput.figures()
    yield from analysis.figures()
    yield from scoring.figures()
    yield from training.figures()
    yield from tuning.figures()
    yield from memory.figures()


def report(rows: Iterable[Figure], out: Path) -> None:
    """Print each figure as it is measured, and write them all."""
    done = []
    for row in rows:
        done.append(row)
        print(f"{row.name}\n    {row.value:,.2f} {row.unit}")
        print(f"    {row.reference}: {row.reference_value:,.2f}; ratio {row.ratio:.3f}", flush=True)
    out.write_text(json.dumps([asdict(row) for row in done], indent=1) + "\n")
    print(f"wrote {out}")


if __name__ == "__main__":
    with threadpool_limits(1):
        report(figures(), Path("bench.json"))
