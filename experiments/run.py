"""A run from a spec to its results: tasks, analysis, files."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from experiments.covariance import save_covariance
from experiments.document import write_yaml
from experiments.evaluate import results_of
from experiments.executors import Listener, execute
from experiments.judge import costs_of
from experiments.plan import Plan, plan
from experiments.results import Results
from experiments.spec import Experiment
from experiments.stages.arms import market_folder
from experiments.store import IDENTITY, MANIFEST, RunFolder, link, write_text
from experiments.strangers import keep_sources, references_in
from experiments.tasks import program_hash
from sim.logbook import HIDDEN_FILE, LOG_FILE

PACKAGES = ("seesaw", "numpy", "scipy", "simpy", "pyarrow", "torch", "lightgbm", "pandas", "matplotlib")
Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run. reused: whether it had been finished before."""

    folder: Path
    results: Results
    manifest: dict[str, Any]
    reused: bool


def run(
    experiment: Experiment,
    out: Path,
    *,
    workers: int,
    force: bool,
    listen: Listener,
    announce: Announce,
    pages: bool = True,
) -> Run:
    """Do what an experiment asks for, in a folder; a finished one is only read again.

    Args:
        workers: processes; the result does not depend on it.
        force: discard what the folder holds.
        listen: told of tasks. announce: told of the last two stages, analysis and report.
        pages: whether report.html and report.png are wanted, which a sweep of hundreds of runs is not read by.

    Raises:
        FolderError: the folder holds something else or cannot be written.
        TaskError: a task failed; what was finished is kept.
    """
    folder = RunFolder(out)
    with folder.claimed(experiment.identity(), force), threadpool_limits(1):
        whole = plan(experiment)
        manifest = _finished(folder, whole, pages)
        if manifest is not None:
            return Run(out, results_of(experiment, folder, whole), manifest, reused=True)
        (out / MANIFEST).unlink(missing_ok=True)  # from here on, what is there may be of two runs
        started = time.perf_counter()
        write_yaml(experiment.resolved(), out / "experiment.yaml", _OPENING.format(name=experiment.name))
        keep_sources(references_in(experiment.resolved()), out)
        execute(whole.tasks(), folder, workers, listen)
        _show_logs(folder, whole)
        announce("analysis")
        results = results_of(experiment, folder, whole)
        if pages:
            announce("report")
        _write_results(folder, results)
        manifest = _manifest(experiment, folder, whole, time.perf_counter() - started, workers)
        if pages:
            _write_report(experiment, folder, results, manifest)
        write_text(out / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return Run(out, results, manifest, reused=False)


def is_finished(experiment: Experiment, out: Path, *, pages: bool = True) -> bool:
    """Whether an experiment has come to its end in a folder: `run` would only read it again."""
    manifest = _finished(RunFolder(out), plan(experiment), pages)
    return manifest is not None and manifest[IDENTITY] == experiment.identity()


def _finished(folder: RunFolder, whole: Plan, pages: bool) -> dict[str, Any] | None:
    """The manifest, if this program has left all that it promised."""
    manifest = folder.finished(pages)
    if manifest is None or manifest["program"] != program_hash():
        return None
    return manifest if all(folder.is_done(task) for task in whole.tasks()) else None


_OPENING = """{name}, with every value spelled out. Runs again as it is: seesaw run experiment.yaml --out NEW"""


def _show_logs(folder: RunFolder, whole: Plan) -> None:
    """Logs and hidden truth under readable names; no bytes are copied where links exist."""
    shown = {f"warmup-market{m}": folder.result(task) for m, task in whole.warmups.items()}
    unit = next(iter(whole.tests))[0]  # the test's own; what is set beside it keeps its log to itself
    for (of, market), task in whole.tests.items():
        if of == unit:
            shown[f"test-market{market}"] = market_folder(folder.result(task), market)
    for name, result in shown.items():
        link(result / LOG_FILE, folder.path / "log" / f"{name}.parquet")
        link(result / HIDDEN_FILE, folder.path / "hidden" / f"{name}.parquet")
    for market, task in whole.warmups.items():
        link(folder.result(task) / "users.parquet", folder.path / "log" / f"users-market{market}.parquet")
    link(folder.result(whole.warmups[0]) / "items.parquet", folder.path / "log" / "items.parquet")


def _write_results(folder: RunFolder, results: Results) -> None:
    import pandas as pd

    write_text(folder.path / "results.csv", pd.DataFrame(results.to_dicts()).to_csv(index=False))
    write_text(folder.path / "truth.csv", pd.DataFrame(list(results.truth)).to_csv(index=False))
    if results.scorecard is not None:
        table = pd.DataFrame(list(results.scorecard.rows))
        write_text(folder.path / "scorecard.csv", table.to_csv(index=False))
    if results.joint is not None:
        save_covariance(results.joint, folder.path)
    write_text(folder.path / "decision.json", json.dumps(results.decision.to_dict(), indent=1) + "\n")
    tables: dict[str, Sequence[Any]] = {
        "sweeps": results.sweep_dicts(),
        "front": results.front,
        "segments": results.segments,
        "daily": results.daily,
    }
    for name, rows in tables.items():
        if rows:
            write_text(folder.path / f"{name}.csv", pd.DataFrame(list(rows)).to_csv(index=False))


def _write_report(experiment: Experiment, folder: RunFolder, results: Results, manifest: dict[str, Any]) -> None:
    from experiments.report.page import page
    from experiments.report.poster import poster
    from experiments.report.subject import subject_of

    subject = subject_of(experiment, results)
    write_text(folder.path / "report.html", page(subject, results, manifest))
    draft = folder.path / ".report.png"
    poster(subject, results, draft)
    draft.replace(folder.path / "report.png")


def _manifest(experiment: Experiment, folder: RunFolder, whole: Plan, seconds: float, workers: int) -> dict[str, Any]:
    notes = {task: folder.notes(task) for task in whole.tasks()}
    simulated = [n for task, n in notes.items() if "impressions" in n]
    impressions = sum(n["impressions"] for n in simulated)
    cpu = sum(n["cpu_seconds"] for n in simulated)
    stages: dict[str, float] = {}
    for task, n in notes.items():
        stages[task.stage] = stages.get(task.stage, 0.0) + n["cpu_seconds"]
    logs = {f"{task.stage}, {task.name}": n["checksum"] for task, n in notes.items() if "checksum" in n}
    return {
        "name": experiment.name,
        IDENTITY: experiment.identity(),
        "seed": experiment.resolved()["seed"],
        "program": program_hash(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "log_checksums": logs,
        "impressions": impressions,
        "impressions_per_cpu_second": round(impressions / cpu) if cpu else 0,
        "cpu_seconds_by_stage": {stage: round(value, 2) for stage, value in stages.items()},
        "fits": {
            f"{task.name} {task.key}": {"cpu_seconds": round(n["cpu_seconds"], 2), "rows": n["rows"]}
            for task, n in notes.items()
            if task.stage == "fit"
        },
        "scorecard": costs_of(folder, whole),
        "wall_seconds": round(seconds, 1),
        "workers": workers,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
