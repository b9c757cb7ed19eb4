from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from experiments.commands.evaluate import command
from experiments.offpolicy import single
from experiments.offpolicy.foreign import ForeignLog, parsed_map
from experiments.offpolicy.reading import Evaluation, evaluate

OBD = "reward=click,propensity=propensity_score,slot=position,action=item_id"


def written(path: Path, **columns: object) -> Path:
    names = list(columns)
    rows = zip(*columns.values(), strict=True)  # type: ignore[arg-type]
    path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def by_name(found: Evaluation) -> dict[str, single.Answer]:
    return {row.answer.estimator: row.answer for row in found.rows}


def bandit(n: int = 20_000, seed: int = 0) -> tuple[dict[str, object], float]:
    """Items drawn unevenly, clicked by their own rates; and what drawing them evenly earns."""
    rng = np.random.default_rng(seed)
    chance, rate = np.array([0.6, 0.25, 0.1, 0.05]), np.array([0.05, 0.1, 0.2, 0.4])
    item = rng.choice(4, size=n, p=chance)
    click = (rng.random(n) < rate[item]).astype(int)
    return {"item": item, "click": click, "p": chance[item], "place": rng.integers(2, size=n)}, float(rate.mean())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def test_open_bandit_men_uniform_from_the_log_of_thompson_sampling(real_data: Callable[[str], Path]) -> None:
    """Known values of the small Open Bandit data (Saito et al. 2021), recomputed here by plain sums."""
    path = real_data("obd/bts/men/men.csv")
    found = evaluate(path, OBD, "uniform", None, real_data("obd/random/men/men.csv"))
    rows, answers = found.rows[0].overlap, by_name(found)
    assert round(rows.mean, 3) == 0.943
    assert round(rows.ess, 1) == 655.7
    assert round(answers["ips"].value, 8) == 0.00300863
    assert round(answers["snips"].value, 8) == 0.00318942
    import pandas as pd

    frame = pd.read_csv(path)
    w = 1 / frame.item_id.nunique() / frame.propensity_score
    assert answers["ips"].value == pytest.approx((w * frame.click).mean(), rel=1e-12)
    assert answers["snips"].value == pytest.approx((w * frame.click).sum() / w.sum(), rel=1e-12)
    assert found.beside is not None
    assert found.beside.value == pytest.approx(0.0046)  # what the random log really got
    # The two logs are independent: their difference is within 5 standard errors.
    for name in ("ips", "snips", "dr"):
        gap = answers[name].value - found.beside.value
        assert abs(gap) < 5 * np.hypot(answers[name].se, found.beside.se)


@pytest.mark.parametrize("name", ["ips", "snips", "dm", "dr"])
def test_estimates_are_right_and_their_intervals_cover(tmp_path: Path, name: str) -> None:
    """40 logs: 95 % of intervals hold the truth, 3 binomial standard errors off at most; dm's leave out its bias."""
    inside, values, ses = 0, [], []
    for seed in range(40):
        columns, truth = bandit(2000, seed)
        path = written(tmp_path / f"{seed}.csv", **columns)
        answer = by_name(evaluate(path, "reward=click,propensity=p,slot=place,action=item", "uniform", name, None))[
            name
        ]
        inside += answer.low <= truth <= answer.high
        values.append(answer.value)
        ses.append(answer.se)
    if name != "dm":
        assert inside >= 40 * 0.95 - 3 * np.sqrt(40 * 0.95 * 0.05)
        assert np.std(values) == pytest.approx(np.mean(ses), rel=5 / np.sqrt(80))
    assert abs(np.mean(values) - truth) < 5 * np.std(values) / np.sqrt(40) + (0.02 if name == "dm" else 0)


def log_of(columns: dict[str, np.ndarray]) -> ForeignLog:
    n = len(columns["click"])
    numbers = {"reward": columns["click"].astype(float), "propensity": columns["p"].astype(float)}
    labels = {"action": columns["item"], "slot": columns["place"]}
    assert n
    return ForeignLog(Path("log"), numbers, labels, {"action": 4, "slot": 2}, None)


def test_limits() -> None:
    """Weights of 0 leave the direct method; of 1, the log; a constant reward is itself."""
    columns, _ = bandit(500)
    log = log_of(columns)  # type: ignore[arg-type]
    nothing, same = np.zeros(500), np.ones(500)
    assert single.dr(log, nothing).value == pytest.approx(single.dm(log, nothing).value)
    for way in (single.ips, single.snips):
        assert way(log, same).value == pytest.approx(single.on_policy(log).value)
    log.numbers["reward"][:] = 3.0  # type: ignore[index]
    for way in (single.snips, single.dm, single.dr):
        assert way(log, single.weights(log, single.uniform_target(log))).value == pytest.approx(3.0)


def test_a_column_may_say_what_the_target_does(tmp_path: Path) -> None:
    columns, truth = bandit()
    path = written(tmp_path / "log.csv", **columns, q=np.full(20_000, 0.25))
    by_column = evaluate(path, "reward=click,propensity=p,target_propensity=q", None, None, None)
    uniform = evaluate(path, "reward=click,marginal=p,action=item", None, None, None)
    for name in ("ips", "snips"):
        assert by_name(by_column)[name] == by_name(uniform)[name]
        assert by_name(by_column)[name].value == pytest.approx(truth, rel=0.1)


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    columns, _ = bandit(1000)
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    told = "reward=click,propensity=p,slot=place,action=item"
    one = evaluate(tmp_path / "log.parquet", told, "uniform", None, None)
    two = evaluate(written(tmp_path / "log.csv", **columns), told, "uniform", None, None)
    assert one.rows == two.rows


def test_rows_of_a_user_widen_the_interval(tmp_path: Path) -> None:
    columns, _ = bandit(2000)
    thrice = {name: np.repeat(column, 3) for name, column in columns.items()}  # type: ignore[call-overload]
    path = written(tmp_path / "log.csv", **thrice, user=np.repeat(np.arange(2000), 3))
    told = "reward=click,propensity=p,action=item"
    plain, clustered = (by_name(evaluate(path, t, None, "ips", None))["ips"].se for t in (told, told + ",user=user"))
    assert clustered == pytest.approx(np.sqrt(3) * plain, rel=0.01)


def test_the_command_prints_a_table_and_json(tmp_path: Path) -> None:
    columns, _ = bandit(2000)
    path = str(written(tmp_path / "log.csv", **columns))
    told = ["--log", path, "--map", "reward=click,propensity=p,action=item", "--policy", "uniform"]
    shown = run(*told)
    assert shown.exit_code == 0, shown.output
    assert "snips" in shown.output
    found = json.loads(run(*told, "--json").output)
    assert [row["estimator"] for row in found["estimates"]] == ["ips", "snips", "dm", "dr"]
    assert found["estimates"][0]["weights"]["n"] == 2000


def test_too_little_is_refused_in_the_answer(tmp_path: Path) -> None:
    columns, _ = bandit(150)
    path = str(written(tmp_path / "log.csv", **columns))
    told = ["--log", path, "--map", "reward=click,propensity=p,action=item"]
    assert "effective sample size must be at least 200" in run(*told).output
    estimates = json.loads(run(*told, "--json").output)["estimates"]
    assert estimates[0]["value"] is None
    assert estimates[0]["refused"].startswith("cannot tell")


GOOD = {"click": [0, 1, 0], "p": [0.5, 0.5, 0.25], "item": ["a", "b", "a"]}
TOLD = "reward=click,propensity=p,action=item"


@pytest.mark.parametrize(
    ("changed", "mapping", "says"),
    [
        ({}, "reward=click,action=item", "must name propensity=COLUMN"),
        ({}, "propensity=p", "must name reward=COLUMN"),
        ({}, "reward=click,propensty=p", "did you mean 'propensity'?"),
        ({}, "reward=click,propensity", "must be key=column"),
        ({}, "reward=click,reward=p,propensity=p", "must be given once"),
        ({}, "reward=clicks,propensity=p,action=item", "did you mean 'click'?"),
        ({}, "reward=click,propensity=p", "must name action=COLUMN"),
        (
            {"p": [0.5, 0, 0.5]},
            TOLD,
            "'p' must be a probability above 0 and at most 1 for propensity, found 0 in row 2",
        ),
        ({"p": [0.5, 0.5, 50]}, TOLD, "found 50 in row 3"),
        ({"p": [0.5, "high", 0.5]}, TOLD, "'p' must hold numbers for propensity, found 'high' in row 2"),
        ({"p": [0.5, "", 0.5]}, TOLD, "found '' in row 2"),
        ({"click": ["nan", 0, 0]}, TOLD, "must hold finite numbers for reward"),
        ({}, "reward=click,marginals=p_,slot=item", "must have columns p_0"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_cure(
    tmp_path: Path, changed: dict[str, object], mapping: str, says: str
) -> None:
    path = written(tmp_path / "log.csv", **{**GOOD, **changed})
    result = run("--log", str(path), "--map", mapping)
    assert result.exit_code == 2
    assert says in result.output
    assert result.output.count("\n") == 1


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "log.csv", **GOOD, q=[0.1, 0.2, 0.3])
    told = TOLD + ",target_propensity=q"
    assert (
        "needs the policy's chance of every item" in run("--log", str(path), "--map", told, "--estimator", "dr").output
    )
    wrong = run("--log", str(path), "--map", TOLD, "--estimator", "snipps")
    assert wrong.exit_code == 2
    assert "did you mean 'snips'?" in wrong.output
    assert run("--log", str(tmp_path / "none.csv"), "--map", TOLD).exit_code == 2


def test_a_map_is_read_with_spaces() -> None:
    assert parsed_map("reward = click , propensity=p,") == {"reward": "click", "propensity": "p"}
