"""The calendar of a test, as it is handed to the simulation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from experiments.stages import calendar
from experiments.stages.branch import Test as Task


def test_rest_learns_with_the_control_and_with_no_other_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users whom no arm claims, or whose arm was stopped, are served like the control; a control that was fitted anew
    left them with its first fit."""
    told: list[tuple[int, list[int]]] = []
    monkeypatch.setattr(calendar, "retrain", lambda shops, arm, every, fit, like: told.append((arm, like)))
    again = {"retrain": {"every_days": 2, "on": "own"}}
    arguments: dict[str, Any] = {"ramp": [], "guard": None, "control": "b", "arms": {"a": again, "b": again}}
    task = SimpleNamespace(arguments=arguments, names=["a", "b"], rest=2)
    for story in calendar.stories_of(cast("Task", task), [], 0, {}):
        story([])
    assert told == [(0, []), (1, [2])]
