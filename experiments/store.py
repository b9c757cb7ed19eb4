"""Run folders: what is in them, whose they are, and results that are there whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.tasks import Task

DONE = "done.json"
IDENTITY = "identity"
MANIFEST = "manifest.json"
_OURS = ("experiment.yaml", IDENTITY, "tasks")


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

    def claim(self, identity: str, force: bool) -> None:
        """Make the folder this experiment's, or refuse.

        Raises:
            FolderError: it holds another experiment, or something that is no run.
        """
        if self.path.exists() and not self.path.is_dir():
            raise FolderError(f"{self.path}: must be a folder, found a file; choose another --out")
        held = self._held()
        if held == identity and not force:
            return
        if self.path.exists() and any(self.path.iterdir()):
            if held is None and not (self.path / "tasks").is_dir():
                raise FolderError(
                    f"{self.path}: must be empty or a run's folder, found other files; choose another --out"
                )
            if not force:
                raise FolderError(
                    f"{self.path}: must hold this experiment, found another one; use --out for a new folder "
                    f"or --force to start anew"
                )
            shutil.rmtree(self.path)
        try:
            self.tasks.mkdir(parents=True, exist_ok=True)
            write_text(self.path / IDENTITY, identity + "\n")
        except OSError as problem:
            raise FolderError(f"{self.path}: must be writable, got {problem.strerror}; choose another --out") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one process.

        Raises:
            FolderError: another process is running in it.
        """
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FolderError(
                    f"{self.path}: another run is using it; wait for it or choose another --out"
                ) from None
            yield

    def finished(self) -> bool:
        """Whether the run has come to its end here."""
        return (self.path / MANIFEST).is_file()

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
        path = self.tasks / f".draft-{task.folder}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def commit(self, task: Task, notes: Mapping[str, Any]) -> None:
        """Turn the draft into the result, in one rename."""
        draft, final = self.tasks / f".draft-{task.folder}", self.result(task)
        write_text(draft / DONE, json.dumps(notes, indent=1, sort_keys=True) + "\n")
        shutil.rmtree(final, ignore_errors=True)
        draft.rename(final)

    def _held(self) -> str | None:
        marker = self.path / IDENTITY
        return marker.read_text().strip() if marker.is_file() else None


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def link(source: Path, target: Path) -> None:
    """Show a file under another name without copying it, where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
