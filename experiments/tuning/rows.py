"""Every trial of a tuning as a row of a table."""

from __future__ import annotations

from typing import Any

from experiments.tuning.tuned import Tuned


def trial_rows(tuned: Tuned) -> list[dict[str, Any]]:
    """By trial: its setting, every quantity as observed and as believed, and whether it holds the limits."""
    belief, question = tuned.belief, tuned.question
    se, sd, front = tuned.measured.se, belief.found.sd, set(belief.front.tolist())
    batch = tuned.experiment.tune.budget.batch if tuned.experiment.tune else 1
    rows = []
    for n, params in enumerate(tuned.trials):
        row: dict[str, Any] = {"trial": n, "batch": n // batch}
        row |= {f"param {name}": params.get(name) for name in tuned.space.parameters}
        for m, quantity in enumerate(question.quantities):
            row |= {
                quantity.name: tuned.measured.values[n, m],
                f"{quantity.name} se": se[n, m],
                f"{quantity.name} believed": belief.found.mean[n, m],
                f"{quantity.name} sd": sd[n, m],
            }
        rows.append(row | {"feasible": belief.feasible[n], "front": n in front})
    return rows
