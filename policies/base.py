"""The contract of a policy: fit on a log, score requests, save and load without pickles."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import TypeAdapter

from sim.records import Column, Floats, Log, Requests, Scores

GOALS = ("ctr", "cvr", "ctcvr", "collect", "cart", "stay")


class AbstractPolicy(ABC):
    """A ranker that learns from a log. Subclasses are dataclasses whose fields are the keys of their YAML.

    A policy draws nothing at serving time and knows nothing that the log does not hold. What it learns
    lives in attributes that end in `_`, appears in `fit`, and is equal for equal (spec, log).
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}
    name: ClassVar[str]
    learns: ClassVar[bool] = True  # False: can serve before there is any log

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
        """Predicted goals by name (`GOALS`), each of shape (R, C); empty for a pure ranker."""
        return {}

    def needs(self) -> dict[str, AbstractPolicy]:
        """Models that this policy fuses, learning nothing besides; equal ones are fitted once for all policies."""
        return {}

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
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            return self.restore({key: arrays[key] for key in arrays.files})

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
        ValueError: no impressions, a purchase without a click, or too few positives of an outcome.
    """
    if not len(log):
        raise ValueError("the log holds no impressions; give the warm-up more days or users")
    for name in ("collect", "cart", "buy"):
        orphans = int((log[name] > log["click"]).sum())
        if orphans:
            raise ValueError(f"{name} must not happen without a click, but does in {orphans} rows of the log")
    for name, least in positives.items():
        found = int((log[name] > 0).sum())
        if found < least:
            raise ValueError(
                f"at least {least} impressions with {name} are needed to learn from, the log has {found}; "
                f"give the warm-up more days or users"
            )


def prefixed(prefix: str, arrays: Mapping[str, Column]) -> dict[str, Column]:
    """Arrays under `prefix.`, so that several parts share one file."""
    return {f"{prefix}.{key}": value for key, value in arrays.items()}


def part(prefix: str, arrays: Mapping[str, Column]) -> dict[str, Column]:
    """The arrays that `prefixed` put under a prefix."""
    start = f"{prefix}."
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
