"""A test's plan on the terminal: what each metric's design sees, what is asked, and one sentence."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.planning import ExperimentPlan, MetricPlan
from experiments.report.format import CANT_TELL, DASH, MINUS, number
from experiments.report.words import UNITS

DOUBLE = 1.0  # beyond, errors that are taken as of equal arms mean little


def show(plan: ExperimentPlan, margins: Mapping[str, float], steps: list[tuple[str, str]]) -> None:
    """Print the plan on standard output; `steps` come last, as (what, text). margins: of the guardrails, signed."""
    # Not a terminal: wide enough that no cell is folded, so that a saved table can be read and searched.
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(f"[italic]{escape(title(plan))}[/]", soft_wrap=True)
    console.print(table(plan, margins))
    for line in rules(plan):
        console.print(escape(line), soft_wrap=True)
    for note in plan.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    console.print()
    console.print(f"[bold]{escape(sentence(plan))}[/]", soft_wrap=True)
    console.print()
    for what, text in steps:
        console.print(escape(f"{what:<8} {text}"), soft_wrap=True)


def title(plan: ExperimentPlan) -> str:
    """Whose plan it is."""
    return f"{plan.name}: what can be told after {_days(plan.warmup_days)} of warm-up of a test with {size(plan)}"


def size(plan: ExperimentPlan) -> str:
    """The design in words."""
    n, unit = plan.units[plan.smallest], UNITS[plan.unit]
    units = f"about {rounded(n)} {unit}" if math.isfinite(n) else f"nobody can tell how many {unit}"
    return f"{_days(plan.days)} and {units} {_per_arm(plan)}"


def table(plan: ExperimentPlan, margins: Mapping[str, float]) -> Table:
    """A row per metric: goals, guardrails, others."""
    sheet = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    sheet.add_column("metric", no_wrap=True)
    sheet.add_column("role", no_wrap=True)
    for heading in ("warm-up", "sd / mean", "CUPED", "sees from", "asked", f"{UNITS[plan.unit]} per arm", "days"):
        sheet.add_column(heading, justify="right", no_wrap=True)
    for row in plan.metrics:
        sign = MINUS if margins.get(row.metric, 0) < 0 else "+" if row.metric in margins else ""
        style = "green" if row.enough else "yellow"
        sheet.add_row(
            row.metric,
            row.role,
            number(row.value),
            number(row.spread),
            _cut(row, plan),
            f"[{style}]{change(row.sees, sign)}[/]",
            f"{sign}{share(row.asked)}",
            rounded(row.units),
            days(row, plan),
        )
    return sheet


def rules(plan: ExperimentPlan) -> list[str]:
    """Levels and powers behind the numbers."""
    alpha, power = share(plan.alpha), share(plan.power)
    goals = f"{alpha} each"
    if plan.comparisons > 1:
        goals = f"{plan.comparisons} comparisons at {alpha} together (max-T), {share(plan.level)} each"
    each = f", so {share(plan.power_each)} of every goal and guardrail" if plan.power_each > plan.power else ""
    return [
        f"sees from: two-sided, goals {goals}, others {alpha} each; a guardrail's margin one-sided at {alpha}, "
        f"kept by an arm that changes nothing",
        f"power: {power} of the whole decision{each}; {power} of others",
    ]


def sentence(plan: ExperimentPlan) -> str:
    """What the first goal's test sees, and what it takes to see what is asked."""
    row, unit = plan.metrics[0], UNITS[plan.unit]
    if math.isnan(row.sees):
        return f"What this test sees of {row.metric} can't be told: the warm-up has too little of it."
    sees = f"sees {row.metric} move by {change(row.sees)} or more"
    seen = f"With {size(plan)} this test {sees if row.sees <= DOUBLE else f'would not even see {row.metric} double'}"
    if row.enough:
        return f"{seen}, and so the {share(row.asked)} asked for."
    times = rounded(row.units / plan.units[plan.smallest])
    needs = f"about {rounded(row.units)} {unit} {_per_arm(plan)} ({times} times as many)"
    if math.isinf(row.days):
        longer = f"and {plan.farthest} days with these {unit} are not enough"
    else:
        longer = f"or {row.days:.0f} days with these {unit}"
    return f"{seen}; to see {share(row.asked)} it needs {needs}, {longer}."


def change(x: float, sign: str = "") -> str:
    """A relative change such as 0.057 as "5.7 %", with two digits where one would say little."""
    if not math.isfinite(x):
        return CANT_TELL
    return f"{sign}{100 * x:.{1 if x >= 0.01 else 2}f} %" if x <= DOUBLE else f"> {sign}{share(DOUBLE)}"


def share(x: float) -> str:
    """A level or a power in percent, without idle zeros."""
    return f"{100 * x:.3g} %"


def rounded(x: float) -> str:
    """A count with three digits that count, thousands set apart."""
    if not math.isfinite(x):
        return CANT_TELL
    return f"{x:.2g}" if x < 10 else f"{float(f'{x:.3g}'):,.0f}"


def days(row: MetricPlan, plan: ExperimentPlan) -> str:
    """Days that a metric needs; beyond the last that can be told, only that."""
    if math.isnan(row.days):
        return CANT_TELL
    return f"> {plan.farthest}" if math.isinf(row.days) else f"{row.days:.0f}"


def _cut(row: MetricPlan, plan: ExperimentPlan) -> str:
    return f"{MINUS}{100 * row.cut:.1f} %" if plan.cuped and row.cut >= 0.0005 else DASH


def _days(n: int) -> str:
    return f"{n} day{'' if n == 1 else 's'}"


def _per_arm(plan: ExperimentPlan) -> str:
    units = set(plan.units.values())
    even = max(units) - min(units) < 1e-6 * max(units)
    return "per arm" if even else "in the smallest arm"
