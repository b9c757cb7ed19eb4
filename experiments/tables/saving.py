"""The files of an analysis: tables, the joint covariance, the decision, the page and the question itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from experiments.covariance import save_covariance
from experiments.document import write_yaml
from experiments.report.subject import ArmFacts, Subject
from experiments.results import Results
from experiments.store import RunFolder, write_text
from experiments.tables.answers import Answers
from experiments.tables.question import Question

QUESTION = "question.yaml"
_OPENING = (
    """The question, with every value spelled out. Asks it again as it is: seesaw analyze question.yaml --out NEW"""
)


def save(answers: Answers, out: Path, force: bool) -> None:
    """Write everything into a folder of its own, the page last.

    Raises:
        FolderError: it holds another analysis, or files that are not ours.
    """
    import pandas as pd

    from experiments.report.page import page
    from experiments.report.poster import poster

    results, resolved = answers.results, resolved_of(answers.question)
    about = subject_of_table(answers)
    with RunFolder(out).claimed(identity_of(answers.question), force):
        (out / "tasks").rmdir()  # an analysis has none
        write_yaml(resolved, out / QUESTION, _OPENING)
        write_text(out / "results.csv", pd.DataFrame(results.to_dicts()).to_csv(index=False))
        if results.segments:
            write_text(out / "segments.csv", pd.DataFrame(list(results.segments)).to_csv(index=False))
        if results.joint is not None:
            save_covariance(results.joint, out)
        write_text(out / "decision.json", json.dumps(results.decision.to_dict(), indent=1) + "\n")
        draft = out / ".report.png"
        poster(about, results, draft)
        draft.replace(out / "report.png")
        write_text(out / "report.html", page(about, results, {"name": about.name}))


def resolved_of(question: Question) -> dict[str, Any]:
    """Every value, with the table where it lies whatever folder one is in."""
    return question.model_dump(mode="json") | {"table": str(Path(question.table).resolve())}


def identity_of(question: Question) -> str:
    """A hash of what is asked, and of which table; not of what the table holds, which may grow."""
    return hashlib.sha256(json.dumps(resolved_of(question), sort_keys=True).encode()).hexdigest()


def subject_of_table(answers: Answers) -> Subject:
    """What the page is about."""
    question, results = answers.question, answers.results
    return Subject(
        name=Path(question.table).stem,
        arms=tuple(_facts(question, results, arm) for arm in results.arms),
        alpha=question.alpha,
        question=f"Is any arm better than {question.control} on {' or '.join(results.goals)}?",
    )


def _facts(question: Question, results: Results, arm: str) -> ArmFacts:
    share = f"{question.planned[arm]:.4g}" if arm in question.planned else ""
    return ArmFacts(arm, share, results.n_users.get(arm, 0), results.conversions.get(arm, 0), "")
