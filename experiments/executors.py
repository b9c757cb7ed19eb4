"""Doing tasks: in this process, or in local worker processes. The results are the same bytes."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Self

from threadpoolctl import threadpool_limits

from experiments.store import RunFolder
from experiments.strangers import blamed, work_for
from experiments.tasks import Task

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class TaskError(RuntimeError):
    """A task failed; the message names the stage, the task and the cause in one line."""

    def __init__(self, task: Task, cause: str, trace: str = "") -> None:
        super().__init__(f"{task.stage} ({task.name}) failed: {cause}")
        self.trace = trace


@dataclass(frozen=True, slots=True)
class Event:
    """Something a listener may want to show. kind: start, progress, done or reused."""

    kind: str
    task: Task
    done: int = 0
    of: int = 0
    impressions: int = 0


Listener = Callable[[Event], None]


def execute(tasks: Sequence[Task], folder: RunFolder, workers: int, listen: Listener) -> None:
    """Do what is not done yet, each task after what it needs.

    Args:
        workers: processes; 1 works in this one.

    Raises:
        TaskError: a task failed or its process died; what was finished is kept.
    """
    with Crew(folder, workers, listen) as crew:
        crew.do(tasks)


class Crew:
    """Workers that stay for one list of tasks after another, with what they have loaded: a context manager.

    Args:
        workers: processes; 1 works in this one. They are started when there is work for them.
    """

    def __init__(self, folder: RunFolder, workers: int, listen: Listener) -> None:
        self.folder, self.workers, self.listen = folder, workers, listen
        self._pool: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._pool:
            worker.stop()
        self._pool = []

    def do(self, tasks: Sequence[Task]) -> None:
        """Do what is not done yet, each task after what it needs.

        Raises:
            TaskError: a task failed or its process died; what was finished is kept.
        """
        for task in tasks:
            if self.folder.is_done(task):
                self.listen(Event("reused", task))
        missing = sum(not self.folder.is_done(task) for task in tasks)
        if not missing:
            return
        if self.workers <= 1:
            _here(tasks, self.folder, self.listen)
            return
        self._grow(min(self.workers, missing))
        _drive(self._pool, tasks, self.folder, self.listen)

    def _grow(self, wanted: int) -> None:
        before = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(dict.fromkeys(_THREADS, "1"))  # read by BLAS when a worker imports it
        try:
            with uninterrupted():
                while len(self._pool) < wanted:
                    self._pool.append(_Worker(self.folder.path))
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def perform(task: Task, folder: RunFolder, progress: Callable[[int, int, int], None]) -> None:
    """Do one task and store its result with what it cost."""
    work_for(folder.path)
    module, _, name = task.function.partition(":")
    function = getattr(import_module(module), name)
    started, cpu = time.perf_counter(), time.process_time()
    needs: Mapping[str, Path] = {role: folder.result(other) for role, other in task.needs.items()}
    with threadpool_limits(1):  # more threads change the order of sums, and with it the last bits
        notes: dict[str, Any] = function({**task.arguments, **task.context}, needs, folder.draft(task), progress)
    notes |= {"cpu_seconds": time.process_time() - cpu, "wall_seconds": time.perf_counter() - started}
    folder.commit(task, notes)


def _ready(tasks: Sequence[Task], folder: RunFolder, started: set[str]) -> list[Task]:
    """What could begin now, the dearest first."""
    waiting = [t for t in tasks if t.key not in started and not folder.is_done(t)]
    ready = [t for t in waiting if all(folder.is_done(other) for other in t.needs.values())]
    return sorted(ready, key=lambda t: -t.weight)


def _here(tasks: Sequence[Task], folder: RunFolder, listen: Listener) -> None:
    while ready := _ready(tasks, folder, set()):
        task = ready[0]
        listen(Event("start", task))
        try:
            perform(task, folder, lambda *p, task=task: listen(Event("progress", task, *p)))
        except Exception as problem:
            raise TaskError(task, _cause(problem), traceback.format_exc()) from problem
        listen(Event("done", task))


class _Worker:
    """One process that does one task after another."""

    def __init__(self, path: Path) -> None:
        # spawn: a forked copy of a process with torch or BLAS threads can deadlock.
        context = mp.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.process = context.Process(target=_work, args=(child, path), daemon=True)
        self.process.start()
        child.close()
        self.task: Task | None = None
        self.places = set[str]()

    def begin(self, task: Task) -> None:
        self.task = task
        if task.place:
            self.places.add(task.place)
        self.pipe.send(task)

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(timeout=5)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore interrupts here and, since it is inherited, in the processes started meanwhile, for their whole life:
    the parent decides what an interrupt means."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(pipe: Connection, path: Path) -> None:
    folder = RunFolder(path)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            perform(task, folder, lambda *p: pipe.send(("progress", p)))
        except BrokenPipeError:
            return  # the parent is gone, and nobody waits for this
        except Exception as problem:
            pipe.send(("failed", (_cause(problem), traceback.format_exc())))
        else:
            pipe.send(("done", ()))


def _drive(pool: Sequence[_Worker], tasks: Sequence[Task], folder: RunFolder, listen: Listener) -> None:
    started: set[str] = set()
    while True:
        for worker in (w for w in pool if w.task is None):
            ready = _ready(tasks, folder, started)
            if not ready:
                break
            task = _suited(worker, pool, ready)
            started.add(task.key)
            listen(Event("start", task))
            try:
                worker.begin(task)
            except OSError:
                raise _died(worker, task) from None
        busy = {worker.pipe: worker for worker in pool if worker.task}
        if not busy:
            return
        for pipe in wait(list(busy)):
            _hear(busy[pipe], listen)  # type: ignore[index]


def _suited(worker: _Worker, pool: Sequence[_Worker], ready: Sequence[Task]) -> Task:
    """Of what could begin, the dearest that this worker has loaded already; else one that no other has."""
    elsewhere = set[str]().union(*(other.places for other in pool if other is not worker))
    at_home = (task for task in ready if task.place in worker.places)
    unclaimed = (task for task in ready if task.place not in elsewhere)
    return next(at_home, None) or next(unclaimed, None) or ready[0]


def _hear(worker: _Worker, listen: Listener) -> None:
    task = worker.task
    assert task is not None
    try:
        kind, content = worker.pipe.recv()
    except (EOFError, OSError):
        raise _died(worker, task) from None
    if kind == "failed":
        raise TaskError(task, *content)
    if kind == "progress":
        listen(Event("progress", task, *content))
        return
    worker.task = None
    listen(Event("done", task))


def _died(worker: _Worker, task: Task) -> TaskError:
    worker.process.join(timeout=5)
    code = worker.process.exitcode
    how = f"exit code {code}"
    if code is not None and code < 0:
        how = f"signal {signal.Signals(-code).name}{', out of memory?' if code == -signal.SIGKILL else ''}"
    return TaskError(task, f"its process died ({how}); run again to continue")


def _cause(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    where = blamed(problem)
    if where:
        return where + text
    return text if isinstance(problem, ValueError) else f"{type(problem).__name__}: {text}"
