"""Which arm serves a visit: the assignment, how far the test is open, and which arms have been stopped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.records import Floats, Ints

# (rows of users, visits so far, seconds) of R visits -> index of the arm that each is assigned to, shape (R,)
Assigned = Callable[[Ints, Ints, Ints], Ints]


class Traffic:
    """The way from a visit to an arm.

    Args:
        assigned: the arm of every visit, if the test is open to it and its arm is on.
        n_arms: how many arms there are.
        rest: index of the arm that serves whoever is not in the test, or not yet.
        entry: shape (n_users,), uniform. A user is in the test once it is open to a share above this; without
            it, everybody is from the beginning.

    open_share: share of users that the test is open to.
    """

    def __init__(self, assigned: Assigned, n_arms: int, rest: int | None = None, entry: Floats | None = None) -> None:
        self.assigned, self.rest, self.entry = assigned, rest, entry
        self.open_share = 1.0
        self._serves = np.arange(n_arms)

    @classmethod
    def fixed(cls, arm_of: Ints) -> Traffic:
        """Every user always with the same arm; arm_of: shape (n_users,)."""
        return cls(lambda rows, visit, time: arm_of[rows], int(arm_of.max(initial=0)) + 1)

    def arms(self, rows: Ints, visit: Ints, time: Ints) -> Ints:
        """Index of the arm that serves each of R visits, shape (R,)."""
        arm = self._serves[self.assigned(rows, visit, time)]
        if self.entry is None or self.rest is None:
            return arm
        return np.where(self.entry[rows] < self.open_share, arm, self.rest)

    def is_on(self, arm: int) -> bool:
        """Whether this arm still serves whoever is assigned to it."""
        return int(self._serves[arm]) == arm

    def stop(self, arm: int) -> None:
        """From now on `rest` serves whoever is assigned to this arm."""
        assert self.rest is not None
        self._serves[arm] = self.rest
