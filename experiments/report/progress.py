"""Progress on standard error: which stage, how far, how fast, how long still."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table

from experiments.executors import Event
from experiments.tasks import Task


class AbstractProgress(Protocol):
    """Whoever is told how a run goes on; a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def hear(self, event: Event) -> None: ...
    def announce(self, stage: str) -> None: ...


class Silent:
    """Says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def hear(self, event: Event) -> None:
        """Nothing."""

    def announce(self, stage: str) -> None:
        """Nothing."""


MANY = ("trials", "replay")  # stages of so many tasks that what a batch came to is said instead


class Live:
    """A few lines that follow the run on a terminal."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[Task, float, Event]] = {}
        self._begun = time.monotonic()
        self._console = Console(stderr=True)
        self._live = RichLive(console=self._console, refresh_per_second=4, transient=True, get_renderable=self._table)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, value, trace)

    def hear(self, event: Event) -> None:
        task = event.task
        if event.kind == "start":
            self._running[task.key] = (task, time.monotonic(), event)
        elif event.kind == "progress":
            self._running[task.key] = (task, self._running[task.key][1], event)
        elif event.kind == "done":
            _, since, last = self._running.pop(task.key)
            if task.stage not in MANY:
                self._say(task, time.monotonic() - since, last)

    def announce(self, stage: str) -> None:
        self._console.print(f"[dim]{self._elapsed()}[/]  {stage}", highlight=False)

    def _say(self, task: Task, seconds: float, last: Event) -> None:
        rate = f", {last.impressions / max(seconds, 1e-9) / 1e6:.2f} M impressions/s" if last.impressions else ""
        days = f", {last.of} days" if last.of else ""
        name = f"{task.stage}: {task.name}{days} in {seconds:.1f} s{rate}"
        self._console.print(f"[dim]{self._elapsed()}[/]  {name}", highlight=False)

    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self._begun)
        return f"{seconds // 60:d}:{seconds % 60:02d}"

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for task, since, event in list(self._running.values()):  # drawn by a thread of its own
            seconds = time.monotonic() - since
            if event.of:
                left = seconds / max(event.done, 1) * (event.of - event.done)
                rate = event.impressions / max(seconds, 1e-9) / 1e6
                how = f"day {event.done} of {event.of}, {rate:.2f} M impressions/s, {left:.0f} s left"
            else:
                how = f"{seconds:.0f} s"
            table.add_row(f"[dim]{self._elapsed()}[/]", f"[bold]{task.stage}[/]: {task.name}", how)
        return table
