"""Doing many runs: several at a time, each in a process of its own; or, where runs are few, one after the other, each
with all the processes. What they find is the same."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from experiments.executors import TaskError, uninterrupted
from experiments.many.variants import Variant
from experiments.run import is_finished, run
from experiments.store import FolderError
from experiments.strangers import keep_sources, references_in, work_for

Heard = Callable[[int, int], None]  # (how many are finished, of how many)


class VariantsError(RuntimeError):
    """Runs that failed; `lines` holds one complete line for each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


@dataclass(frozen=True, slots=True)
class Order:
    """How runs are to be done. workers: processes within a run. force: start anew. pages: with report.html."""

    workers: int
    force: bool
    pages: bool


@dataclass(slots=True)
class _Tally:
    """How far it has come. Once a run has succeeded, others may fail for reasons of their own without stopping the
    rest; before, a failure is most likely everyone's."""

    of: int
    heard: Heard
    reused: int = 0
    succeeded: int = 0
    failures: list[str] = field(default_factory=list)

    def hear(self, variant: Variant, failure: str) -> None:
        if failure:
            self.failures.append(f"{variant.label}: {failure}")
        else:
            self.succeeded += 1
            self.heard(self.reused + self.succeeded, self.of)

    @property
    def hopeless(self) -> bool:
        return bool(self.failures) and not self.succeeded


def run_all(variants: Sequence[Variant], out: Path, *, workers: int, force: bool, pages: bool, heard: Heard) -> None:
    """Bring every variant to its end. A finished one is left as it is, an unfinished one continues.

    Args:
        out: the folder that holds theirs.
        workers: processes; what is found does not depend on them.

    Raises:
        VariantsError: at least one failed, after all others have been tried; what was finished is kept.
    """
    left = [v for v in variants if force or not is_finished(v.experiment, v.folder, pages=pages)]
    tally = _Tally(len(variants), heard, reused=len(variants) - len(left))
    heard(tally.reused, tally.of)
    if left:
        keep_sources(references_in(left[0].experiment.resolved()), out)  # policies from files, for the processes
    if 2 * len(left) <= workers or workers == 1:
        _one_by_one(left, Order(workers, force, pages), tally)
    else:
        _side_by_side(left, out, min(workers, len(left)), Order(1, force, pages), tally)
    if tally.failures:
        raise VariantsError(tally.failures)


def _one_by_one(left: Sequence[Variant], order: Order, tally: _Tally) -> None:
    for variant in left:
        tally.hear(variant, _attempt(variant, order))
        if tally.hopeless:
            return


def _attempt(variant: Variant, order: Order) -> str:
    """Do one run; why it failed, or nothing. What it found is in its files, and no longer in memory."""
    try:
        run(
            variant.experiment,
            variant.folder,
            workers=order.workers,
            force=order.force,
            pages=order.pages,
            listen=lambda event: None,
            announce=lambda stage: None,
        )
    except (TaskError, FolderError) as problem:
        return str(problem)
    except OSError as problem:
        return f"{variant.folder}: cannot be written ({problem.strerror or problem}); free some space"
    except Exception as problem:
        return f"{type(problem).__name__}: {' '.join(str(problem).split())}"
    return ""


class _Worker:
    """One process that does one run after another."""

    def __init__(self, out: Path, order: Order) -> None:
        # spawn: a forked copy of a process with torch or BLAS threads can deadlock.
        context = mp.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.process = context.Process(target=_work, args=(child, out, order), daemon=True)
        with uninterrupted():
            self.process.start()
        child.close()
        self.variant: Variant | None = None

    def begin(self, variant: Variant) -> None:
        self.variant = variant
        self.pipe.send(variant)

    def outcome(self) -> str:
        """Why the run failed, or nothing."""
        self.variant = None
        try:
            failure: str = self.pipe.recv()
        except (EOFError, OSError):
            return self._death()
        return failure

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(timeout=5)
        self.pipe.close()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def _death(self) -> str:
        self.process.join(timeout=5)
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"its process died (exit code {code})"
        hint = ", out of memory? try fewer --workers" if code == -signal.SIGKILL else ""
        return f"its process died (signal {signal.Signals(-code).name}{hint})"


def _work(pipe: Connection, out: Path, order: Order) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            variant = pipe.recv()
        except EOFError:
            return
        work_for(out)  # until the run has taken its own copies
        pipe.send(_attempt(variant, order))


def _die_with_parent() -> None:
    """A run whose parent was killed would go on and hold its folder against whoever continues."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _side_by_side(left: Sequence[Variant], out: Path, processes: int, order: Order, tally: _Tally) -> None:
    waiting = list(reversed(left))
    pool: list[_Worker] = []
    try:
        pool += [_Worker(out, order) for _ in range(processes)]
        while True:
            while waiting and not tally.hopeless and (idle := _idle(pool)) is not None:
                if not pool[idle].alive:
                    pool[idle] = _Worker(out, order)
                pool[idle].begin(waiting.pop())
            busy = {worker.pipe: worker for worker in pool if worker.variant}
            if not busy:
                return
            for pipe in wait(list(busy)):
                _hear(busy[pipe], tally)  # type: ignore[index]
    finally:
        for worker in pool:
            worker.stop()


def _idle(pool: Sequence[_Worker]) -> int | None:
    return next((n for n, worker in enumerate(pool) if worker.variant is None), None)


def _hear(worker: _Worker, tally: _Tally) -> None:
    variant = worker.variant
    assert variant is not None
    tally.hear(variant, worker.outcome())
