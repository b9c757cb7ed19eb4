"""Files of a finished tuning: every trial, the picks as an experiment that runs, the answer, page and picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.document import write_yaml
from experiments.plain import nulled
from experiments.store import write_text
from experiments.tuning.answer import Told, answer_of
from experiments.tuning.rows import trial_rows
from experiments.tuning.tuned import Tuned
from policies.base import plain

TABLE, FRONT, YAML, JSON, PAGE, PICTURE = (
    *("trials.csv", "front.csv", "tuned.yaml", "tuning.json", "tuning.html", "tuning.png"),
)
_OPENING = """{name}: {what}. Runs as it is: seesaw run tuned.yaml"""


def write_all(tuned: Tuned, out: Path) -> None:
    """Everything that a tuning leaves; the same bytes for the same tuning."""
    import pandas as pd

    from experiments.report.tuning import page, picture

    rows = trial_rows(tuned)
    write_text(out / TABLE, pd.DataFrame(rows).to_csv(index=False))
    write_text(
        out / FRONT, pd.DataFrame([row for row in rows if row["front"]], columns=list(rows[0])).to_csv(index=False)
    )
    if tuned.picks:
        write_yaml(tuned_spec(tuned), out / YAML, _OPENING.format(name=tuned.experiment.name, what="its picks as arms"))
    else:
        (out / YAML).unlink(missing_ok=True)
    answer = answer_of(tuned)
    write_text(out / JSON, json.dumps(nulled(as_plain(tuned, answer)), indent=1) + "\n")
    write_text(out / PAGE, page(tuned, answer))
    draft = out / f".{PICTURE}"
    picture(tuned, answer, draft)
    draft.replace(out / PICTURE)


def tuned_spec(tuned: Tuned) -> dict[str, Any]:
    """The experiment with control, the present arm and every pick as arms of equal shares."""
    experiment, spec = tuned.experiment, tuned.experiment.resolved()
    assert experiment.tune is not None
    test, arm = spec["experiment"], experiment.tune.arm
    kept = {name: dict(test["arms"][name]) for name in dict.fromkeys([test["control"], arm])}
    for k, trial in enumerate(tuned.picked, start=1):
        kept[f"pick-{k}"] = {**test["arms"][arm], **tuned.space.serving(tuned.trials[trial])}
    share = int(1e6 / len(kept)) / 1e6
    test["arms"] = {name: {**section, "share": share} for name, section in kept.items()}
    spec["name"] = f"{experiment.name[:57]}-tuned"
    spec["truth"]["sweeps"] = {}  # of arms that may be gone, as may be those of the finding
    changed: dict[str, Any] = plain({**spec, "finding": None, "tune": None})
    return changed


def as_plain(tuned: Tuned, answer: Told) -> dict[str, Any]:
    """The answer for a program to read."""
    question = tuned.question
    return {
        "name": tuned.experiment.name,
        "sampler": tuned.sampler,
        "goals": list(question.goals),
        "subject_to": [limit.text for limit in question.limits],
        "confidence": question.confidence,
        "trials": len(tuned.trials),
        "searched_on": tuned.searched_on,
        "hypervolume": list(tuned.volumes),
        "front": tuned.belief.front.tolist(),
        "settings": [row.to_dict() for row in answer.rows],
        "hand": [row.to_dict() for row in answer.hand],
        "sensitivity": _sensitivity(tuned),
        "notes": list(answer.notes),
        "headline": answer.headline,
    }


def _sensitivity(tuned: Tuned) -> Mapping[str, Any] | None:
    if tuned.sensitivity is None:
        return None
    names = [quantity.name for quantity in tuned.question.quantities]
    return {
        "parameters": {
            profile.name: {
                "identified": profile.identified,
                "a tenth of the range": {
                    name: {"change": float(cost), "sd": float(sd)}
                    for name, cost, sd in zip(names, profile.cost, profile.cost_sd, strict=True)
                },
            }
            for profile in tuned.sensitivity.profiles
        },
        "ridge": tuned.sensitivity.ridge.direction if tuned.sensitivity.ridge else None,
    }
