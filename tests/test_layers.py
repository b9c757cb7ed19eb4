"""Imports run one way: sim, then policies, then experiments; nothing heavy is loaded before it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"sim", "policies", "experiments"}
SIM_MAY = {"numpy", "scipy", "simpy", "pyarrow", "annotated_types"}
HEAVY = ("torch", "matplotlib", "pandas", "lightgbm", "optuna")


def modules(package: str) -> dict[str, Path]:
    """Files of a package by dotted name."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it; `from a import b` gives a.b, since b may be a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(name: str) -> str:
    return name.split(".")[0]


def resolved(name: str, known: set[str]) -> str | None:
    """The module of ours behind an imported name: a.b.c may be a name in a.b."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def graph(package: str) -> dict[str, set[str]]:
    known = modules(package)
    found = {name: {resolved(i, set(known)) for i in imports(path)} for name, path in known.items()}
    return {name: {m for m in targets if m and m not in (name, package)} for name, targets in found.items()}


@pytest.mark.parametrize("module", sorted(modules("sim")))
def test_sim_imports_itself_and_what_its_layer_allows(module: str) -> None:
    for name in imports(modules("sim")[module]):
        assert top(name) in SIM_MAY | {"sim"} | set(sys.stdlib_module_names), f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(modules("policies")))
def test_policies_import_of_ours_only_the_records_and_themselves(module: str) -> None:
    for name in imports(modules("policies")[module]):
        if top(name) in OURS:
            assert top(name) == "policies" or name.startswith("sim.records"), f"{module} imports {name}"


@pytest.mark.parametrize("module", sorted(modules("experiments/analysis")))
def test_analysis_imports_none_of_ours_but_itself(module: str) -> None:
    for name in imports(modules("experiments/analysis")[module]):
        if top(name) in OURS:
            assert name.startswith("experiments.analysis"), f"{module} imports {name}"


def test_every_package_is_built() -> None:
    """A new folder of modules must be named in pyproject.toml, or an installed seesaw lacks it."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {
        ".".join(path.parent.relative_to(ROOT).parts) for name in OURS for path in (ROOT / name).rglob("__init__.py")
    }
    assert set(built) == there


def test_packages_were_found() -> None:
    assert "sim.engine" in modules("sim")
    assert "policies.base" in modules("policies")
    assert len(modules("experiments/analysis")) > 3
    assert "sim.world" in graph("sim")["sim.engine"]


@pytest.mark.parametrize("package", ["sim", "policies", "experiments"])
def test_no_import_goes_round_in_a_circle(package: str) -> None:
    links = graph(package)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module in done:
            return
        for target in sorted(links[module]):
            visit(target, (*path, module))
        done.add(module)

    for module in links:
        visit(module, ())


def loaded_by(statement: str) -> set[str]:
    script = f"{statement}; import sys; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


@pytest.mark.parametrize("module", ["experiments.spec", "sim.engine", "sim.logbook"])
def test_nothing_heavy_is_loaded_before_it_is_needed(module: str) -> None:
    assert loaded_by(f"import {module}") == set()


def test_the_probe_for_heavy_modules_sees_them() -> None:
    assert loaded_by("import sys, types; sys.modules['torch'] = types.ModuleType('torch')") == {"torch"}
