"""V13, V14, V15: what is claimed of several goals and of the best arm, by the simulations in `tradeoffs`."""

from __future__ import annotations

from tests.validation.measured import Measured, Size, at_least, at_most, beside, limits, luck, share
from tests.validation.tradeoffs import dominance_power, dominance_size, exchange_coverage, winners_curse

ALPHA = 0.05
UNJUDGED = ("naive", "single", "plug-in", "unbounded", "rmse", "width", "high")


def dominance(size: Size) -> list[Measured]:
    """A false claim that one arm dominates another is made in five percent of experiments at most.

    Pair: a challenger that is equal to the control on one goal and far better on the other, which is the worst case.
    Ladder: six arms, equal on one goal and far apart on the other. Equal: six arms that do not differ. In step: as
    well, and both goals are one. Naive: single claims, without a correction for all pairs; and plug-in, to call an arm
    dominated that the estimates show so.
    """
    k = size.of(150, 5_000)
    found = [_judged("V13", what, value, k) for what, value in dominance_size(k, luck("V13", size)).items()]
    power = dominance_power(k, luck("V13", size))
    return [*found, beside("V13", "an arm three standard errors better on both goals: claimed", power, k)]


def _judged(check: str, what: str, value: float, k: int) -> Measured:
    if any(word in what for word in UNJUDGED):
        return beside(check, f"naive, {what}", value, k)
    return at_most(check, f"{what}: a false claim", value, ALPHA, k)


def exchange(size: Size) -> list[Measured]:
    """Fieller's sets hold the true exchange rate of two goals in 95 % of experiments, endless sets among them.

    Over control and between two challengers where both goals move, and where the second hardly does (weak). Naive is
    the interval of the delta method.
    """
    k = size.of(200, 5_000)
    found = []
    for what, value in exchange_coverage(k, luck("V14", size)).items():
        judged = not any(word in what for word in UNJUDGED)
        found.append(share("V14", f"{what}: held", value, 1 - ALPHA, k) if judged else beside("V14", what, value, k))
    return found


def best_of_five(size: Size) -> list[Measured]:
    """The best of five equal arms seems better than it is: its shrunk lift is off by less than .45 standard errors, and
    the hybrid interval holds the truth in 95 % or more.

    Arms share a control of their own size; all figures but coverage are in standard errors of a lift.
    """
    k = size.of(4_000, 20_000)
    found = []
    for what, value in winners_curse(k, luck("V15", size)).items():
        if what == "bias, shrunk":
            found.append(limits("V15", what, value, -0.45, 0.45, k))
        elif what == "coverage, hybrid":
            found.append(at_least("V15", what, value, 1 - ALPHA, k))
        else:
            found.append(beside("V15", what, value, k))
    return found
