"""Which user gets which arm: weighted rendezvous hashing (Thaler and Ravishankar 1998, with weights by an
exponential race).

Every arm draws an exponential time for every user from a hash of (salt, arm, user), at a rate of its
share; the earliest wins. So arms win in proportion to their shares, a user is in the same arm for ever,
the order of arms does not matter, and an arm that is added moves nobody but the users it takes. Traffic
that is not given to any arm is a contestant of its own; shrinking it to make room for an arm may also
hand a few of its users to other arms, but never moves a user from one arm to another.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim import draws
from sim.records import Ints

UNCLAIMED = -1
_REST = "\x00unclaimed"  # no arm can have this name
_SMALLEST = 1e-12  # a share of rounding error is no share


def assign(user: Ints, shares: Mapping[str, float], salt: str, seed: int) -> Ints:
    """Index of each user's arm in the order of `shares`, or UNCLAIMED; shape (n,).

    Args:
        user: shape (n,). Global ids.
        shares: by arm, each > 0, together at most 1.
        salt, seed: another of either is an independent division.

    Raises:
        ValueError: a share is not positive, or they sum to more than 1.
    """
    rest = 1 - sum(shares.values())
    if any(share <= 0 for share in shares.values()) or rest < -1e-9:
        raise ValueError(f"shares must be > 0 and sum to at most 1, got {dict(shares)}; lower some")
    contestants = [*shares.items(), (_REST, rest)] if rest > _SMALLEST else list(shares.items())
    times = np.stack([_times(user, name, share, salt, seed) for name, share in contestants])
    winner = np.argmin(times, axis=0)
    return np.where(winner < len(shares), winner, UNCLAIMED)


def _times(user: Ints, arm: str, share: float, salt: str, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    key = draws.fold(draws.root(seed, f"assign {salt}"), draws.purpose(arm))
    times: np.ndarray[tuple[int], np.dtype[np.float64]] = -np.log(draws.uniform(draws.fold(key, user))) / share
    return times


def assign_markets(n_markets: int, shares: Mapping[str, float], salt: str, seed: int) -> Ints:
    """Index of each market's arm, or UNCLAIMED; shape (n_markets,).

    Complete randomisation: the markets in an order of chance, as many to each arm as its share says, so that a
    few markets are divided as evenly as they can be (the last ones by largest remainder).
    """
    market = np.arange(n_markets)
    order = np.argsort(draws.fold(draws.root(seed, f"assign markets {salt}"), market), kind="stable")
    rest = max(0.0, 1 - sum(shares.values()))
    wanted = np.array([*shares.values(), rest]) * n_markets
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    leftover = np.argsort(-(wanted - counts), kind="stable")[: n_markets - counts.sum()]
    counts[leftover] += 1
    arm_of = np.empty(n_markets, dtype=np.int64)
    arm_of[order] = np.repeat([*range(len(shares)), UNCLAIMED], counts)
    return arm_of
