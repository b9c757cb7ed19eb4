"""`seesaw list`: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click

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
    from policies.table import POLICIES, policy_class

    return ((name, (policy_class(name).__doc__ or "").strip().splitlines()[0]) for name in POLICIES)


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
