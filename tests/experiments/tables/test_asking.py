"""Questions: valid ones are answered, everything wrong is named with its place and its cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.spec import SpecError
from experiments.tables.asking import load_question
from tests.experiments.tables.shop import asked_of

YAML = """
table: shop.csv
unit: user_id
arm: arm
control: A
metrics: {ctr: clicks/impressions, gmv: value}
pre: {gmv: value_before}
goals: [gmv]
guardrails: {ctr: -1%}
planned: {A: 50%, B: 0.5}
segments: [country]
winsor: {gmv: 0.999}
day: date
alpha: 0.1
"""


def lines_of(**keys: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        asked_of(Path("shop.csv"), **keys)
    return caught.value.lines


def test_yaml_asks_what_options_ask(tmp_path: Path) -> None:
    path = tmp_path / "question.yaml"
    path.write_text(YAML)
    typed = asked_of(
        tmp_path / "shop.csv",
        pre={"gmv": "value_before"},
        goals=["gmv"],
        guardrails={"ctr": "-1%"},
        planned={"A": 0.5, "B": 0.5},
        segments=["country"],
        winsor={"gmv": 0.999},
        day="date",
        alpha=0.1,
    )
    assert load_question(str(path), []).question == typed.question


def test_an_option_overrides_the_file(tmp_path: Path) -> None:
    path = tmp_path / "question.yaml"
    path.write_text(YAML)
    asked = load_question(str(path), [(("alpha",), 0.01, "--alpha 0.01"), (("metrics", "gmv"), "clicks", "--metric")])
    assert asked.question.alpha == 0.01
    assert asked.question.metrics == {"ctr": "clicks/impressions", "gmv": "clicks"}


def test_a_problem_in_a_file_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "question.yaml"
    path.write_text(YAML.replace("clicks/impressions", "a/b/c").replace("unit:", "units:"))
    with pytest.raises(SpecError) as caught:
        load_question(str(path), [])
    assert caught.value.lines == [
        f"{path}:3:1 units: unknown key 'units'; did you mean 'unit'? known: table, summary, unit, clusters, arm, "
        "control, arms, metrics, pre, goals, guardrails, planned, segments, winsor, day, alpha, separator, decimal",
        f"{path}:6:11 metrics.ctr: must be a column, or one column over another such as clicks/impressions, got "
        "'a/b/c'",
    ]


def test_what_a_command_line_lacks_is_told_as_options() -> None:
    assert lines_of(arm=None, control=None, metrics=None) == [
        "seesaw analyze: --arm must be given, such as --arm arm",
        "seesaw analyze: --control must be given, such as --control A",
        "seesaw analyze: --metric must be given, such as --metric gmv=value",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"goals": ["gmw"]}, "goals: must name a metric, got 'gmw'; did you mean 'gmv'? known: ctr, gmv"),
        ({"pre": {"x": "y"}}, "pre.x: must name a metric, got 'x'"),
        ({"winsor": {"gmv": 1.0}}, "winsor.gmv: must be < 1, got 1.0"),
        ({"winsor": {"gmv": "x"}}, "winsor.gmv: must be a number, got 'x'"),
        ({"guardrails": {"ctr": 0}}, "a margin must not be 0"),
        ({"guardrails": {"ctr": "-1%", "gmv": "-1%"}}, "must leave a metric to be the goal"),
        ({"goals": ["gmv", "gmv"]}, "a metric must be named once"),
        ({"goals": ["gmv"], "guardrails": {"gmv": -0.1}}, "a metric must be named once"),
        ({"metrics": {"a b": "value"}}, "must be letters, digits and _ . -"),
        ({"metrics": {"gmv": "value/"}}, "must be a column, or one column over another"),
        ({"alpha": 0.7}, "alpha: must be < 0.5, got 0.7; the default is 0.05"),
        ({"planned": {"A": 0.6, "B": 0.6}}, "shares must sum to at most 1, got 1.2"),
        ({"planned": {"B": 0.5, "C": 0.5}}, "control: must be one of the planned arms, got 'A'"),
        ({"planned": {"A": 0.0, "B": 0.5}}, "planned.A: must be > 0, got 0.0"),
        ({"planned": {"A": 1.0}}, "planned: must hold at least two arms, each once, got A"),
        ({"arms": ["A", "B", "B"]}, "arms: must hold at least two arms, each once"),
        ({"arms": ["A", "B"], "planned": {"A": 0.5, "C": 0.5}}, "must have a share for each of A, B, got A, C"),
        ({"segments": ["arm"]}, "must be different columns, got 'arm' twice"),
        ({"summary": True}, "unit: must not be given with a summary"),
        ({"separator": "::"}, "separator"),
        ({"decimal": "x"}, "decimal"),
        ({"control": 1}, "control: must be text, got 1"),
    ],
    ids=str,
)
def test_everything_wrong_is_named_with_what_was_found(keys: dict[str, Any], message: str) -> None:
    lines = lines_of(**keys)
    assert any(message in line for line in lines), lines
    assert len(lines) == 1, lines


def test_columns_that_the_table_lacks_are_named_with_the_nearest() -> None:
    asked = asked_of(Path("shop.csv"), pre={"gmv": "value_befor"}, segments=["land"])
    with pytest.raises(SpecError) as caught:
        asked.check_columns(["user_id", "arm", "clicks", "impressions", "value", "value", "value_before"])
    there = "there are user_id, arm, clicks, impressions, value, value, value_before"
    assert sorted(caught.value.lines) == [
        "--metrics metrics.gmv: must be one column of the table, found several called 'value'; rename the others",
        f"--pre pre.gmv: must be a column of the table, got 'value_befor'; did you mean 'value_before'? {there}",
        f"--segments segments: must be a column of the table, got 'land'; {there}",
    ]


def test_the_first_metric_that_is_no_guardrail_is_the_goal_where_none_is_declared() -> None:
    assert asked_of(Path("t.csv")).question.declared_goals() == ("ctr",)
    assert asked_of(Path("t.csv"), guardrails={"ctr": -0.01}).question.declared_goals() == ("gmv",)
