"""`experiment`: the test itself: arms, shares, control, and its calendar."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, model_validator

from experiments.policy_spec import PolicyMapping
from experiments.sections.common import Change, Problems, Section
from experiments.sections.warmup import Explore

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
RESERVED = ("nan", "na", "null", "none", "unclaimed", "warm-up")  # read as missing by pandas, or used in the log
Unit = Literal["user", "visit", "market", "switchback"]


class Assign(Section):
    """What is divided between the arms, and how.

    unit: user; visit; market, a whole market by one arm; or switchback, a market for a block of time.
    salt: another salt is another, independent division.
    block_hours: length of a switchback's block.
    beside: further units, each a test of its own on the same world, whose estimates are set beside this one's.
    """

    unit: Unit = "user"
    salt: Annotated[str, Field(min_length=1, max_length=200)] = "seesaw"
    block_hours: Annotated[int, Ge(1), Le(24 * 28)] = 24
    beside: list[Unit] = []

    @model_validator(mode="after")
    def _once(self) -> Assign:
        if len({self.unit, *self.beside}) < 1 + len(self.beside):
            raise ValueError(f"beside must name other units than {self.unit}, each once, got {self.beside}")
        return self


class Retrain(Section):
    """A policy is fitted anew during the test.

    every_days: days between fits.
    on: own, the log of its own arm; or pooled, the log of all arms. Both begin with the warm-up's log.
    """

    every_days: Annotated[int, Ge(1), Le(365)]
    on: Literal["own", "pooled"] = "own"


class ArmSection(Section):
    """One arm.

    share: of all users. policy: what serves them; only the control may leave it out, and is then served by
        the warm-up's policy. explore: exploration while it serves. retrain: whether it learns during the test.
    """

    share: Annotated[float, Ge(1e-6), Le(1)]
    policy: PolicyMapping | None = None
    explore: Explore = Explore()
    retrain: Retrain | None = None

    def in_half_the_days(self) -> ArmSection:
        """The same, learning twice as often."""
        if self.retrain is None:
            return self
        often = self.retrain.model_copy(update={"every_days": -(-self.retrain.every_days // 2)})
        return self.model_copy(update={"retrain": often})


class Step(Section):
    """One step of a ramp. day: of the test, from 0. share: of the users that the test is open to from then on."""

    day: Annotated[int, Ge(0)]
    share: Annotated[float, Gt(0), Le(1)]


class Guard(Section):
    """A metric that is watched every night; an arm that does harm is stopped, and its users return to control.

    metric: such as visits_per_user. margin: the fall (or rise, of what is better when lower) that is too much.
    alpha: of being wrong on one night; low, since every night is another chance to be wrong.
    from_day: first night on which an arm can be stopped.
    """

    metric: str
    margin: Annotated[Change, Gt(-1), Lt(1)]
    alpha: Annotated[float, Gt(0), Lt(0.5)] = 0.001
    from_day: Annotated[int, Ge(1)] = 2


class ExperimentSection(Section):
    """Arms that run side by side for some days. Users that no arm claims are served like the control, unanalysed.

    ramp: steps in which the test is opened; empty, to everybody at once. guard: what stops an arm early.
    """

    days: Annotated[int, Ge(1), Le(3650)] = 14
    assign: Assign = Assign()
    control: str
    arms: dict[str, ArmSection]
    ramp: list[Step] = []
    guard: Guard | None = None

    @property
    def coupled(self) -> bool:
        """Whether what happens in one market depends on the others."""
        return self.guard is not None or any(arm.retrain for arm in self.arms.values())

    def in_half_the_days(self) -> ExperimentSection:
        """The same with its calendar in half the time; of steps that fall on one day, the last."""
        ramp = {step.day // 2: step.model_copy(update={"day": step.day // 2}) for step in self.ramp}
        guard = self.guard and self.guard.model_copy(update={"from_day": -(-self.guard.from_day // 2)})
        arms = {name: arm.in_half_the_days() for name, arm in self.arms.items()}
        days = -(-self.days // 2)
        return self.model_copy(update={"days": days, "ramp": list(ramp.values()), "guard": guard, "arms": arms})

    @model_validator(mode="after")
    def _arms_fit(self) -> ExperimentSection:
        problems: list[tuple[tuple[str, ...], str]] = []
        for name, arm in self.arms.items():
            if not re.fullmatch(NAME, name) or name.lower() in RESERVED:
                problems.append(
                    (
                        ("arms", name),
                        "an arm's name must be letters, digits and _ . - (at most 64) and no word for "
                        f"nothing, got {name!r}; rename the arm",
                    )
                )
            if arm.policy is None and name != self.control and self.control in self.arms:
                problems.append((("arms", name), "must have a policy, found none; add policy: {type: ...}"))
        if len(self.arms) < 2:
            problems.append(
                (("arms",), f"must hold at least two arms, got {len(self.arms)}; add one beside the control")
            )
        if self.control not in self.arms:
            problems.append((("control",), f"must name an arm out of {', '.join(self.arms)}, got {self.control!r}"))
        total = sum(arm.share for arm in self.arms.values())
        if total > 1 + 1e-9:
            problems.append((("arms",), f"shares must sum to at most 1, got {total:.6g}; lower some"))
        problems += self._calendar()
        if problems:
            raise Problems(problems)
        return self

    def _calendar(self) -> list[tuple[tuple[str, ...], str]]:
        """Problems of ramp and guard."""
        problems: list[tuple[tuple[str, ...], str]] = []
        steps = [(step.day, step.share) for step in self.ramp]
        rising = all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(steps))
        if steps and (not rising or steps[-1][1] < 1 or steps[-1][0] >= self.days):
            problems.append(
                (
                    ("ramp",),
                    f"steps must rise by day and share, and reach share 1 before day {self.days}, got {steps}; "
                    f"try [{{day: 0, share: 0.1}}, {{day: 2, share: 1}}]",
                )
            )
        units = (self.assign.unit, *self.assign.beside)
        if (steps or self.guard) and units != ("user",):
            problems.append(
                (("assign",), f"ramp and guard are for tests divided by user, got {', '.join(units)}; drop one of them")
            )
        if self.guard and self.guard.from_day > self.days:
            problems.append(
                (("guard", "from_day"), f"must be at most the {self.days} days of the test, got {self.guard.from_day}")
            )
        return problems
