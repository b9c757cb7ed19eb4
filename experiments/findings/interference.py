"""How wrong a test is where users share something, by what was divided between the arms."""

from __future__ import annotations

import math

from experiments.analysis.interference import DesignRow
from experiments.findings.table import Finding
from experiments.findings.words import percent
from experiments.results import Results

SURE = 1.96  # standard errors from which one run tells bias from bad luck


def sentence(finding: Finding, results: Results) -> str:
    """Every design's estimate beside the effect of serving everyone by the arm."""
    rows = [row for row in results.designs if (row.arm, row.metric) == (finding.arm, finding.metric)]
    truth = rows[0].truth
    said = "; ".join(_said(row) for row in rows)
    return (
        f"serving everyone by {finding.arm} changes {finding.metric} by {percent(truth)} "
        f"(all users on it against all on {results.control}): {said}."
    )


def _said(row: DesignRow) -> str:
    doubt = "" if not math.isfinite(row.z) else " (sure)" if abs(row.z) >= SURE else " (could be chance)"
    off = f"{100 * row.bias:+.1f} points" if math.isfinite(row.bias) else percent(row.bias)
    return (
        f"divided by {row.design} the test says {percent(row.estimate)} ({percent(row.low)} to {percent(row.high)}), "
        f"off by {off}{doubt}"
    )
