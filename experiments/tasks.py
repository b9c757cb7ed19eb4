"""A run as a list of tasks, each keyed by the hash of what its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent
# What the results of tasks are computed by: our code, and the libraries whose versions can move a bit.
_SOURCES = (
    "sim",
    "policies",
    "experiments/stages",
    "experiments/analysis",
    "experiments/offpolicy",
    "experiments/assignment.py",
    "experiments/policy_spec.py",
    "experiments/strangers.py",
    "experiments/sections",
)
_LIBRARIES = ("numpy", "scipy", "torch", "lightgbm", "simpy")


@dataclass(frozen=True, eq=False)
class Task:
    """One step of a run.

    stage: what people call this kind of step. name: which one of them it is.
    function: "module:function", called with (arguments, folders of what it needs, its own folder, progress).
    arguments: plain values that the result depends on.
    needs: by role, the tasks that must be done before.
    context: further arguments that are handed over but change nothing in the result.
    weight: rough CPU seconds against other tasks; the dearest ready task starts first.
    place: what it loads, if it is worth keeping: a process that has been there is preferred.
    """

    stage: str
    name: str
    function: str
    arguments: Mapping[str, Any]
    needs: Mapping[str, Task] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    place: str = ""

    @cached_property
    def key(self) -> str:
        """Hash of function, arguments, sources and upstream keys; 16 hex digits."""
        upstream = {role: task.key for role, task in self.needs.items()}
        text = json.dumps([self.function, self.arguments, upstream, source_hash()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def folder(self) -> str:
        """Where the result lives below the run's `tasks/`."""
        return f"{self.stage.replace(' ', '-')}-{self.key}"


@cache
def source_hash() -> str:
    """Hash of what tasks run, so that a changed program does not reuse old results."""
    versions = [f"{name} {version(name)}" for name in _LIBRARIES]
    return hashlib.sha256("\n".join([_hash_of(_SOURCES), *versions]).encode()).hexdigest()


@cache
def program_hash() -> str:
    """Hash of all our code and templates: what the files of a finished run were written by."""
    return _hash_of(("sim", "policies", "experiments"))


def _hash_of(places: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for place in places:
        path = _ROOT / place
        files = [path] if path.is_file() else sorted([*path.rglob("*.py"), *path.rglob("*.j2")])
        for file in files:
            digest.update(str(file.relative_to(_ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
