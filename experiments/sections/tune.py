"""`tune`: which parameters of an arm are searched, for which goals, and within which limits."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BeforeValidator, Field, model_validator

from experiments.sections.common import Change, Problems, Section

Choice = str | int | float | bool | None
SAMPLERS = ("thompson", "tpe", "nsga2", "random", "grid")
MOST_TRIALS = 2000
_LIMIT = re.compile(
    r"^\s*(?:lift\(\s*(?P<lifted>\w+)\s*\)|(?P<metric>\w+))\s*(?P<sense>>=|<=)\s*"
    r"(?P<number>[-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(?P<percent>%)?\s*(?P<control>\*\s*control)?\s*$"
)


class Limit(Section):
    """What a setting must hold: `of` the metric's lift over control, or its value, is at least or at most `bound`.

    of: log is no metric, but the share of what a setting shows that the log speaks of.
    """

    text: str
    metric: str
    of: Literal["lift", "value", "log"]
    sense: Literal[1, -1]
    bound: float


def limit_of(text: str) -> Limit:
    """Read "lift(stay_per_user) >= -1%", "ctr >= 0.99 * control" or "ctr >= 0.05".

    Raises:
        ValueError: it is none of these; the message says what must hold.
    """
    found = _LIMIT.match(text)
    lifted = found is not None and found["lifted"] is not None
    if found is None or (lifted and found["control"]) or (found["percent"] and not lifted):
        raise ValueError(
            f"must be 'lift(METRIC) >= -1%', 'METRIC >= 0.99 * control' or 'METRIC >= NUMBER', or with <=, got {text!r}"
        )
    number = float(found["number"])
    bound = number / 100 if found["percent"] else number
    relative = lifted or found["control"] is not None
    return Limit(
        text=text,
        metric=found["lifted"] or found["metric"],
        of="lift" if relative else "value",
        sense=1 if found["sense"] == ">=" else -1,
        bound=bound - 1 if found["control"] else bound,
    )


class Parameter(Section):
    """What a parameter may be: numbers from low to high, or choices.

    low, high: both may be tried. log: tried evenly in its logarithm. step: only low + n step. integer: whole
        numbers. choices: instead, in this order. when: other parameters and the values (one or a list) of which one
        must be tried for this to count; else it is as the arm has it.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    step: Annotated[float, Gt(0)] | None = None
    integer: bool = False
    choices: Annotated[list[Choice], Field(min_length=1, max_length=50)] | None = None
    when: dict[str, Choice | list[Choice]] = {}

    @model_validator(mode="after")
    def _one_form(self) -> Parameter:
        wrong = self._wrong()
        if wrong:
            raise ValueError(wrong)
        return self

    def _wrong(self) -> str:
        ranged = [name for name in ("low", "high", "step") if getattr(self, name) is not None]
        ranged += [name for name in ("log", "integer") if getattr(self, name)]
        if self.choices is not None:
            if ranged:
                return f"must be a range or choices, got choices and {', '.join(ranged)}; drop one of them"
            told = [repr(choice) for choice in self.choices]
            return f"choices must differ, got {', '.join(told)}" if len(set(told)) < len(told) else ""
        if self.low is None or self.high is None:
            return "must be [low, high], or have low and high, or choices; such as [0, 3]"
        if not self.low < self.high:
            return f"low must be below high, got low {self.low:g} and high {self.high:g}; turn the range round"
        if self.log and self.low <= 0:
            return f"low must be above 0 where log is true, got {self.low:g}; try 0.01"
        if self.log and self.step is not None:
            return "must have a step or log, got both; drop one of them"
        if self.step is not None and self.step > self.high - self.low:
            return f"step must be at most high - low = {self.high - self.low:g}, got {self.step:g}"
        whole = all(float(x).is_integer() for x in (self.low, self.high, self.step or 1))
        return "" if whole or not self.integer else "low, high and step must be whole numbers where integer is true"


def _short(value: object) -> object:
    """[low, high] is short for a range."""
    if isinstance(value, list):
        if len(value) == 2 and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value):
            return {"low": value[0], "high": value[1]}
        raise ValueError(f"must be [low, high], a range or choices, got {value!r}; write {{choices: {value!r}}}")
    return value


Ends = Annotated[list[float], Field(min_length=2, max_length=2)]
Written = Annotated[Parameter, BeforeValidator(_short, json_schema_input_type=Parameter | Ends)]


class Budget(Section):
    """trials: settings that are tried, the present one among them. batch: proposed together, each knowing of the
    others but not of what they gave; fixed, so that the number of workers changes nothing."""

    trials: Annotated[int, Ge(1), Le(MOST_TRIALS)] = 60
    batch: Annotated[int, Ge(1), Le(64)] = 4


Estimator = Literal["auto", "dr", "dm", "pbm", "ips", "snips", "reading_dr", "cascade_dr", "rips", "slate_ips"]


class Rehearse(Section):
    """What `seesaw evaluate SPEC` holds against the truth. temperatures: of the warm-up's exploration, a log each."""

    temperatures: Annotated[list[Annotated[float, Gt(0), Le(1000)]], Field(min_length=1, max_length=20)] = [0.5]
    estimators: Annotated[list[Estimator], Field(min_length=1)] = ["slate_ips", "ips", "snips", "pbm", "dm", "dr"]


class FromLog(Section):
    """How settings are valued on a log.

    estimator: auto takes doubly robust estimates by position, or by what is read above where a test of the click model
        says so; or one of those in docs/offpolicy.md. requests: at most so many of the log are ranked anew.
    rehearse: what `seesaw evaluate SPEC` tries.
    """

    estimator: Estimator = "auto"
    requests: Annotated[int, Ge(100), Le(1_000_000)] = 20_000
    rehearse: Rehearse = Rehearse()


class ByHand(Section):
    """The way in which it is done by hand, beside the tuner: one parameter after the other, an online test each.

    values: of each parameter, evenly over its range. rounds: through all parameters. users: share of all users in
        each test. Every test picks the best measured first goal among the values whose limits hold as measured.
    """

    values: Annotated[int, Ge(2), Le(50)] = 5
    rounds: Annotated[int, Ge(1), Le(20)] = 1
    users: Annotated[float, Gt(0), Le(1)] = 1.0


class TuneSection(Section):
    """Search parameters of one arm offline, report what can be believed, and confirm it on users of its own.

    arm: whose parameters. parameters: by key below the arm, such as policy.params.alpha or explore.temperature; the
        last step alone where it names one key only.
    maximise: metrics; empty, the goals. subject_to: limits such as "lift(stay_per_user) >= -1%",
        "ctr >= 0.99 * control" or "ctr >= 0.05"; empty (none given), the guardrails.
    confidence: with which every pick holds all limits. exchange_rates: what a point of the second goal is worth in
        points of the first; a pick for each.
    reference: lift of each goal that counts as nothing won, 0 for those not named: the corner of the hypervolume.
    evaluate: simulate; or log, from the warm-up's log with its propensities, without any new traffic. log: how.
    users: share of all users that every setting is simulated for; more are taken until `precision` is reached.
    precision: standard error of a lift on the goals, of the median setting of the first batch.
    confirm: share of all users that the picks are confirmed on, none of whom was searched on.
    """

    arm: str
    parameters: Annotated[dict[str, Written], Field(min_length=1, max_length=20)]
    maximise: list[str] = []
    subject_to: list[str] | None = None
    confidence: Annotated[float, Ge(0.5), Lt(1)] = 0.9
    exchange_rates: Annotated[list[Annotated[float, Gt(0)]], Field(max_length=10)] = []
    reference: dict[str, Annotated[Change, Gt(-1)]] = {}
    evaluate: Literal["simulate", "log"] = "simulate"
    log: FromLog = FromLog()
    sampler: Literal["thompson", "tpe", "nsga2", "random", "grid"] = "thompson"
    budget: Budget = Budget()
    users: Annotated[float, Gt(0), Le(0.5)] = 0.2
    precision: Annotated[Change, Gt(0), Lt(1)] = 0.01
    confirm: Annotated[float, Gt(0), Le(0.5)] = 0.5
    by_hand: ByHand | None = None

    def quick(self) -> TuneSection:
        """A third of the trials."""
        budget = self.budget.model_copy(update={"trials": max(self.budget.batch, self.budget.trials // 3)})
        return self.model_copy(update={"budget": budget})

    @property
    def limits(self) -> list[Limit]:
        """Those that are written here, read."""
        return [limit_of(text) for text in self.subject_to or []]

    @model_validator(mode="after")
    def _fits_together(self) -> TuneSection:
        problems: list[tuple[tuple[str, ...], str]] = []
        for n, text in enumerate(self.subject_to or []):
            try:
                limit_of(text)
            except ValueError as problem:
                problems.append((("subject_to", str(n)), str(problem)))
        if not problems:
            problems += _contradictions(self.limits)
        for name, parameter in self.parameters.items():
            for other, values in parameter.when.items():
                wrong = _condition(name, other, values, self.parameters)
                if wrong:
                    problems.append((("parameters", name, "when"), wrong))
        if len(set(self.maximise)) < len(self.maximise):
            problems.append((("maximise",), f"each goal may be named once, got {', '.join(self.maximise)}"))
        if self.exchange_rates and self.maximise and len(self.maximise) < 2:
            problems.append((("exchange_rates",), "need two goals to exchange, got one; drop them"))
        if problems:
            raise Problems(problems)
        return self


def _contradictions(limits: list[Limit]) -> list[tuple[tuple[str, ...], str]]:
    """Limits that nothing can hold at once."""
    highest: dict[tuple[str, str], float] = {}
    lowest: dict[tuple[str, str], float] = {}
    for limit in limits:
        key = (limit.metric, limit.of)
        if limit.sense > 0:
            highest[key] = max(limit.bound, highest.get(key, -math.inf))
        else:
            lowest[key] = min(limit.bound, lowest.get(key, math.inf))
    return [
        (("subject_to",), f"nothing can hold both limits of {key[0]}: at least {highest[key]:g} and at most {low:g}")
        for key, low in lowest.items()
        if highest.get(key, -math.inf) > low
    ]


def _condition(name: str, other: str, values: object, parameters: Mapping[str, Parameter]) -> str:
    if other == name or other not in parameters:
        there = ", ".join(known for known in parameters if known != name) or "none"
        return f"must name another parameter, got {other!r}; there are {there}"
    if parameters[other].when:
        return f"must name a parameter that is always tried, {other} has conditions itself"
    choices = parameters[other].choices
    wanted: list[Any] = values if isinstance(values, list) else [values]
    if choices is None:
        return f"must name a parameter with choices, {other} has a range"
    beyond = [value for value in wanted if value not in choices]
    return f"{other} is never {beyond[0]!r}; its choices are {', '.join(map(repr, choices))}" if beyond else ""
