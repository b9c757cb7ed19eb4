"""A design in one sentence: what it covers, what it sees, what it ships."""

from __future__ import annotations

import math

from experiments.analysis.operating import Rate
from experiments.many.summary import Characteristics

NAMED = 3  # arms; of more, the ends
MOST_DIGITS = 3
MATTERS = 0.005  # of a coverage


def sentence(found: Characteristics) -> str:
    """Computed from the counts, never typed."""
    return f"Over {found.n_runs} {found.what} {', '.join(_said(found))}, and {_ships(found)}."


def _said(found: Characteristics) -> list[str]:
    if not found.coverage.n:
        return ["of this design's intervals nothing can be told", _sees(found)]
    matters = abs(found.coverage.share - found.coverage_allowing.share) > MATTERS
    aside = f" ({percent(found.coverage_allowing)} with the truth's own error allowed for)" if matters else ""
    aside += f", {percent(found.endless)} of them endless" if found.endless.share > MATTERS else ""
    return [f"this design covers the truth in {with_interval(found.coverage)} of its intervals{aside}", _sees(found)]


def _sees(found: Characteristics) -> str:
    """On the first goal: how often each arm is seen to move; without any that can, how often an alarm was false."""
    goal = found.goals[0]
    arms = [arm for arm in found.arms() if arm not in found.twins]
    if not arms:
        alarms = [found.of(arm, goal).false_alarm for arm in found.twins]
        return f"is wrongly sure of {goal} in {_range(dict(zip(found.twins, alarms, strict=True)))} of runs"
    return f"sees {goal} move in {_range({arm: found.of(arm, goal).power for arm in arms})} of runs"


def _range(rates: dict[str, Rate]) -> str:
    """A share; of several arms each with its name, of many the ends."""
    if len(rates) == 1:
        return percent(next(iter(rates.values())))
    if len(rates) > NAMED:
        known = {arm: rate for arm, rate in rates.items() if rate.n}
        ends = [pick(known, key=lambda arm: known[arm].share) for pick in (min, max)] if known else []
        return " to ".join(f"{percent(rates[arm])} ({arm})" for arm in ends) or "can't tell how many"
    *first, last = (f"{percent(rate)} ({arm})" for arm, rate in rates.items())
    return f"{', '.join(first)} and {last}"


def _ships(found: Characteristics) -> str:
    losers = found.decisions.losers
    if not any(found.decisions.shipped.values()):
        return "never ships an arm"
    return f"ships a loser in {with_interval(losers)} of runs" if losers.happened else "never ships a loser"


def percent(rate: Rate) -> str:
    """A share with as many digits as its count can bear."""
    return _percent(rate.share, rate.n)


def with_interval(rate: Rate) -> str:
    """A share and its interval: "94.8 % (92-97)"."""
    if not rate.n:
        return percent(rate)
    return f"{percent(rate)} ({_shown(rate.low, 0)}-{_shown(rate.high, 0)})"


def _percent(share: float, n: int) -> str:
    return f"{_shown(share, 1 if n >= 200 else 0)} %" if math.isfinite(share) else "can't tell how many"


def _shown(share: float, digits: int) -> str:
    """In percent; with more digits where something that is possible would read 0 or 100."""
    told = (f"{100 * share:.{d}f}" for d in range(digits, MOST_DIGITS + 1))
    nearest = "99.999" if share > 0.5 else "0.001"
    return next((text for text in told if share in (0, 1) or 0 < float(text) < 100), nearest)
