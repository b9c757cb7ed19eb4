"""V13, V14, V15: what is claimed of several goals and of the best arm, by the simulations in `tradeoffs`."""

from __future__ import annotations

from tests.validation.measured import Measured, Size, at_least, at_most, beside, limits, luck, share
from tests.validation.tradeoffs import dominance_size, exchange_coverage, winners_curse

ALPHA = 0.05


def dominance(size: Size) -> list[Measured]:
    """A false claim that one arm dominates another is made in five percent of experiments at most.

    At worst the arms are equal on one goal and far apart on the others; plug-in is to read dominance off the estimates.
    """
    k = size.of(150, 5_000)
    found = []
    for what, value in dominance_size(k, luck("V13", size)).items():
        naive = "plug-in" in what or "single" in what
        found.append(beside("V13", what, value, k) if naive else at_most("V13", what, value, ALPHA, k))
    return found


def exchange(size: Size) -> list[Measured]:
    """Fieller sets hold the true exchange rate in 95 % of experiments, endless sets among them."""
    k = size.of(200, 5_000)
    found = []
    for what, value in exchange_coverage(k, luck("V14", size)).items():
        judged = not any(word in what for word in ("unbounded", "naive"))
        found.append(share("V14", what, value, 1 - ALPHA, k) if judged else beside("V14", what, value, k))
    return found


def best_of_five(size: Size) -> list[Measured]:
    """The best of five equal arms: its shrunk lift is off by less than .45 standard errors, and the hybrid interval
    holds the truth in 94.5 % or more."""
    k = size.of(4_000, 20_000)
    told = winners_curse(k, luck("V15", size))
    found = []
    for what, value in told.items():
        if "naive" in what or "rmse" in what.lower():
            found.append(beside("V15", what, value, k))
        elif "bias" in what and "shrunk" in what:
            found.append(limits("V15", what, value, -0.45, 0.45, k, "in standard errors"))
        elif "cover" in what:
            found.append(at_least("V15", what, value, 1 - ALPHA, k))
        else:
            found.append(beside("V15", what, value, k))
    return found
