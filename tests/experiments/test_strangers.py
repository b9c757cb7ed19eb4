"""A stranger's class: a policy from a file beside the spec, from `validate` to a run that runs again as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.executors import TaskError, execute
from experiments.plan import plan
from experiments.run import Run, run
from experiments.spec import Experiment, SpecError, load_experiment
from experiments.store import FolderError, RunFolder
from experiments.strangers import keep_sources, references_in
from sim.logbook import read_log
from tests.experiments.finished import finished, small
from tests.experiments.test_cli import seesaw

DOCS = (Path(__file__).parent.parent.parent / "docs" / "your-own-policy.md").read_text(encoding="utf-8")
EXAMPLE, CONTRACT = re.findall(r"^```python\n(.*?)^```", DOCS, flags=re.DOTALL | re.MULTILINE)
MINE = '{type: "item_rate.py:ItemRate", prior: 200, price: 0.5}'


def spec_text(policy: str = MINE, more: str = "") -> str:
    arms = f"{{production: {{share: 0.5}}, mine: {{share: 0.5, policy: {policy}{more}}}}}"
    return small(arms=arms, world="users: 300, markets: 1", metrics="{goals: [ctr], guardrails: {}}", days=2)


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder with a spec and the documented policy beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "item_rate.py").write_text(EXAMPLE)
    (folder / "spec.yaml").write_text(spec_text())
    return folder


def run_it(spec: Experiment, out: Path, workers: int = 1) -> Run:
    return run(spec, out, workers=workers, force=False, listen=lambda _: None, announce=lambda _: None)


def test_the_documented_spec_names_the_documented_policy() -> None:
    assert MINE in DOCS
    assert EXAMPLE.startswith("# item_rate.py\n")


def test_the_documented_policy_passes_the_contract_as_documented(
    beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(beside))
    names: dict[str, Callable[[Path], None]] = {}
    exec(compile(CONTRACT, "documented", "exec"), names)
    names["test_my_policy"](tmp_path)


def test_it_is_validated_run_by_workers_and_run_again_from_the_run_itself(beside: Path) -> None:
    checked = seesaw("validate", "spec.yaml", cwd=beside)
    assert checked.returncode == 0, checked.stderr
    first = seesaw("run", "work/spec.yaml", "--workers", "2", "--out", "one", cwd=beside.parent)
    assert first.returncode == 0, first.stderr
    one = beside.parent / "one"
    copies = list((one / "policies").iterdir())
    assert [copy.read_text() for copy in copies] == [EXAMPLE]
    (beside / "item_rate.py").unlink()  # the run stands by itself
    spec = load_experiment(str(one / "experiment.yaml"))
    assert f"{spec.identity()}\n" == (one / "identity").read_text()
    again = finished(spec, beside.parent / "two").results
    assert pd.DataFrame(again.to_dicts()).to_csv(index=False) == (one / "results.csv").read_text()
    assert again.scorecard is not None
    assert pd.DataFrame(list(again.scorecard.rows)).to_csv(index=False) == (one / "scorecard.csv").read_text()
    assert "mine,ctr,click,truth,all" in (one / "scorecard.csv").read_text()
    assert run_it(spec, one).reused


def test_another_place_is_the_same_policy_and_another_content_is_not(beside: Path, tmp_path: Path) -> None:
    before = load_experiment(str(beside / "spec.yaml"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "item_rate.py").write_text(EXAMPLE)
    (elsewhere / "spec.yaml").write_text(spec_text())
    assert load_experiment(str(elsewhere / "spec.yaml")).identity() == before.identity()
    out = tmp_path / "run"
    out.mkdir()
    RunFolder(out)._take(before.identity(), force=False)
    (beside / "item_rate.py").write_text(EXAMPLE + "\n# edited\n")
    after = load_experiment(str(beside / "spec.yaml"))
    assert after.identity() != before.identity()
    fits = [plan(spec).policies["mine"].key for spec in (before, after)]
    assert fits[0] != fits[1]
    with pytest.raises(FolderError, match="found another one"):
        run_it(after, out)


def test_a_set_names_a_file_from_where_one_is(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(beside)
    found = load_experiment("ecommerce", [f"experiment.arms.esmm.policy={MINE}"])
    assert found.policy("esmm").spec() == {"type": "item_rate", "prior": 200, "price": 0.5}
    with pytest.raises(SpecError, match="prior"):
        load_experiment("ecommerce", ["experiment.arms.esmm.policy={type: 'item_rate.py:ItemRate', prior: many}"])


def without(source: str, what: str) -> str:
    assert what in source
    return source.replace(what, "")


CLASS = "item_rate.py:ItemRate"
NAME = '    name: ClassVar[str] = "item_rate"\n'
BROKEN = {
    "no file": (None, CLASS, "must name a file beside the spec, found none at"),
    "no class": (EXAMPLE, "item_rate.py:ItemRat", "found no 'ItemRat'; did you mean 'ItemRate'"),
    "no policy": ("class ItemRate:\n    pass\n", CLASS, "must be a subclass of"),
    "no dataclass": (without(EXAMPLE, "@dataclass\n"), CLASS, "put @dataclass above it"),
    "no name": (without(EXAMPLE, NAME), CLASS, "must have a name"),
    "abstract": (EXAMPLE.replace("def score", "def scores"), CLASS, "lacks score; add them"),
    "raises": ("\nraise KeyError('x')\n", CLASS, "item_rate.py:2 raised KeyError: 'x'"),
    "exits": ("raise SystemExit(3)\n", CLASS, "item_rate.py:1 raised SystemExit: 3"),
    "no Python": ("def x(:\n", CLASS, "item_rate.py:1 raised SyntaxError"),
    "odd field": (EXAMPLE.replace("prior: float", "prior: Nowhere"), CLASS, "fields of plain types"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_cannot_be_used_is_one_line_with_place_and_cure(case: str, beside: Path) -> None:
    source, reference, said = BROKEN[case]
    (beside / "item_rate.py").unlink()
    if source is not None:
        (beside / "item_rate.py").write_text(source)
    (beside / "spec.yaml").write_text(spec_text(f'{{type: "{reference}"}}'))
    with pytest.raises(SpecError) as refused:
        load_experiment(str(beside / "spec.yaml"))
    (line,) = refused.value.lines
    assert said in line
    assert re.match(r".*spec\.yaml:\d+:\d+ experiment\.arms\.mine\.policy\.type: must ", line), line


def test_keys_and_outcomes_are_checked_as_those_of_any_policy(beside: Path) -> None:
    (beside / "item_rate.py").write_text(EXAMPLE.replace('frozenset({"click"})', 'frozenset({"click", "bye"})'))
    (beside / "spec.yaml").write_text(spec_text('{type: "item_rate.py:ItemRate", priors: 3}'))
    done = seesaw("validate", "spec.yaml", cwd=beside)
    assert done.returncode == 2
    assert "experiment.arms.mine.policy.priors: unknown key 'priors'; did you mean 'prior'?" in done.stderr
    (beside / "spec.yaml").write_text(spec_text())
    with pytest.raises(SpecError, match="item_rate needs 'bye'; did you mean 'buy'"):
        load_experiment(str(beside / "spec.yaml"))
    (beside / "spec.yaml").write_text(spec_text('"item_rate.py:ItemRate"'))
    (beside / "item_rate.py").write_text(EXAMPLE.replace('return frozenset({"click"})', "return {}['x']"))
    with pytest.raises(SpecError, match=r"must say its spec, outcomes and needs .* got KeyError: 'x'"):
        load_experiment(str(beside / "spec.yaml"))


SCORE = "return (self.rate_[requests.candidates] * price**self.price).astype(np.float32)"
FILE, MUST_RETURN = r"item_rate\.py:ItemRate: ", "score must return finite numbers of shape "
FAULTS = {
    "fit raises": (
        'check_log(log, {"click": 1})',
        "{}['x']",
        r"fit \(item_rate\) failed: item_rate\.py:\d+ in ItemRate\.fit: KeyError: 'x'",
    ),
    "fit returns nothing": (
        "        return self\n\n    def goals",
        "\n    def goals",
        FILE + "fit must return self, got None",
    ),
    "learned objects": ("self.rate_}", "np.array([None])}", FILE + r"learned must hold numbers or text, rate is shape"),
    "score raises": (SCORE, "return 1 / 0", r"item_rate\.py:\d+ in ItemRate\.score: ZeroDivisionError"),
    "wrong shape": (SCORE, SCORE + "[:, :3]", FILE + MUST_RETURN + r"\(\d+, 60\), got shape \(\d+, 3\) of float32"),
    "NaN": (SCORE, SCORE + " * np.float32('nan')", FILE + MUST_RETURN + ".* with NaN or infinity"),
    "goals": (
        '{"ctr": self',
        '{"ctr": np.nan * self',
        r"scorecard \(mine\) .*" + FILE + "goal ctr must be finite",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_policy_is_one_line_that_names_its_file(fault: str, beside: Path, tmp_path: Path) -> None:
    healthy, ill, said = FAULTS[fault]
    assert healthy in EXAMPLE
    (beside / "item_rate.py").write_text(EXAMPLE.replace(healthy, ill))
    spec = load_experiment(str(beside / "spec.yaml"))
    with pytest.raises(TaskError) as failed:
        finished(spec, tmp_path / "run")
    assert re.search(said, str(failed.value)), failed.value
    assert "\n" not in str(failed.value)


def test_a_fault_reads_the_same_from_a_worker(beside: Path, tmp_path: Path) -> None:
    (beside / "item_rate.py").write_text(EXAMPLE.replace(*FAULTS["fit raises"][:2]))
    spec = load_experiment(str(beside / "spec.yaml"))
    folder, tasks = RunFolder(tmp_path / "run"), plan(spec).tasks()
    with folder.claimed(spec.identity(), False):
        keep_sources(references_in(spec.resolved()), folder.path)
        with pytest.raises(TaskError) as failed:
            execute(tasks, folder, 2, lambda event: None)
    assert re.search(FAULTS["fit raises"][2], str(failed.value)), failed.value


def test_it_learns_on_the_way(beside: Path, tmp_path: Path) -> None:
    """Retrained, it serves another order than the one that it began with."""
    (beside / "spec.yaml").write_text(spec_text(more=", retrain: {every_days: 1, on: pooled}"))
    again = finished(load_experiment(str(beside / "spec.yaml")), tmp_path / "again")
    (beside / "spec.yaml").write_text(spec_text())
    once = finished(load_experiment(str(beside / "spec.yaml")), tmp_path / "once")
    assert json.dumps(again.results.to_dicts()) != json.dumps(once.results.to_dicts())


CHEAPEST = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from policies.base import AbstractPolicy


@dataclass
class Cheapest(AbstractPolicy):
    name: ClassVar[str] = "cheapest"
    learns: ClassVar[bool] = False

    def fit(self, log, fitted=None):
        return self

    def score(self, requests):
        return -requests.items.price[requests.candidates].astype(np.float32)

    def learned(self):
        return {}

    def restore(self, learned):
        return self
"""


def test_it_may_need_a_model_of_its_own_file(beside: Path, tmp_path: Path) -> None:
    """The model is a policy of the same file, fitted once and handed over."""
    twice = EXAMPLE.replace(
        "    def outcomes(self)", "    def needs(self):\n        return {'base': Base()}\n\n    def outcomes(self)", 1
    ).replace("        check_log(log", "        assert fitted['base'].rate_.shape\n        check_log(log", 1)
    twice = twice.replace(
        "    prior: float = 100.0", "    learns_besides: ClassVar[bool] = True\n    prior: float = 100.0"
    )
    base = EXAMPLE[EXAMPLE.index("@dataclass") :].replace("ItemRate", "Base").replace('"item_rate"', '"base"')
    (beside / "item_rate.py").write_text(f"{twice}\n\n{base}")
    run = finished(load_experiment(str(beside / "spec.yaml")), tmp_path / "run")
    assert sorted(task.name for task in run.plan.fits.values() if run.notes(task)["rows"]) == ["base", "item_rate"]


def test_one_that_needs_no_log_may_serve_the_warm_up(beside: Path, tmp_path: Path) -> None:
    (beside / "cheapest.py").write_text(CHEAPEST)
    text = spec_text("popular").replace("policy: production, max", "policy: 'cheapest.py:Cheapest', max")
    (beside / "spec.yaml").write_text(text.replace("production: {share", "production: {policy: production, share"))
    served = finished(load_experiment(str(beside / "spec.yaml")), tmp_path / "warm")
    assert served.plan.warmups[0].arguments["policy"]["type"].startswith("policies/cheapest-")
    log = read_log([served.folder.result(served.plan.warmups[0])])
    shown, all_items = log.items.price[log.item], log.items.price
    assert np.median(shown) < 0.8 * np.median(all_items)
