"""`seesaw list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from policies.base import AbstractPolicy
    from policies.training import Training

KINDS = ("experiments", "policies", "metrics", "scenarios")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def command(kind: str | None) -> None:
    """List experiments, policies, metrics or scenarios; without KIND, all of them."""
    lists: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
        "experiments": _experiments,
        "policies": _policies,
        "metrics": _metrics,
        "scenarios": _scenarios,
    }
    for name in [kind] if kind else KINDS:
        rows = list(lists[name]())
        width = max(len(key) for key, _ in rows)
        if kind is None:
            click.echo(f"{name}:")
        for key, line in rows:
            click.echo(f"  {key:<{width}}  {line}")


def _experiments() -> Iterator[tuple[str, str]]:
    from experiments.spec import LIBRARY

    return ((path.stem, _first_comment(path)) for path in sorted(LIBRARY.glob("*.yaml")))


def _scenarios() -> Iterator[tuple[str, str]]:
    from experiments.spec import SCENARIOS

    return ((path.stem, _first_comment(path)) for path in sorted(SCENARIOS.glob("*.yaml")))


def _policies() -> Iterator[tuple[str, str]]:
    """Each policy, and below it its keys with their defaults; those of `training`, which many have, at the end."""
    from policies.table import POLICIES, policy_class
    from policies.training import Training

    for name in POLICIES:
        found = policy_class(name)
        yield name, (found.__doc__ or "").strip().splitlines()[0]
        keys = ", ".join(_keys(found))
        yield "", f"{{{keys}}}" if keys else "{}"
    yield "training", "How a torch model is trained, the same keys in every policy that names it."
    yield "", f"{{{', '.join(_keys(Training))}}}"
    yield "FILE.py:CLASS", "A policy of your own, from a file beside the spec; see docs/your-own-policy.md."


def _keys(of: type[AbstractPolicy] | type[Training]) -> Iterator[str]:
    """The keys of a policy's YAML, as YAML would give their defaults."""
    from dataclasses import MISSING, asdict, fields, is_dataclass

    from policies.base import plain

    assert is_dataclass(of)
    for key in fields(of):
        value = key.default if key.default_factory is MISSING else key.default_factory()
        if value is MISSING:
            yield f"{key.name}: (must be given)"
        elif key.name == "training":
            yield "training: (see training)"
        else:
            opened = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
            yield f"{key.name}: {_flow(plain(opened))}"


def _flow(value: object) -> str:
    """A plain value as YAML writes it on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow(below)}' for key, below in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    return str(value)


def _metrics() -> Iterator[tuple[str, str]]:
    """Metrics of every scenario, under its name."""
    from experiments.document import read_document
    from experiments.spec import SCENARIOS

    for path in sorted(SCENARIOS.glob("*.yaml")):
        for name, metric in read_document(path).values.get("metrics", {}).items():
            better = "; lower is better" if metric.get("better") == "lower" else ""
            yield f"{path.stem}.{name}", f"{metric['meaning']}{better}"


def _first_comment(path: Path) -> str:
    """The question that a file opens with."""
    return path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
