"""A tuning as a page and a picture."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from matplotlib.figure import Figure

from experiments.report.drawing import MUTED, style
from experiments.report.format import typeset
from experiments.report.page import templates
from experiments.report.tuning_figures import (
    along,
    history_svg,
    profile_svg,
    promise_svg,
    promises,
    tradeoff,
    tradeoff_svg,
)
from experiments.report.tuning_table import cell, chance, heading, held, value
from experiments.tuning.answer import Number, Told
from experiments.tuning.keys import range_text
from experiments.tuning.rows import trial_rows
from experiments.tuning.study import params_text
from experiments.tuning.tuned import Tuned

TEMPLATE = "tuning.html.j2"
WIDE, HIGH = 11.0, 7.2  # inches of the picture


def page(tuned: Tuned, answer: Told) -> str:
    """A tuning as one self-contained file: the same bytes for the same tuning."""
    environment = templates()
    environment.filters |= {"heading": heading, "chance": chance, "held": held, "value": value, "params": params_text}
    quantities = tuned.question.quantities
    sensitivity = tuned.sensitivity
    return environment.get_template(TEMPLATE).render(
        tuned=tuned,
        answer=answer,
        tune=tuned.experiment.tune,
        quantities=quantities,
        cell=lambda quantity, number: typeset(cell(tuned, quantity, number)),
        believed=lambda trial, m: Number(
            float(tuned.belief.found.mean[trial, m]), float(tuned.belief.found.sd[trial, m])
        ),
        tradeoff=tradeoff_svg(tuned, answer),
        promises={q.name: promise_svg(tuned, answer, q, f"p{n}") for n, q in enumerate(quantities) if q.of != "log"},
        history=history_svg(tuned),
        rows=trial_rows(tuned),
        ranges={name: range_text(parameter) for name, parameter in tuned.space.parameters.items()},
        profiles=[
            (profile, [profile_svg(tuned, profile, m, f"s{n}m{m}") for m in range(len(tuned.question.goals))])
            for n, profile in enumerate(sensitivity.profiles if sensitivity else ())
        ],
    )


def picture(tuned: Tuned, answer: Told, path: Path) -> None:
    """The front, what was promised and confirmed, and how flat the first pick is: one PNG."""
    profiles = (tuned.sensitivity.profiles if tuned.sensitivity else ())[:6]
    with style():
        figure = Figure(figsize=(WIDE, HIGH))
        figure.text(0.04, 0.965, fill(answer.headline, 104), fontsize=12, va="top", fontweight="bold", parse_math=False)
        low = 0.40 if profiles else 0.10
        tradeoff(figure.add_axes((0.08, low + 0.03, 0.46, 0.82 - low)), tuned, answer)
        shown, rows = tuned.question.measured[:3], [*answer.rows[:3], *answer.rows[3:][-1:]]  # the page has them all
        height = (0.85 - low) / len(shown)
        for n, quantity in enumerate(shown):
            axes = figure.add_axes((0.66, low + 0.03 + (len(shown) - 1 - n) * height, 0.31, height - 0.075))
            promises(axes, rows, quantity)
            axes.set_title(heading(quantity), loc="left", fontsize=8, parse_math=False)
        for n, profile in enumerate(profiles):
            width = 0.92 / len(profiles)
            axes = figure.add_axes((0.07 + n * width, 0.09, width - 0.06, 0.2))
            along(axes, tuned, profile, 0)
            axes.set_title(f"{tuned.question.goals[0]} along {profile.name}", loc="left", fontsize=8, parse_math=False)
        told = "round: promised by the search; diamond: confirmed on users whom no search had seen; 95 % intervals"
        figure.text(0.04, 0.015, told, color=MUTED, fontsize=7)
        figure.savefig(path, format="png", dpi=150, metadata={"Software": None})
