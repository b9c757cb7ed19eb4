"""`scenario: {like: NAME, ...}`: a scenario of the library with some of its values changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.spec import SpecError, load_experiment
from sim.attention import Cascade
from sim.market import StockSpec
from tests.experiments.specs import TINY
from tests.worlds import ecommerce

NAMED = "scenario: ecommerce"
LIKE = """scenario:
    like: ecommerce
    catalogue: {items: 800}
    people:
      habit_days: 2.5
    funnel:
      actions:
        buy: {rate: 0.2}
  """
PLAIN = TINY.replace(
    "world: {scenario: ecommerce, users: 700, markets: 2}", "world:\n  scenario: ecommerce\n  users: 700\n  markets: 2"
)


def written(tmp_path: Path, scenario: str = LIKE) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(PLAIN.replace(f"{NAMED}\n  ", scenario))
    return path


def refused(path: Path, *sets: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        load_experiment(str(path), sets)
    return [line.replace(str(path), "spec.yaml") for line in error.value.lines]


def test_what_stands_beside_like_changes_that_alone_however_deep(tmp_path: Path) -> None:
    found, shipped = load_experiment(str(written(tmp_path))).world.scenario, ecommerce()
    assert (found.catalogue.items, found.people.habit_days, found.funnel.actions["buy"].rate) == (800, 2.5, 0.2)
    assert found.catalogue.price_median == shipped.catalogue.price_median
    assert found.people.styles == shipped.people.styles
    assert found.funnel.actions["buy"].delay == shipped.funnel.actions["buy"].delay
    assert found.funnel.actions["cart"] == shipped.funnel.actions["cart"]
    assert list(found.funnel.actions) == list(shipped.funnel.actions)
    assert found.metrics == shipped.metrics


def test_like_without_changes_is_the_scenario_itself(tmp_path: Path) -> None:
    alone = load_experiment(str(written(tmp_path, "scenario: {like: ecommerce}\n  ")))
    named = load_experiment(str(written(tmp_path, "scenario: ecommerce\n  ")))
    assert alone.identity() == named.identity()


def test_a_changed_value_that_is_wrong_is_told_at_its_line_of_the_spec(tmp_path: Path) -> None:
    path = written(tmp_path, LIKE.replace("habit_days: 2.5", "habit_days: -1"))
    line = 1 + path.read_text().splitlines().index("      habit_days: -1")
    (problem,) = refused(path)
    assert problem.startswith(f"spec.yaml:{line}:7 world.scenario.people.habit_days: must be > 0, got -1")


def test_a_change_that_breaks_a_rule_of_several_values_is_told_in_a_line(tmp_path: Path) -> None:
    path = written(tmp_path, LIKE.replace("buy: {rate: 0.2}", "buy: {rate: 0.2, units: [0.5, nothing]}"))
    (problem,) = refused(path)
    assert problem.startswith("spec.yaml:")
    path = written(tmp_path, "scenario: {like: ecommerce, browse: {candidates: 30}}\n  ")
    problems = refused(path)
    assert any("browse.candidates must be at least pages x slots = 50, got 30" in line for line in problems)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("habit_dayz: 2.5", "world.scenario.people.habit_dayz: unknown key 'habit_dayz'; did you mean 'habit_days'?"),
        ("habbit: {deep: 1}", "world.scenario.people.habbit: unknown key 'habbit'"),
    ],
)
def test_an_unknown_key_under_like_is_an_error_at_its_line(tmp_path: Path, bad: str, message: str) -> None:
    """A mapping that the scenario does not have was told at a line of the scenario's file, where it does not stand."""
    path = written(tmp_path, LIKE.replace("habit_days: 2.5", bad))
    line = 1 + path.read_text().splitlines().index(f"      {bad}")
    problems = refused(path)
    assert len(problems) == 1
    assert problems[0].startswith(f"spec.yaml:{line}:")
    assert message in problems[0]


def test_an_empty_mapping_replaces_what_the_scenario_has(tmp_path: Path) -> None:
    bare = "scenario: {like: ecommerce, funnel: {actions: {buy: {lifted_by: {}}}}}\n  "
    assert ecommerce().funnel.actions["buy"].lifted_by == {"cart": 2.0}
    assert load_experiment(str(written(tmp_path, bare))).world.scenario.funnel.actions["buy"].lifted_by == {}
    found = load_experiment(str(written(tmp_path, "scenario: {like: ecommerce, market: {stock: {}}}\n  ")))
    assert found.world.scenario.market.stock == StockSpec()
    assert ecommerce().market.stock != StockSpec()


def test_a_list_is_replaced_as_a_whole(tmp_path: Path) -> None:
    short = "scenario: {like: ecommerce, attention: {examination: [1, 0.5]}}\n  "
    assert load_experiment(str(written(tmp_path, short))).world.scenario.attention.slots == 2


@pytest.mark.parametrize("scenario", ["scenario: ecommerce\n  ", LIKE], ids=["name", "like"])
def test_set_reaches_inside_a_scenario_that_is_named_or_changed(tmp_path: Path, scenario: str) -> None:
    sets = ["world.scenario.people.habit_days=9", "world.scenario.funnel.actions.buy.rate=0.1"]
    found = load_experiment(str(written(tmp_path, scenario)), sets).world.scenario
    assert (found.people.habit_days, found.funnel.actions["buy"].rate) == (9, 0.1)
    assert found.funnel.actions["buy"].delay == ecommerce().funnel.actions["buy"].delay


@pytest.mark.parametrize("scenario", ["scenario: ecommerce\n  ", LIKE], ids=["name", "like"])
def test_a_set_that_is_wrong_inside_a_scenario_is_told_as_the_set(tmp_path: Path, scenario: str) -> None:
    text = "world.scenario.people.habit_days=-1"
    (problem,) = refused(written(tmp_path, scenario), text)
    assert problem.startswith(f"--set {text} world.scenario.people.habit_days: must be > 0, got -1")


def test_set_can_exchange_the_scenario_that_is_like(tmp_path: Path) -> None:
    found = load_experiment(str(written(tmp_path)), ["world.scenario=ecommerce"])
    assert found.world.scenario.catalogue == ecommerce().catalogue


def test_an_unknown_scenario_to_be_like_is_told_with_the_nearest(tmp_path: Path) -> None:
    (problem,) = refused(written(tmp_path, LIKE.replace("like: ecommerce", "like: ecomerce")))
    assert problem.startswith("spec.yaml:")
    assert "world.scenario: must be a scenario or a file beside the spec, got 'ecomerce'; did you mean" in problem


def test_a_like_beside_which_is_no_scenario_of_text_is_refused_in_a_line(tmp_path: Path) -> None:
    problems = refused(written(tmp_path, "scenario: {like: 3, catalogue: {items: 800}}\n  "))
    assert all(line.startswith("spec.yaml:") for line in problems)
    assert any("world.scenario.like: unknown key 'like'" in line for line in problems), problems


def test_a_file_beside_the_spec_can_be_like_another(tmp_path: Path) -> None:
    shop = Path(__file__).parent.parent.parent / "sim" / "scenarios" / "ecommerce.yaml"
    (tmp_path / "shop.yaml").write_text(shop.read_text().replace("habit_days: 3.5 ", "habit_days: 8.5 "))
    found = load_experiment(str(written(tmp_path, "scenario: {like: shop.yaml, catalogue: {items: 900}}\n  ")))
    assert (found.world.scenario.people.habit_days, found.world.scenario.catalogue.items) == (8.5, 900)


def test_a_mapping_with_a_type_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Merged key by key, the shipped curve stayed beside a type that has none, and no other type could be chosen."""
    cascade = "scenario: {like: ecommerce, attention: {type: cascade, length: 10}}\n  "
    found = load_experiment(str(written(tmp_path, cascade))).world.scenario.attention
    assert found == Cascade(length=10)
    (problem,) = refused(written(tmp_path, cascade.replace("length: 10", "length: 0")))
    assert problem.startswith("spec.yaml:5:58 world.scenario.attention.length: must be >= 1, got 0"), problem
