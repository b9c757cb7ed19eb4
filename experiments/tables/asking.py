"""From options and YAML to a valid question, whose errors name the option, or the line, and the cure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from experiments.document import Document, DocumentError, Origin, is_there, read_document, shortened
from experiments.metrics import nearest
from experiments.policy_spec import Place
from experiments.problems import Problem, translate
from experiments.spec import SpecError, sorted_lines
from experiments.tables.question import Question

CALLED = "seesaw analyze"
NEEDED = {"arm": "--arm arm", "control": "--control A", "metrics": "--metric gmv=value"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid question with the document it was written in, so that what a table objects to has its place."""

    question: Question
    document: Document

    def refusal(self, problems: Sequence[Problem]) -> SpecError:
        """Problems as an error with a line for each."""
        return SpecError(sorted_lines(self.document, problems))

    def with_metrics(self, metrics: Mapping[str, str]) -> Asked:
        """The same of metrics that a table tells of.

        Raises:
            SpecError: the rest of the question names others.
        """
        document = Document(self.document.file, dict(self.document.values), dict(self.document.origins))
        document.put(("metrics",), dict(metrics), document.origin(("table",)))
        return Asked(validated(document), document)

    def check_columns(self, there: Sequence[str]) -> None:
        """
        Raises:
            SpecError: a column that is asked for is not in the table, or is there twice.
        """
        problems = []
        for place, column in self.question.places().items():
            key = tuple(step for step in place if isinstance(step, str))
            if column not in there:
                known = f"{nearest(column, there)}there are {', '.join(there)}"
                problems.append(Problem(key, f"must be a column of the table, got {column!r}; {known}"))
            elif list(there).count(column) > 1:
                text = f"must be one column of the table, found several called {column!r}; rename the others"
                problems.append(Problem(key, text))
        if problems:
            raise self.refusal(problems)


def load_question(source: str, options: Sequence[tuple[Place, Any, str]]) -> Asked:
    """Read and validate a question.

    Args:
        source: a table, or a YAML file that names one.
        options: place, value and the option as it was typed; they override what the file says.

    Raises:
        SpecError: with every problem found, each with its place, what must hold, what was found and the cure.
    """
    try:
        document = _document(Path(source))
        for place, value, typed in options:
            document.put(place, value, Origin(typed))
    except DocumentError as problem:
        raise SpecError([str(problem)]) from None
    return Asked(validated(document), document)


def _document(path: Path) -> Document:
    """The question in a YAML file, its table looked up beside it; or an empty one about a table."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        return Document(CALLED, {"table": str(path)}, {(): Origin(CALLED), ("table",): Origin(CALLED)})
    if not is_there(path):
        raise DocumentError(f"{shortened(str(path))}: must exist, found nothing; name a table, or a question in YAML")
    document = read_document(path)
    table = document.get(("table",))
    if isinstance(table, str):
        document.put(("table",), str(path.parent / table), document.origin(("table",)))
    return document


def validated(document: Document) -> Question:
    """The question that a document holds.

    Raises:
        SpecError: with every problem found.
    """
    if document.file == CALLED:
        missing = [option for key, option in NEEDED.items() if not document.get((key,)) and not _told(document, key)]
        if missing:
            raise SpecError([f"{CALLED}: {option.split()[0]} must be given, such as {option}" for option in missing])
    try:
        return Question.model_validate_json(json.dumps(document.values), strict=True)
    except ValidationError as invalid:
        schema: Mapping[str, Any] = Question.model_json_schema()
        problems = [problem for error in invalid.errors() for problem in translate(dict(error), (), schema)]
        raise SpecError(sorted_lines(document, problems)) from None


def _told(document: Document, key: str) -> bool:
    """Whether a summary tells by itself what is missing: its metrics."""
    return key == "metrics" and bool(document.get(("summary",)))
