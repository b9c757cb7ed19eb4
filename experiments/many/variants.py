"""Variants of one experiment that are run side by side, each with its label and its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.sections.seeds import Seeds
from experiments.spec import Experiment
from experiments.store import IDENTITY

MOST_SEEDS = 100_000  # more are a slip of the keyboard
LARGEST = 2**63 - 1
_PART = re.compile(r"(\d{1,19})(?:\.\.(\d{1,19}))?", re.ASCII)


class SeedsError(ValueError):
    """A list of seeds that cannot be understood; the message is the whole line to print."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One run to be done. label: what it is called in tables. folder: its own."""

    label: str
    experiment: Experiment
    folder: Path


def over_seeds(experiment: Experiment, seeds: Sequence[int], out: Path) -> list[Variant]:
    """The same design in as many worlds, with other luck and other divisions: all three seeds are set."""
    return [
        Variant(
            f"seed {seed}",
            experiment.model_copy(update={"seed": Seeds(world=seed, luck=seed, split=seed)}),
            out / f"seed-{seed}",
        )
        for seed in seeds
    ]


def foreign(variants: Sequence[Variant]) -> list[Variant]:
    """Those whose folder holds another experiment's run."""
    return [variant for variant in variants if _held(variant.folder) not in ("", variant.experiment.identity())]


def _held(folder: Path) -> str:
    marker = folder / IDENTITY
    return marker.read_text(encoding="utf-8", errors="replace").strip() if marker.is_file() else ""


def parse_seeds(text: str) -> list[int]:
    """Seeds from "1..200" or "1,2,5..9", in the order given.

    Raises:
        SeedsError: anything else, a range that falls, a seed given twice, or too many.
    """
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, last = _ends(text, part.strip())
        if last - first + 1 + len(seeds) > MOST_SEEDS:
            raise SeedsError(f"--seeds {_short(text)}: must be at most {MOST_SEEDS:,} seeds; try fewer")
        twice = next((seed for seed in range(first, last + 1) if seed in seeds), None)
        if twice is not None:
            raise SeedsError(f"--seeds {_short(text)}: must name each seed once, got {twice} twice; drop one of them")
        seeds |= dict.fromkeys(range(first, last + 1))
    return list(seeds)


def _ends(text: str, part: str) -> tuple[int, int]:
    match = _PART.fullmatch(part)
    if match is None:
        must = "must be whole numbers and ranges such as 1..20 or 1,2,5..9"
        raise SeedsError(f"--seeds {_short(text)}: {must}, got {_short(part)!r}")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise SeedsError(f"--seeds {_short(text)}: a range must rise, got {part}; try {last}..{first}")
    if last > LARGEST:
        raise SeedsError(f"--seeds {_short(text)}: a seed must be at most {LARGEST}, got {last}; take smaller ones")
    return first, last


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
