"""The document of what was measured: every figure, its band, and the naive method beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.validation.battery import Outcome
from tests.validation.measured import AGAIN, Measured, Size, luck
from tests.validation.table import CHECKS

OPENING = f"""# Validation

Every estimator of the analysis against replications whose truth is known, against published tables and against other
libraries, with the naive method beside it. Written by `make validate`; a quick form of each check is part of
`make test`. Users are fresh in every replication, and seeds are fixed.

A share is to lie in its 99.9 % binomial band; **outside** is outside it, and ° is inside it but outside the 99 % band,
where one figure in a hundred lies by chance. What is outside is measured once more, with {AGAIN} times the replications
and other luck: it failed if it is outside again. Lines without a band judge nothing: naive methods, and figures for the
reader.

Of the project's list of checks, V19 (interference) is measured by the world's tests and by `seesaw run interference`.
Confidence sequences (AsympCS, part of V8) and interleaving (V20) are not built.
"""
HEAD = "| what | measured | band | replications | |\n| --- | --- | --- | --- | --- |\n"


def written(found: Sequence[Outcome], size: Size) -> str:
    """The whole document, Markdown."""
    return "\n".join([OPENING, summary(found), "", *(_section(one, size) for one in found)])


def summary(found: Sequence[Outcome]) -> str:
    """One line of what passed and what did not."""
    judged = sum(one.judged for outcome in found for one in outcome.measured)
    outside, failed = sum(one.outside for one in found), sum(one.failed for one in found)
    said = f"{judged} figures have a band; {outside or 'none'} {'was' if outside == 1 else 'were'} outside it"
    if outside:
        said += f", and {failed or 'none'} failed"
    return f"{said}. {sum(one.seconds for one in found):.0f} s of CPU."


def _section(found: Outcome, size: Size) -> str:
    text = " ".join((CHECKS[found.check].__doc__ or "").split())
    parts = [f"## {found.check}\n", f"{text}\n", _table(found.measured)]
    if found.repeated:
        parts += ["Repeated:\n", _table(found.repeated)]
    return "\n".join([*parts, f"Seed {luck(found.check, size)}; {found.seconds:.0f} s of CPU.\n"])


def _table(figures: Sequence[Measured]) -> str:
    return HEAD + "\n".join(f"| {' | '.join(_cells(one))} |" for one in figures) + "\n"


def _cells(one: Measured) -> tuple[str, ...]:
    replications = f"{one.replications:,}" if one.replications else ""
    return one.what, f"{_number(one.value)}{_mark(one)}", _band(one), replications, one.note


def _mark(one: Measured) -> str:
    if not one.judged:
        return ""
    return " **outside**" if not one.passed else "" if one.in_narrow else " °"


def _band(one: Measured) -> str:
    if not one.judged:
        return ""
    if not np.isfinite(one.high):
        return f"at least {_number(one.low)}"
    if not np.isfinite(one.low) or one.low == 0:
        return f"at most {_number(one.high)}"
    return f"{_number(one.low)} to {_number(one.high)}"


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.4f}" if 0.001 <= abs(value) < 1000 else f"{value:.2g}"
