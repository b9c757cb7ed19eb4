"""`experiment`: the test itself: arms, shares, control."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field, model_validator

from experiments.policy_spec import PolicyMapping
from experiments.sections.common import Problems, Section
from experiments.sections.warmup import Explore

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
RESERVED = ("nan", "na", "null", "none", "unclaimed")  # read as missing by pandas, or used in the log


class Assign(Section):
    """How users are divided.

    unit: what is assigned. salt: another salt is another, independent division.
    """

    unit: Literal["user"] = "user"
    salt: Annotated[str, Field(min_length=1, max_length=200)] = "seesaw"


class ArmSection(Section):
    """One arm.

    share: of all users. policy: what serves them; only the control may leave it out, and is then served by
        the warm-up's policy. explore: exploration while it serves.
    """

    share: Annotated[float, Ge(1e-6), Le(1)]
    policy: PolicyMapping | None = None
    explore: Explore = Explore()


class ExperimentSection(Section):
    """Arms that run side by side for some days. Users that no arm claims are served like the control, unanalysed."""

    days: Annotated[int, Ge(1), Le(3650)] = 14
    assign: Assign = Assign()
    control: str
    arms: dict[str, ArmSection]

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
        if problems:
            raise Problems(problems)
        return self
