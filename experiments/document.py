"""A YAML document with the place of every value: read safely, as YAML 1.2, with nothing executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.policy_spec import Place

MOST_NODES = 20_000  # aliases can make a small file explode; no honest spec comes near this
MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written. file: a path, or the option that set it. line, column: from 1; 0 if none."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class DocumentError(ValueError):
    """A file that cannot be read as a mapping; the message is the whole line to print."""


@dataclass(slots=True)
class Document:
    """Plain values and their origins by place."""

    file: str
    values: dict[str, Any]
    origins: dict[Place, Origin] = field(default_factory=dict)

    def origin(self, place: Place) -> Origin:
        """The origin of a place, or of the nearest value above it."""
        while place and place not in self.origins:
            place = place[:-1]
        return self.origins.get(place, Origin(self.file, 1, 1))

    def get(self, place: Place) -> Any:
        """The value at a place; None where there is none."""
        value: Any = self.values
        for step in place:
            if isinstance(value, Mapping) and step in value:
                value = value[step]
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value

    def put(self, place: Place, value: Any, origin: Origin) -> None:
        """Set a value, making the mappings above it.

        Raises:
            DocumentError: something above it is not a mapping.
        """
        target: Any = self.values
        for depth, step in enumerate(place[:-1]):
            if isinstance(target, list):
                target = target[_index(step, target, place[: depth + 1], origin)]
            else:
                if isinstance(target.get(step), str) and step == "policy":
                    target[step] = {"type": target[step]}  # the short form, opened
                if target.get(step) is None:
                    target[step] = {}
                    self.origins[place[: depth + 1]] = origin  # what is wrong with it was written here
                target = target[step]
            if not isinstance(target, dict | list):
                raise DocumentError(
                    f"{origin}: {dotted(place[: depth + 1])} must be a mapping to hold {place[-1]!r}, got {target!r}"
                )
        if isinstance(target, list):
            target[_index(place[-1], target, place, origin)] = value
        else:
            target[place[-1]] = value
        self.origins = {p: o for p, o in self.origins.items() if p[: len(place)] != place}
        self.origins[place] = origin

    def graft(self, place: Place, other: Document) -> None:
        """Put another document's values here, with their own origins."""
        self.put(place, other.values, Origin(other.file, 1, 1))
        self.origins |= {place + below: origin for below, origin in other.origins.items()}


def dotted(place: Place) -> str:
    """A place as people write it: experiment.arms.esmm.share."""
    return ".".join(str(step) for step in place)


def read_document(path: Path, shown_as: str | None = None) -> Document:
    """Read one YAML file.

    Raises:
        DocumentError: missing, a directory, not UTF-8, not YAML, a key given twice, empty, or no mapping.
    """
    name = shown_as or str(path)
    if not is_there(path):
        raise DocumentError(f"{shortened(name)}: must exist, found nothing; make one with: seesaw new my.yaml")
    if path.is_dir():
        raise DocumentError(f"{name}: must be a YAML file, found a directory; name a file in it")
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
    except OSError as problem:
        raise DocumentError(f"{name}: must be readable, got {problem.strerror}") from None
    if len(text) > MOST_BYTES:
        raise DocumentError(f"{name}: must be at most {MOST_BYTES} bytes, found more; is this a spec?")
    try:
        return parse_document(text.decode("utf-8-sig"), name)
    except UnicodeDecodeError as problem:
        raise DocumentError(f"{name}: must be UTF-8 text, found byte {problem.start} that is not") from None


def parse_document(text: str, name: str) -> Document:
    """Parse YAML text; `name` is how errors call it."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="rt", pure=True)
    try:
        tree = yaml.load(text)
    except DuplicateKeyError as problem:
        mark = problem.problem_mark
        raise DocumentError(
            f"{name}:{mark.line + 1}:{mark.column + 1}: a key must be given once; "
            f"{str(problem.problem).splitlines()[0]}; remove one of the two"
        ) from None
    except MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise DocumentError(f"{where}: must be YAML, got: {_one_line(problem.problem)}; mend this line") from None
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError) as problem:
        raise DocumentError(f"{name}: must be YAML, got: {_one_line(str(problem))}") from None
    if tree is None:
        raise DocumentError(f"{name}: must hold an experiment, found an empty file; make one with: seesaw new")
    if not isinstance(tree, Mapping):
        raise DocumentError(f"{name}: must be a mapping of keys to values, found {type(tree).__name__}")
    document = Document(name, {})
    document.values = _plain(tree, (), document.origins, name, [0])
    return document


def parse_value(text: str, origin: Origin) -> Any:
    """A value as YAML would read it, for --set key=value.

    Raises:
        DocumentError: the text is not YAML.
    """
    try:
        return parse_document(f"value: {text}", "").values["value"]
    except DocumentError:
        raise DocumentError(f"{origin}: the value must be YAML, got {shortened(text)!r}; mend or quote it") from None


def is_there(path: Path) -> bool:
    """Whether a path leads anywhere; one that no file system could hold does not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def write_yaml(values: Mapping[str, Any], path: Path, comment: str) -> None:
    """Write plain values as YAML that reads back equal, under a comment."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    with path.open("w", encoding="utf-8") as file:
        file.write("".join(f"# {line}\n" for line in comment.splitlines()))
        yaml.dump(json.loads(json.dumps(values)), file)


def _plain(node: Any, place: Place, origins: dict[Place, Origin], name: str, count: list[int]) -> Any:
    count[0] += 1
    if count[0] > MOST_NODES:
        raise DocumentError(f"{name}: must hold at most {MOST_NODES} values, found more; aliases may repeat too much")
    if isinstance(node, Mapping):
        values = {}
        for key, value in node.items():
            origin = _origin(node, key, name)
            if not isinstance(key, str):
                where = origin or Origin(name)
                raise DocumentError(f'{where}: a key must be text, got {key!r}; quote it: "{key}"')
            below = (*place, str(key))
            if origin:  # a merged key has no place of its own: what is above it stands for it
                origins[below] = origin
            values[str(key)] = _plain(value, below, origins, name, count)
        return values
    if isinstance(node, list):
        return [_plain(value, (*place, n), origins, name, count) for n, value in enumerate(node)]
    return _scalar(node)


def _scalar(node: Any) -> Any:
    if node is None or isinstance(node, bool):
        return node
    if type(node).__name__ == "ScalarBoolean":
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)  # dates and tagged values: a text that no number field accepts


def _origin(node: Any, key: Any, name: str) -> Origin | None:
    try:
        line, column = node.lc.key(key)
    except (AttributeError, KeyError, TypeError):
        return None
    return Origin(name, line + 1, column + 1)


def _index(step: Any, values: list[Any], place: Place, origin: Origin) -> int:
    try:
        index = int(step)
        values[index]
    except (ValueError, IndexError):
        raise DocumentError(
            f"{origin}: {dotted(place)} must be a position from 0 to {len(values) - 1} in a list, got {step!r}"
        ) from None
    return index


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
