"""Who is in which arm, and who cannot be compared: units in several arms, in none, or in one nobody asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.metrics import nearest
from experiments.problems import Problem
from experiments.tables.accounts import Dropped, dropped
from experiments.tables.asking import Asked
from experiments.tables.units import Ints

UNNAMED, UNASKED = -1, -2


@dataclass(frozen=True, slots=True)
class Assignment:
    """arms: that are compared. arm: shape (n,), by index into arms; below 0 of nobody who is compared.

    keep: shape (n,), units in one compared arm. lost: the others. unasked: by arm, units of arms that are not
    compared. crossed: units in several arms. named: units in at least one.
    """

    arms: tuple[str, ...]
    arm: Ints
    keep: NDArray[np.bool_]
    lost: tuple[Dropped, ...]
    unasked: Mapping[str, int]
    crossed: int
    named: int


def assign(asked: Asked, there: Sequence[str], least: Ints, most: Ints, rows: Ints) -> Assignment:
    """
    Args:
        there: names of arms in the table. least, most: shape (n,), by index into `there`, of a unit's rows; below 0
            where all are empty. rows: shape (n,), how many these are.

    Raises:
        SpecError: as `compared_arms`.
    """
    arms = compared_arms(asked, there)
    place = np.array([arms.index(name) if name in arms else UNASKED for name in there] + [UNNAMED], dtype=np.int64)
    crossed = least != most
    arm = np.where(crossed, UNNAMED, place[least])
    unasked = arm == UNASKED
    counts = np.bincount(least[unasked], minlength=len(there)).tolist()
    others = {name: n for name, n in zip(there, counts, strict=True) if n}
    lost = (
        *dropped(f"{asked.question.arm} is empty", least < 0, rows),
        *dropped("in several arms", crossed, rows),
        *dropped("in an arm that is not compared", unasked, rows, others),
    )
    return Assignment(arms, arm, arm >= 0, lost, others, int(crossed.sum()), int((least >= 0).sum()))


def compared_arms(asked: Asked, there: Sequence[str]) -> tuple[str, ...]:
    """The arms that are asked for or planned, else all, the control first.

    Raises:
        SpecError: the control is not there; another arm is not, while there are arms that nobody asked for; or there
            is only one arm.
    """
    question = asked.question
    if question.control not in there:
        raise asked.refusal([Problem(("control",), _absent(question.control, there))])
    named = question.arms or list(question.planned)
    if not named:
        if len(there) < 2:
            text = f"must hold at least two arms in the table, found only {', '.join(there)}; name another column"
            raise asked.refusal([Problem(("arm",), text)])
        return (question.control, *sorted(arm for arm in there if arm != question.control))
    missing = [arm for arm in named if arm not in there]
    others = [arm for arm in there if arm not in named]
    if missing and others:  # a name that differs; without others, it is an arm without a unit
        key = "arms" if question.arms else "planned"
        raise asked.refusal([Problem((key,), _absent(arm, there)) for arm in missing])
    return tuple(named)


def _absent(arm: str, there: Sequence[str]) -> str:
    alike = [name for name in there if name.casefold() == arm.casefold()]
    hint = f"did you mean {alike[0]!r}? " if alike else nearest(arm, there)
    return f"must be an arm of the table, got {arm!r}; {hint}the arms are {', '.join(sorted(there))}"
