"""The spec: a table of contents of its sections, and the way from a file to an `Experiment`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from experiments.crosscheck import cross_problems
from experiments.document import Document, DocumentError, Origin, is_there, parse_value, read_document, shortened
from experiments.findings.table import Finding
from experiments.metrics import nearest
from experiments.policy_spec import Place, build_policy, spec_of
from experiments.problems import Problem, translate
from experiments.sections.analysis import AnalysisSection
from experiments.sections.common import Section
from experiments.sections.experiment import ExperimentSection
from experiments.sections.faults import FaultsSection
from experiments.sections.metrics import MetricsSection
from experiments.sections.seeds import Seeds
from experiments.sections.truth import TruthSection
from experiments.sections.tune import TuneSection
from experiments.sections.warmup import WarmupSection
from experiments.sections.world import WorldSection
from experiments.strangers import StrangerError, adopt, is_reference
from experiments.sweeps import resolved_sweep, sweep_problems
from experiments.tuning.keys import tune_problems
from policies.base import AbstractPolicy, plain

LIBRARY = Path(__file__).parent / "library"
SCENARIOS = Path(__file__).parent.parent / "sim" / "scenarios"


def _all_seeds(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"world": value, "luck": value, "split": value}
    return value


class Experiment(Section):
    """An A/B experiment on a simulated world: everything a run depends on."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    seed: Annotated[Seeds, BeforeValidator(_all_seeds)] = Seeds()
    world: WorldSection
    warmup: WarmupSection = WarmupSection()
    experiment: ExperimentSection
    metrics: MetricsSection
    truth: TruthSection = TruthSection()
    analysis: AnalysisSection = AnalysisSection()
    faults: FaultsSection = FaultsSection()
    finding: Finding | None = None
    tune: TuneSection | None = None

    @property
    def units(self) -> tuple[str, ...]:
        """What is divided between the arms: the test's own unit, then those set beside it."""
        return (self.experiment.assign.unit, *self.experiment.assign.beside)

    def policy(self, arm: str) -> AbstractPolicy:
        """The policy of an arm, unfitted; the control's default is the warm-up's."""
        return build_policy(self.experiment.arms[arm].policy or self.warmup.policy)

    def resolved(self) -> dict[str, Any]:
        """Every value spelled out, as plain YAML: runs again as it is."""
        values = self.model_dump(mode="json")
        values["warmup"]["policy"] = spec_of(build_policy(self.warmup.policy))
        for arm in self.experiment.arms:
            values["experiment"]["arms"][arm]["policy"] = spec_of(self.policy(arm))
        resolved: dict[str, Any] = plain(values)
        resolved["truth"]["sweeps"] = {name: resolved_sweep(sweep) for name, sweep in self.truth.sweeps.items()}
        return resolved

    def identity(self) -> str:
        """A hash of everything the run depends on."""
        values = self.resolved()
        del values["world"]["scenario"]["targets"], values["tune"]  # change no result of a run
        if not self.world.sharing:  # where users share, a wave finds the shelf as it was when its tick began
            del values["world"]["tick_minutes"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    def quick(self) -> Experiment:
        """The same pipeline on a tenth of the users, half the days and a tenth of the training rows; its calendar
        is halved too."""
        world, warmup, test = self.world, self.warmup, self.experiment
        users = max(world.users // 10, 2 * world.markets)
        looks = sorted({-(-day // 2) for day in self.analysis.looks})
        return self.model_copy(
            update={
                "name": f"{self.name[:58]}-quick",
                "world": world.model_copy(update={"users": users}),
                "warmup": warmup.model_copy(
                    update={
                        "days": -(-warmup.days // 2),
                        "max_train_rows": max(1000, warmup.max_train_rows // 10),
                    }
                ),
                "experiment": test.in_half_the_days(),
                "analysis": self.analysis.model_copy(update={"looks": looks}),
                "tune": self.tune and self.tune.quick(),
            }
        )


class SpecError(ValueError):
    """An invalid spec; `lines` holds one complete line per problem."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = list(lines)


def load_experiment(source: str, sets: Sequence[str] = (), seed: int | None = None) -> Experiment:
    """Read, override and validate an experiment.

    Args:
        source: a file, or the name of an experiment in the library.
        sets: overrides, each "key.path=value" with the value in YAML.
        seed: sets all three seeds.

    Raises:
        SpecError: with every problem found, each with its place, what must hold, what was found and the cure.
    """
    try:
        path = find_experiment(source)
        document = read_document(path)
        for text in sets:
            _override(document, text)
        if seed is not None:
            document.put(("seed",), seed, Origin(f"--seed {seed}"))
        _inline_scenario(document, path.parent)
        for text in sets:  # once more: a set may reach inside the scenario that another names
            if text.strip().startswith("world.scenario."):
                _override(document, text)
    except DocumentError as problem:
        raise SpecError([str(problem)]) from None
    _adopt_strangers(document, path.parent)
    return validate(document)


def validate(document: Document) -> Experiment:
    """The experiment that a document describes.

    Raises:
        SpecError: with every problem found.
    """
    problems: list[Problem] = []
    experiment = None
    try:
        experiment = Experiment.model_validate_json(json.dumps(document.values), strict=True)
    except ValidationError as invalid:
        schema = Experiment.model_json_schema()
        problems += [problem for error in invalid.errors() for problem in translate(dict(error), (), schema)]
    problems += [*cross_problems(document), *sweep_problems(document), *tune_problems(document)]
    if problems:
        raise SpecError(sorted_lines(document, problems))
    assert experiment is not None
    return experiment


def sorted_lines(document: Document, problems: Sequence[Problem]) -> list[str]:
    """Problems as lines, in the order of the file."""
    placed = [(document.origin(p.place), p) for p in problems]
    placed.sort(key=lambda pair: (pair[0].file, pair[0].line, pair[0].column))
    return list(dict.fromkeys(f"{origin} {problem}" for origin, problem in placed))


def find_experiment(source: str) -> Path:
    """The file of an experiment: a path as it is, or a name in the library.

    Raises:
        DocumentError: neither.
    """
    path = Path(source)
    if is_there(path) or path.suffix in (".yaml", ".yml") or "/" in source:
        return path
    library = {file.stem: file for file in sorted(LIBRARY.glob("*.yaml"))}
    if source in library:
        return library[source]
    raise DocumentError(
        f"{shortened(source)}: must be a file or an experiment of the library, found neither; "
        f"{nearest(source, library)}the library has {', '.join(library)}"
    )


def _adopt_strangers(document: Document, folder: Path) -> None:
    """Load the policies that are named by a file, relative to the spec; those of --set, to where one is."""
    problems: list[Problem] = []
    arms = document.get(("experiment", "arms"))
    places: list[Place] = [("experiment", "arms", arm, "policy") for arm in arms] if isinstance(arms, dict) else []
    sweeps = document.get(("truth", "sweeps"))
    places += [("truth", "sweeps", name, "policy") for name in sweeps] if isinstance(sweeps, dict) else []
    for place in (("warmup", "policy"), *places):
        policy = document.get(place)
        named = policy.get("type") if isinstance(policy, dict) else policy
        if not isinstance(named, str) or not is_reference(named):
            continue
        where = (*place, "type") if isinstance(policy, dict) else place
        origin = document.origin(where)
        try:
            known = adopt(named, Path() if origin.file.startswith("--") else folder)
        except StrangerError as problem:
            problems.append(Problem(where, str(problem)))
            continue
        document.put((*place, "type"), known, origin)
    if problems:
        raise SpecError(sorted_lines(document, problems))


def _inline_scenario(document: Document, folder: Path) -> None:
    """Replace the name or path of a scenario by the scenario itself; with `like`, what stands beside it is changed."""
    place = ("world", "scenario")
    named, changes = document.get(place), dict[tuple[str, ...], Any]()
    origin, written = document.origin(place), Document(document.file, {}, dict(document.origins))
    if isinstance(named, dict) and isinstance(named.get("like"), str):
        changes = dict(_leaves(named, ()))
        del changes[("like",)]
        named = named["like"]
    if not isinstance(named, str):
        return
    known = {file.stem: file for file in sorted(SCENARIOS.glob("*.yaml"))}
    path = known.get(named) or folder / named
    if not is_there(path):
        raise DocumentError(
            f"{origin} world.scenario: must be a scenario or a file beside the spec, got {shortened(named)!r}; "
            f"{nearest(named, known)}the scenarios are {', '.join(known)}"
        )
    document.graft(place, read_document(path, f"{path.name}" if named in known else str(path)))
    for below, value in changes.items():
        document.put(place + below, value, written.origin(place + below))
        within = len(place + below)
        document.origins |= {at: of for at, of in written.origins.items() if at[:within] == place + below}


def _leaves(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is no mapping, with its place; an empty mapping is a value, and so is one with a `type`,
    since another type has other keys."""
    for key, value in values.items():
        if isinstance(value, dict) and value and "type" not in value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _override(document: Document, text: str) -> None:
    key, equals, value = text.partition("=")
    origin = Origin(f"--set {text}")
    if not equals or not key.strip():
        raise DocumentError(f"{origin}: must be key=value, such as world.users=1000")
    place = tuple(key.strip().split("."))
    below_scenario = place[:2] == ("world", "scenario") and len(place) > 2
    if below_scenario and not isinstance(document.get(("world", "scenario")), dict):
        return  # applied once the scenario is there
    document.put(place, parse_value(value, origin), origin)
