"""Many runs of one design as a page: what its intervals hold, what it sees, what its decisions are worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from experiments.analysis.operating import Operating, Rate
from experiments.many.decisions import VERDICTS
from experiments.many.sentence import percent, sentence, with_interval
from experiments.many.summary import FAMILIES, Characteristics, OperatingRow
from experiments.report.drawing import COLOURS, MUTED
from experiments.report.format import DASH, points, typeset
from experiments.report.many_figures import rates_figure
from experiments.report.operating_table import counted, exaggerated, true_lift
from experiments.report.page import templates
from experiments.report.panels import Panel

TEMPLATE = "many.html.j2"
ROOM = 0.02  # of a scale, before the first interval
LISTED = 500  # runs; more are in operating.json
FEW = 30  # runs of which a share is known to within 15 points or worse


def page(found: Characteristics) -> str:
    """The characteristics as one self-contained file: the same bytes for the same runs."""
    environment = templates()
    filters: dict[str, Callable[..., str]] = {
        "rate": lambda rate: typeset(percent(rate)) if rate.n else DASH,
        "counted": lambda rate: typeset(counted(rate)),
        "with_interval": with_interval,
        "true_lift": lambda told: typeset(true_lift(told)),
        "exaggerated": exaggerated,
        "sortable": lambda x: f"{x:.9g}" if math.isfinite(x) else "",  # no number comes last
        "off": _off,
        "points_or_dash": lambda x: f"{100 * x:.2f}" if math.isfinite(x) else DASH,
    }
    environment.filters |= filters
    estimators = list(dict.fromkeys(row.pair.estimator for row in found.rows))
    estimators.sort(key=lambda name: name != found.decider)
    return environment.get_template(TEMPLATE).render(
        found=found,
        sentence=sentence(found),
        colours=arm_colours(found),
        verdicts=VERDICTS,
        coverage=_coverage_panels(found),
        power=_power_panels(found),
        tables={name: _by_role(found, name) for name in estimators},
        level=f"{100 * (1 - found.alpha):g} %",
        few=found.n_runs < FEW,
        listed=found.decisions.runs[:LISTED],
        judged=[role for role in FAMILIES if role in found.families],
    )


def _off(told: Operating) -> str:
    """By how many points estimates are off on average, and how well that is known."""
    known = f" ± {points(told.bias_se, 2)}" if math.isfinite(told.bias_se) else ""
    return f"{points(told.bias, 2)}{known}" if told.runs else DASH


def arm_colours(found: Characteristics) -> dict[str, str]:
    """A colour per arm; the control is grey."""
    return {found.control: MUTED} | {arm: COLOURS[n % len(COLOURS)] for n, arm in enumerate(found.arms())}


def _coverage_panels(found: Characteristics) -> list[Panel]:
    """One per goal and guardrail, all on one scale."""
    judged = [row.found.coverage.low for rows in _judged(found).values() for row in rows if row.found.coverage.n]
    start = min([1 - found.alpha - ROOM, *(low - ROOM for low in judged)])
    return [
        _panel(
            found,
            rows,
            {row.pair.arm: row.found.coverage for row in rows},
            f"c{n}",
            nominal=1 - found.alpha,
            start=start,
        )
        for n, rows in enumerate(_judged(found).values())
    ]


def _power_panels(found: Characteristics) -> list[Panel]:
    """One per goal and guardrail, of the arms that differ."""
    panels = []
    for n, rows in enumerate(_judged(found).values()):
        rates = {row.pair.arm: row.found.power for row in rows if row.pair.arm not in found.twins}
        if rates:
            panels.append(_panel(found, rows, rates, f"p{n}"))
    return panels


def _panel(
    found: Characteristics,
    rows: list[OperatingRow],
    rates: Mapping[str, Rate],
    key: str,
    *,
    nominal: float | None = None,
    start: float = 0.0,
) -> Panel:
    figure = rates_figure(rates, arm_colours(found), key, nominal=nominal, start=start)
    return Panel(rows[0].pair.metric, rows[0].pair.role, "", figure)


def _judged(found: Characteristics) -> dict[str, list[OperatingRow]]:
    """Rows of goals and guardrails by metric."""
    by_metric: dict[str, list[OperatingRow]] = {}
    for row in found.by(found.decider):
        if row.pair.role in FAMILIES:
            by_metric.setdefault(row.pair.metric, []).append(row)
    return by_metric


def _by_role(found: Characteristics, estimator: str) -> dict[str, list[OperatingRow]]:
    """By role, rows with the arms of one metric beside each other."""
    rows = found.by(estimator)
    metrics = list(dict.fromkeys(row.pair.metric for row in rows))
    tables: dict[str, list[OperatingRow]] = {}
    for row in sorted(rows, key=lambda row: metrics.index(row.pair.metric)):
        tables.setdefault(row.pair.role, []).append(row)
    return tables
