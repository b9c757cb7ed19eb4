"""What an early look says against the last, where what counts comes late."""

from __future__ import annotations

from experiments.analysis.looks import first_and_last
from experiments.findings.table import Finding
from experiments.findings.words import percent, says
from experiments.results import Results


def sentence(finding: Finding, results: Results) -> str:
    """The first and the last reading of one metric, and what is true in the end."""
    rows = [row for row in results.looks if (row.arm, row.metric) == (finding.arm, finding.metric)]
    early, late = first_and_last(rows)
    eventual = next(t for t in results.truth if (t.arm, t.metric) == (finding.arm, finding.metric)).eventual_lift
    by_day = {row.day: row.true_lift for row in rows}
    changed = "changed its mind" if early.says != late.says else "said the same"
    return (
        f"read on day {early.day}, {finding.arm} by itself shows {says(early.low, early.high)} on {finding.metric}: "
        f"{percent(early.lift)} ({percent(early.low)} to {percent(early.high)}; true as of then "
        f"{percent(by_day[early.day])}); on day {late.day} it shows {says(late.low, late.high)}: {percent(late.lift)} "
        f"({percent(late.low)} to {percent(late.high)}; true {percent(by_day[late.day])}; once everything has landed "
        f"{percent(eventual)}). The test {changed}."
    )
