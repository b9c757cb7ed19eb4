"""Policies from files of their own: `type: my_policy.py:Mine`, beside the spec.

The file is run as it is: whoever runs a spec runs its policies. Its name in a run says what is in it,
`policies/my_policy-0123456789ab.py:Mine`, so that a file that was edited is another policy, with a fit and a run of
its own. A run keeps a copy under that name; there its workers find it, and so does its experiment.yaml.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from experiments.metrics import nearest
from policies.base import AbstractPolicy
from sim.records import Floats, Log, Requests, Scores

FOLDER = "policies"
_MODULE = "seesaw_policy_"  # goes before the names of their modules, so that they hide nobody's
_SOURCES: dict[str, bytes] = {}  # by the name of the copy, such as my_policy-0123456789ab.py
_CLASSES: dict[str, type[AbstractPolicy]] = {}  # by reference
_RUN: list[Path] = []  # the folder of the run that this process works for, once it does


class StrangerError(ValueError):
    """A policy's file that cannot be used; the message says what must hold, what was found and the cure."""


def is_reference(name: object) -> bool:
    """Whether the type of a policy names a file and a class, rather than a policy of the table."""
    return isinstance(name, str) and ".py:" in name


def adopt(reference: str, folder: Path) -> str:
    """Load the class that a spec in `folder` names; returns the reference that a run knows it by.

    Raises:
        StrangerError: no such file, a file that does not run, no such class in it, or one that is no policy.
    """
    place, _, name = reference.rpartition(":")
    path = folder / place
    if not path.is_file():
        raise StrangerError(f"must name a file beside the spec, found none at {path}; mend the path or put it there")
    try:
        source = path.read_bytes()
    except OSError as problem:
        raise StrangerError(f"must be readable, got {problem.strerror} for {path}") from None
    digest = hashlib.sha256(source).hexdigest()[:12]
    copy = f"{re.sub(r'-[0-9a-f]{12}$', '', path.stem)}-{digest}.py"
    found = f"{FOLDER}/{copy}:{name}"
    if found not in _CLASSES:
        _CLASSES[found] = _checked_class(_module(path, copy), name, path)
    _SOURCES[copy] = source
    return found


def stranger_class(reference: str) -> type[AbstractPolicy]:
    """The class of a reference that `adopt` returned: in this process, or one that works for the run that has it.

    Raises:
        StrangerError: neither.
    """
    place, _, name = reference.rpartition(":")
    copy = place.removeprefix(f"{FOLDER}/")
    if reference not in _CLASSES and copy in _SOURCES:  # another class of a file that is loaded
        _CLASSES[reference] = _checked_class(sys.modules[_MODULE + copy.removesuffix(".py")], name, Path(copy))
    if reference not in _CLASSES:
        if not _RUN:
            raise StrangerError(f"must be loaded with its spec, got {reference!r}; load the spec again")
        adopt(reference, _RUN[-1])
    if reference not in _CLASSES:
        raise StrangerError(f"{reference} was edited within the run's folder; edit your own file and run anew")
    return _CLASSES[reference]


def reference_of(policy: AbstractPolicy) -> str | None:
    """The reference of a policy whose class is from a file; None for a policy of the table."""
    module = type(policy).__module__
    return f"{FOLDER}/{_copy_of(module)}:{type(policy).__qualname__}" if module.startswith(_MODULE) else None


def named(policy: AbstractPolicy, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec or a fit's spec of a policy, its type being the reference where the class is from a file."""
    reference = reference_of(policy)
    return {**spec, "type": reference} if reference else dict(spec)


def keep_sources(references: Iterator[str], run: Path) -> None:
    """Copy the files behind references into a run's folder."""
    for reference in references:
        copy = reference.removeprefix(f"{FOLDER}/").rpartition(":")[0]
        (run / FOLDER).mkdir(exist_ok=True)
        (run / FOLDER / copy).write_bytes(_SOURCES[copy])


def references_in(values: object) -> Iterator[str]:
    """All references in the plain values of a spec."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if key == "type" and is_reference(value):
                yield value
            else:
                yield from references_in(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from references_in(value)


def work_for(run: Path) -> None:
    """Let this process find the files that a run has kept."""
    _RUN[:] = [run]


def blamed(problem: BaseException) -> str:
    """Where in a stranger's file a problem arose, ready to stand before its message; empty if in none."""
    found: list[tuple[FrameType, int]] = []
    raised: BaseException | None = problem
    while raised is not None and not found:  # SimPy raises anew what a process raised, from the original
        found = [(f, n) for f, n in traceback.walk_tb(raised.__traceback__) if _of_stranger(f.f_code.co_filename)]
        raised = raised.__cause__
    if not found:
        return ""
    frame, line = found[-1]
    file = _shown(Path(frame.f_code.co_filename).name)
    return f"{file}:{line} in {frame.f_code.co_qualname}: {type(problem).__name__}: "


def supervised(policy: AbstractPolicy) -> AbstractPolicy | Supervised:
    """What serves for a policy: itself, unless it is from a file."""
    return Supervised(policy) if reference_of(policy) else policy


class Supervised:
    """A ranker that says whose fault it is if what a policy from a file returns cannot be used."""

    def __init__(self, policy: AbstractPolicy) -> None:
        self.policy, self.name = policy, shown_as(policy)

    def score(self, requests: Requests) -> Scores:
        scores = self.policy.score(requests)
        wanted = (len(requests), requests.pools.shape[1])
        if not isinstance(scores, np.ndarray) or scores.shape != wanted or not np.isfinite(scores).all():
            raise ValueError(f"{self.name}: score must return finite numbers of shape {wanted}, got {_what(scores)}")
        return scores

    def goals(self, requests: Requests) -> dict[str, Floats]:
        goals, wanted = self.policy.goals(requests), (len(requests), requests.pools.shape[1])
        if not isinstance(goals, Mapping):
            raise ValueError(f"{self.name}: goals must return a mapping, got {_what(goals)}; without goals, {{}}")
        for goal, values in goals.items():
            if not isinstance(values, np.ndarray) or values.shape != wanted or not np.isfinite(values).all():
                raise ValueError(f"{self.name}: goal {goal} must be finite and of shape {wanted}, got {_what(values)}")
        return goals


def fit(policy: AbstractPolicy, log: Log, fitted: Mapping[str, AbstractPolicy]) -> AbstractPolicy:
    """`policy.fit`, whose result can be saved and served, or a ValueError that says why not."""
    found = policy.fit(log, fitted)
    if found is not policy:
        raise ValueError(f"{shown_as(policy)}: fit must return self, got {_what(found)}; end it with: return self")
    for key, value in policy.learned().items():
        if np.asarray(value).dtype.kind not in "biufU":
            raise ValueError(f"{shown_as(policy)}: learned must hold numbers or text, {key} is {_what(value)}")
    return policy


def shown_as(policy: AbstractPolicy) -> str:
    """How messages call a policy: by its class and, where it is from a file, by that."""
    reference = reference_of(policy)
    return f"{_shown(reference.removeprefix(f'{FOLDER}/'))}" if reference else policy.name


def _module(path: Path, copy: str) -> object:
    name = _MODULE + copy.removesuffix(".py")
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look up the names in annotations there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as problem:
        del sys.modules[name]
        raise StrangerError(f"must run when imported, {path}{_line(problem, path)} raised {_said(problem)}") from None
    return module


def _checked_class(module: object, name: str, path: Path) -> type[AbstractPolicy]:
    found = getattr(module, name, None)
    if found is None:
        own = str(vars(module)["__name__"])
        classes = [n for n, value in vars(module).items() if inspect.isclass(value) and value.__module__ == own]
        there = f"{nearest(name, classes)}it has {', '.join(classes)}" if classes else "it has none"
        raise StrangerError(f"must name a class in {path}, found no {name!r}; {there}")
    if not (inspect.isclass(found) and issubclass(found, AbstractPolicy)):
        raise StrangerError(f"must be a subclass of policies.base.AbstractPolicy, {name} in {path} is not; derive it")
    if not is_dataclass(found) or "__dataclass_fields__" not in vars(found):
        raise StrangerError(f"must be a dataclass, {name} in {path} is not; put @dataclass above it")
    missing = sorted(found.__abstractmethods__)
    if missing:
        raise StrangerError(f"must have all methods of a policy, {name} in {path} lacks {', '.join(missing)}; add them")
    if not isinstance(getattr(found, "name", None), str):
        raise StrangerError(f'must have a name, {name} in {path} has none; add name: ClassVar[str] = "{name.lower()}"')
    try:
        TypeAdapter(found).json_schema()
    except Exception as problem:
        raise StrangerError(f"must have fields of plain types, {name} in {path} raised {_said(problem)}") from None
    return found


def _copy_of(module: str) -> str:
    return f"{module.removeprefix(_MODULE)}.py"


def _of_stranger(filename: str) -> bool:
    loaded = (vars(module).get("__file__") for name, module in sys.modules.items() if name.startswith(_MODULE))
    return filename in loaded


def _shown(copy: str) -> str:
    """The name of a copy as its author knows the file."""
    return re.sub(r"-[0-9a-f]{12}\.py", ".py", copy)


def _line(problem: BaseException, path: Path) -> str:
    if isinstance(problem, SyntaxError) and problem.lineno:
        return f":{problem.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(path)]
    return f":{lines[-1]}" if lines else ""


def _said(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {' '.join(str(problem).split())}"


def _what(value: object) -> str:
    if not isinstance(value, np.ndarray):
        return type(value).__name__
    bad = value.dtype.kind == "f" and not np.isfinite(value).all()
    return f"shape {value.shape} of {value.dtype}{' with NaN or infinity' if bad else ''}"
