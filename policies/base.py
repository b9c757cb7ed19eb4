"""The contract of a policy: fit on a log, score requests, save and load without pickles."""

from __future__ import annotations

import difflib
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import TypeAdapter

from sim.records import Bools, Column, Floats, Log, Requests, Scores, is_action

# Goals with names of their own; any other action of a log is a goal by its name: P(action | click).
GOALS = ("ctr", "cvr", "ctcvr", "stay")


class AbstractPolicy(ABC):
    """A ranker that learns from a log. Subclasses are dataclasses whose fields are the keys of their YAML.

    A policy draws nothing at serving time and knows nothing that the log does not hold. What it learns
    lives in attributes that end in `_`, appears in `fit`, and is equal for equal (spec, log).
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}
    name: ClassVar[str]
    learns: ClassVar[bool] = True  # False: can serve before there is any log
    loads: ClassVar[tuple[str, ...]] = ()  # modules that `fit` imports, slowly; their cost is not the fit's
    proper: ClassVar[bool] = True  # False: what it calls a probability may exceed 1, as it is known to
    learns_besides: ClassVar[bool] = False  # True: the log teaches it more than the models of `needs`

    @abstractmethod
    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        """Learn from a log and return self.

        Args:
            log: impressions with what had come of them by the log's horizon.
            fitted: the models of `needs`, fitted on the same log; those that are missing are fitted here.

        Raises:
            ValueError: the log cannot teach this policy; the message says what is missing.
        """

    def assemble(self, fitted: Mapping[str, AbstractPolicy]) -> Self:
        """Become ready without a log: for policies that learn nothing, or nothing besides the models of `needs`."""
        return self

    @abstractmethod
    def score(self, requests: Requests) -> Scores:
        """Higher is better; shape (R, C), finite float32. A row does not depend on the other rows."""

    @abstractmethod
    def learned(self) -> dict[str, Column]:
        """What `fit` learned, as named arrays without objects."""

    @abstractmethod
    def restore(self, learned: Mapping[str, Column]) -> Self:
        """Become what `learned` describes, and return self."""

    def goals(self, requests: Requests) -> dict[str, Floats]:
        """Predicted goals by name, each of shape (R, C); empty for a pure ranker.

        Names are `ctr` = P(click | shown), `cvr` = P(conversion | click), `ctcvr` = ctr x cvr, `stay` = seconds
        given a click, and any other action of the log by its own name = P(action | click).
        """
        return {}

    def predictions(self, requests: Requests) -> dict[str, Floats]:
        """What the score is fused from, by name, each of shape (R, C): made by the fit alone, whatever the fusion.

        Empty for a policy whose score is one piece.
        """
        return {}

    def fused(self, predictions: Mapping[str, Floats], requests: Requests) -> Scores:
        """The score from `predictions`, so that many fusions of one fit share them; equal to `score` in every bit."""
        return self.score(requests)

    def outcomes(self) -> frozenset[str]:
        """Outcomes that a log must have for `fit`, known before there is a log; none for what learns nothing."""
        return frozenset()

    def needs(self) -> dict[str, AbstractPolicy]:
        """Models that this policy fuses; equal ones are fitted once for all policies."""
        return {}

    def attention(self) -> Floats | None:
        """How much likelier each slot is to be looked at than slot 0, as inferred from the log; shape (n_slots,).

        None for a policy that infers none. Known up to a constant only, hence relative.
        """
        return None

    def notes(self) -> list[str]:
        """What a reader should know of the fit, such as a goal that had not converged."""
        return []

    def spec(self) -> dict[str, Any]:
        """The policy as YAML would name it."""
        values: dict[str, Any] = plain({"type": self.name, **asdict(self)})  # type: ignore[call-overload]
        return values

    def fit_spec(self) -> dict[str, Any]:
        """The part of the spec that `fit` depends on; policies that agree in it share one fit."""
        return self.spec()

    def seed(self) -> int:
        """The seed of a fit: a hash of `fit_spec`, so that equal fits learn the same model."""
        text = json.dumps(self.fit_spec(), sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def save(self, folder: Path) -> None:
        """Write `policy.json` and `weights.npz`; nothing in them can run code."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policy.json").write_text(json.dumps(self.spec(), indent=1, sort_keys=True) + "\n")
        np.savez(folder / "weights.npz", **self.learned())  # type: ignore[arg-type]

    def restore_from(self, folder: Path) -> Self:
        """Take over what a policy of equal `fit_spec` saved, and return self; needs no torch."""
        return self.restore(saved(folder))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; scores are the same."""
        spec = json.loads((folder / "policy.json").read_text())
        if spec.pop("type") != cls.name:
            raise ValueError(f"{folder} does not hold a {cls.name}; load it with the class named in policy.json")
        return cls.from_spec(spec).restore_from(folder)

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Build from plain values, nested ones included.

        Raises:
            pydantic.ValidationError: with every problem and its place.
        """
        return TypeAdapter(cls).validate_json(json.dumps(spec), strict=True)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The keys of its YAML, `type` apart, as a JSON schema."""
        return TypeAdapter(cls).json_schema()


def saved(folder: Path) -> dict[str, Column]:
    """What `save` wrote of a policy's learning; kept while the file is the same, since many settings share a fit."""
    path = folder / "weights.npz"
    told = path.stat()
    return dict(_saved(path, told.st_mtime_ns, told.st_size))


@lru_cache(maxsize=4)
def _saved(path: Path, changed: int, size: int) -> Mapping[str, Column]:
    with np.load(path, allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def plain(values: Any) -> Any:
    """Values as YAML holds them, with one form for equal numbers: 1 and 1.0 are the same policy."""
    if isinstance(values, Mapping):
        return {str(key): plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain(value) for value in values]
    return int(values) if isinstance(values, float) and values.is_integer() else values


def check_log(log: Log, positives: Mapping[str, int]) -> None:
    """Refuse a log that cannot teach.

    Args:
        positives: least number of rows in which each outcome must have happened.

    Raises:
        ValueError: no impressions, an action without a click, an outcome that the log does not have, or
            too few positives of one.
    """
    if not len(log):
        raise ValueError("the log holds no impressions; give the warm-up more days or users")
    check_has(log, ["click", *positives])
    for name in log.actions:
        orphans = int((log[name] > log["click"]).sum())
        if orphans:
            raise ValueError(f"{name} must not happen without a click, but does in {orphans} rows of the log")
    for name, least in positives.items():
        check_enough(name, log[name] > 0, least)


def check_enough(what: str, happened: Bools, least: int) -> None:
    """Refuse a log in which something, named for the reader, happened in too few impressions; shape (n,)."""
    found = int(happened.sum())
    if found < least:
        raise ValueError(
            f"at least {least} impressions with {what} are needed to learn from, the log has {found}; "
            f"give the warm-up more days or users"
        )


def check_has(log: Log, names: Collection[str]) -> None:
    """Refuse a log that lacks any of these outcomes; the message names the nearest that it has."""
    for name in names:
        if name not in log.outcomes:
            there = ", ".join(log.outcomes)
            raise ValueError(f"the log has no {name!r}; {nearest(name, log.outcomes)}name one of its outcomes: {there}")


def check_actions(key: str, names: Collection[str]) -> None:
    """Refuse, before there is a log, names under a key of a spec that can be no action of any."""
    for name in names:
        if not (isinstance(name, str) and name.isidentifier() and is_action(name)):
            raise ValueError(f"{key} must name actions such as click or buy, got {name!r}; drop it")


def nearest(name: str, known: Collection[str]) -> str:
    """A hint for a mistyped name, ready to stand before a cure in a sentence; empty if none is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}? Or " if near else ""


def prefixed(prefix: str, arrays: Mapping[str, Column]) -> dict[str, Column]:
    """Arrays under `prefix.`, so that several parts share one file."""
    return {f"{prefix}.{key}": value for key, value in arrays.items()}


def part(prefix: str, arrays: Mapping[str, Column]) -> dict[str, Column]:
    """The arrays that `prefixed` put under a prefix."""
    start = f"{prefix}."
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
