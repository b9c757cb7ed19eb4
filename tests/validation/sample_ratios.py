"""V11: units per arm that do not match the plan are noticed, and matching ones are not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from experiments.analysis.ratios import ratio_checks
from experiments.analysis.verdicts import SRM_ALPHA, sample_ratio_p_value
from tests.validation.measured import Measured, Size, beside, limits, luck, share

HALVES = {"a": 0.5, "b": 0.5}
UNEQUAL = {"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.1}
USERS = 100_000
DETECTABLE = 0.5065  # of 100 000 users, the share that is noticed in 80 %
LOGGED = 2_000_000  # users of a test whose logs lose one percent of one arm
NEW = 0.2  # of users


def sample_ratio_mismatch(size: Size) -> list[Measured]:
    """A mismatch is claimed in one of a thousand sound tests, and seen when it is there.

    100 000 users. Power at a share of 50.65 % where half was planned. Faults: one percent of one arm's rows are lost
    out of 2 million users; and three percent of one arm's newcomers, who are a fifth of all.
    """
    k, few, lost = size.of(5_000, 20_000), size.of(500, 2_000), size.of(200, 1_000)
    rng = np.random.default_rng(luck("V11", size))
    found = []
    for name, shares in {"two equal arms": HALVES, "four unequal arms": UNEQUAL}.items():
        false = np.mean([_p_value(rng, shares, list(shares.values())) < SRM_ALPHA for _ in range(k)])
        found.append(share("V11", f"{name} as planned: p < .001", float(false), SRM_ALPHA, k))
    seen = np.mean([_p_value(rng, HALVES, [DETECTABLE, 1 - DETECTABLE]) < SRM_ALPHA for _ in range(few)])
    found.append(share("V11", "50.65 % where half was planned: p < .001", float(seen), 0.8, few))
    dropped = np.mean([_p_value(rng, HALVES, [0.5, 0.5 * 0.99], LOGGED) < SRM_ALPHA for _ in range(lost)])
    found.append(limits("V11", "one percent of an arm's rows lost: noticed", float(dropped), 0.99, 1.0, lost))
    whole, parts = np.mean([_newcomers_lost(rng) for _ in range(lost)], axis=0)
    found.append(limits("V11", "three percent of an arm's newcomers lost: noticed", parts, 0.99, 1.0, lost))
    return [*found, beside("V11", "naive, the same by the whole alone: noticed", whole, lost)]


def _p_value(rng: np.random.Generator, planned: Mapping[str, float], real: list[float], users: int = USERS) -> float:
    """Of one test. real: shares in which users come, and reach the log; what they lack of 1 is lost."""
    return sample_ratio_p_value(dict(zip(planned, _counts(rng, real, users), strict=True)), planned)


def _counts(rng: np.random.Generator, real: list[float], users: int) -> list[int]:
    return [int(n) for n in rng.multinomial(users, [*real, max(0.0, 1 - sum(real))])[: len(real)]]


def _newcomers_lost(rng: np.random.Generator) -> tuple[bool, bool]:
    """Whether a test of a million users shows a mismatch in the whole, and in any part."""
    new = _counts(rng, [0.5, 0.5 * 0.97], int(LOGGED / 2 * NEW))
    returning = _counts(rng, [0.5, 0.5], int(LOGGED / 2 * (1 - NEW)))
    parts = {name: dict(zip(HALVES, n, strict=True)) for name, n in {"new": new, "returning": returning}.items()}
    checks = ratio_checks({arm: parts["new"][arm] + parts["returning"][arm] for arm in HALVES}, parts, HALVES)
    return checks[0].mismatch, any(check.mismatch for check in checks[1:])
