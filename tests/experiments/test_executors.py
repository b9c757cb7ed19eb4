"""Who does what: a worker is sent where it has been, and nowhere that another has been while something else is free."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from experiments.executors import Crew, _suited
from experiments.store import RunFolder
from experiments.tasks import Task


def worker(*places: str) -> Any:
    return SimpleNamespace(places=set(places))


def task(place: str, weight: float = 1.0) -> Task:
    return Task("stage", place, "m:f", {"place": place, "weight": weight}, weight=weight, place=place)


def test_a_worker_goes_where_it_has_been() -> None:
    here, other = worker("a"), worker("b")
    assert _suited(here, [here, other], [task("c", 9), task("b", 8), task("a")]).place == "a"


def test_a_new_worker_goes_where_nobody_has_been() -> None:
    new, other = worker(), worker("b")
    assert _suited(new, [new, other], [task("b", 9), task("a")]).place == "a"


def test_rather_than_be_idle_it_does_what_another_could() -> None:
    new, other = worker(), worker("a", "b")
    assert _suited(new, [new, other], [task("b", 9), task("a")]).place == "b"


def test_tasks_without_a_place_go_by_weight() -> None:
    one, other = worker(), worker()
    assert _suited(one, [one, other], [task("", 9), task("", 1)]).weight == 9


def test_a_crew_stays_for_several_lists_of_tasks_and_is_gone_afterwards(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.tasks.mkdir()
    function = "tests.experiments.test_executors:leave_a_number"
    first, second = (Task("test", f"{n}", function, {"n": n}) for n in (1, 2))
    with Crew(folder, 2, lambda _: None) as crew:
        crew.do([first, second])
        pids = {folder.notes(task)["pid"] for task in (first, second)}
        more = [Task("test", f"{n}", function, {"n": n}, {"first": first}) for n in range(3, 9)]
        crew.do([*more, first])
        assert {folder.notes(task)["pid"] for task in more} <= pids
        workers = list(crew._pool)
    assert not any(one.process.is_alive() for one in workers)


def leave_a_number(arguments: dict[str, Any], needs: object, out: Path, progress: object) -> dict[str, Any]:
    import os
    import time

    time.sleep(0.2)  # so that both workers are asked
    return {"pid": os.getpid()}
