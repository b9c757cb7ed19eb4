"""Run folders: what is in them, whose they are, and results that are there whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from experiments.tasks import Task

DONE = "done.json"
IDENTITY = "identity"
MANIFEST = "manifest.json"
PAGES = ("report.html", "report.png")
PROMISED = ("experiment.yaml", "results.csv", "truth.csv", "decision.json", *PAGES, MANIFEST)
_OURS = (
    *PROMISED,
    *("cov.npz", "daily.csv", "front.csv", "scorecard.csv", "segments.csv", "sweeps.csv"),
    *("study.journal", "trials.csv", "tuned.yaml", "tuning.json", "tuning.html", "tuning.png"),
    *(IDENTITY, "policies", "tasks", "log", "hidden"),
)
_LOCK = ".lock"


class FolderError(ValueError):
    """A folder that cannot be used for this run; the message is the whole line to print."""


class RunFolder:
    """A folder that holds one run.

    Args:
        path: made when the run begins.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tasks = path / "tasks"

    @contextmanager
    def claimed(self, identity: str, force: bool) -> Iterator[None]:
        """Hold the folder for this experiment and this process.

        With force, what an earlier run left is deleted first, and nothing else.

        Raises:
            FolderError: it holds another experiment, is no run's folder, is in use, or cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise FolderError(f"{self.path}: must be a folder, found a file; choose another --out")
        if self._held() is None and self.path.is_dir() and any(p.name != _LOCK for p in self.path.iterdir()):
            raise FolderError(f"{self.path}: must be empty or a run's folder, found other files; choose another --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / _LOCK).open("w") as lock:
                _hold(lock, self.path)
                self._take(identity, force)
                yield
        except PermissionError as problem:
            raise FolderError(f"{self.path}: must be writable, got {problem.strerror}; choose another --out") from None

    def _take(self, identity: str, force: bool) -> None:
        held = self._held()
        if held not in (None, identity) and not force:
            raise FolderError(
                f"{self.path}: must hold this experiment, found another one; use --out {self.path}-2 for a new folder "
                f"or --force to start anew"
            )
        if force:
            for name in _OURS:
                _remove(self.path / name)
        self.tasks.mkdir(exist_ok=True)
        for draft in self.tasks.glob(".draft-*"):  # of a process that died
            _remove(draft)
        write_text(self.path / IDENTITY, identity + "\n")

    def finished(self, pages: bool = True) -> dict[str, Any] | None:
        """The manifest, if the run has come to its end here and everything it promised is there; its pages, if they
        are wanted."""
        wanted = [name for name in PROMISED if pages or name not in PAGES]
        if not all((self.path / name).is_file() for name in wanted):
            return None
        manifest: dict[str, Any] = json.loads((self.path / MANIFEST).read_text())
        return manifest

    def is_done(self, task: Task) -> bool:
        return (self.tasks / task.folder / DONE).is_file()

    def result(self, task: Task) -> Path:
        """The folder of a finished task's result."""
        return self.tasks / task.folder

    def notes(self, task: Task) -> dict[str, Any]:
        """What a finished task said of itself: counts, checksums, CPU seconds."""
        notes: dict[str, Any] = json.loads((self.result(task) / DONE).read_text())
        return notes

    def draft(self, task: Task) -> Path:
        """An empty folder to work in; nothing sees it until `commit`."""
        path = self._draft(task)
        _remove(path)
        path.mkdir(parents=True)
        return path

    def commit(self, task: Task, notes: Mapping[str, Any]) -> None:
        """Turn the draft into the result, in one rename."""
        draft, final = self._draft(task), self.result(task)
        write_text(draft / DONE, json.dumps(notes, indent=1, sort_keys=True) + "\n")
        _remove(final)
        draft.rename(final)

    def adopt(self, task: Task, source: RunFolder) -> None:
        """Take the result of a task from another run, by links where the file system has them."""
        draft = self.draft(task)
        shutil.copytree(source.result(task), draft, copy_function=_linked, dirs_exist_ok=True)
        draft.rename(self.result(task))

    def _draft(self, task: Task) -> Path:
        return self.tasks / f".draft-{task.folder}-{os.getpid()}"

    def _held(self) -> str | None:
        """The identity of the run that lives here; None if none does."""
        marker = self.path / IDENTITY
        try:
            held = marker.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return held if re.fullmatch(r"[0-9a-f]{64}", held) else None


def _hold(lock: IO[str], path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise FolderError(f"{path}: another run is using it; wait for it or choose another --out") from None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _linked(source: str, target: str) -> None:
    link(Path(source), Path(target))


def link(source: Path, target: Path) -> None:
    """Show a file under another name without copying it, where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
