from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.document import write_yaml
from experiments.spec import LIBRARY, SpecError, load_experiment
from tests.experiments.specs import TINY, experiment

LIBRARY_FILES = sorted(LIBRARY.glob("*.yaml"))


def problems(tmp_path: Path, text: str, *sets: str) -> list[str]:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as refused:
        load_experiment(str(path), sets)
    return [line.replace(f"{path}", "spec.yaml") for line in refused.value.lines]


@pytest.mark.parametrize("path", LIBRARY_FILES, ids=lambda p: p.stem)
def test_every_library_experiment_is_valid_and_opens_with_a_question(path: Path) -> None:
    assert load_experiment(path.stem).name == path.stem
    assert path.read_text().splitlines()[0].endswith("?")


def test_the_new_template_is_valid() -> None:
    from experiments.commands.new import TEMPLATE

    assert load_experiment(str(TEMPLATE)).experiment.control == "today"


def test_the_resolved_spec_runs_again_as_it_is(tmp_path: Path) -> None:
    original = experiment()
    write_yaml(original.resolved(), tmp_path / "resolved.yaml", "all values")
    again = load_experiment(str(tmp_path / "resolved.yaml"))
    assert again.identity() == original.identity()
    assert again.resolved() == original.resolved()


def test_one_seed_sets_all_three(tmp_path: Path) -> None:
    seeds = load_experiment("ecommerce", seed=0).seed
    assert (seeds.world, seeds.luck, seeds.split) == (0, 0, 0)
    assert experiment().seed.luck == 5


def test_set_reaches_a_fusion_exponent_and_a_key_of_the_scenario() -> None:
    changed = load_experiment(
        "ecommerce", ["experiment.arms.esmm.policy.fusion.exponents.price=0.5", "world.scenario.people.habit_days=9"]
    )
    assert changed.resolved()["experiment"]["arms"]["esmm"]["policy"]["fusion"]["exponents"]["price"] == 0.5
    assert changed.world.scenario.people.habit_days == 9


def test_set_opens_the_short_form_of_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(TINY.replace("policy: popular", "policy: bpr"))
    changed = load_experiment(str(path), ["experiment.arms.popular.policy.pairs_per_positive=3"])
    assert changed.policy("popular").spec()["pairs_per_positive"] == 3


def test_a_scenario_beside_the_spec_is_found_and_its_problems_name_its_lines(tmp_path: Path) -> None:
    text = (LIBRARY.parent.parent / "sim" / "scenarios" / "ecommerce.yaml").read_text()
    (tmp_path / "shop.yaml").write_text(text.replace("habit_days: 3.5 ", "habit_days: -1  "))
    lines = problems(tmp_path, TINY.replace("scenario: ecommerce", "scenario: shop.yaml"))
    assert len(lines) == 1
    assert "shop.yaml:" in lines[0]
    assert "world.scenario.people.habit_days: must be > 0, got -1" in lines[0]


CASES = [
    ("users: 700", "user: 700", "spec.yaml:4:30 world.user: unknown key 'user'; did you mean 'users'?"),
    ("users: 700", "users: many", "spec.yaml:4:30 world.users: must be a whole number, got 'many'"),
    ("users: 700", "users: 3", "every market needs at least 2 users, got 3 users in 2 markets"),
    ("markets: 2", "markets: 100", "every market needs at least scenario.browse.candidates = 100 items"),
    ("scenario: ecommerce", "scenario: ecomerce", "did you mean 'ecommerce'?"),
    ("days: 4", "days: 1e-3", "spec.yaml:5:10 warmup.days: must be a whole number, got 0.001"),
    ("policy: production,", "policy: lambdamart,", "warmup.policy: must need no training"),
    ("policy: popular", "policy: populer", "did you mean 'popular'?"),
    ("policy: popular", "policy: {trees: 3}", "must have a type out of"),
    (", policy: popular", "", "spec.yaml:11:5 experiment.arms.popular: must have a policy"),
    ("trees: 5", "trees: 0", "experiment.arms.trees.policy.trees: must be >= 1, got 0"),
    ("trees: 5", "tres: 5", "experiment.arms.trees.policy.tres: unknown key 'tres'; did you mean 'trees'?"),
    ("share: 0.25}", "share: 0.9}", "experiment.arms: shares must sum to at most 1, got 1.4"),
    (
        "control: production",
        "control: prod",
        "spec.yaml:8:3 experiment.control: must name an arm out of production, popular, trees, got 'prod'",
    ),
    ("[gmv_per_user, ctr]", "[gmv]", "metrics.goals.0: must be an observed metric of the scenario, got 'gmv'"),
    ("[gmv_per_user, ctr]", "[satisfaction]", "must be an observed metric of the scenario, got 'satisfaction'"),
    (
        "-5%",
        "5%",
        "metrics.guardrails.visits_per_user: the margin of visits_per_user must be a fall, such as -1%, got '5%'",
    ),
    ("truth: {users: 0.5}", "truth: {users: 2}", "truth.users: must be <= 1, got 2"),
    ("name: tiny", "name: ../../etc", "name: must be letters"),
    ("name: tiny\n", "", "name: must be given"),
    ("seed: 5", "seed: -5", "must be >= 0, got -5"),
    ("seed: 5", "seed: {world: .nan}", "seed.world: must be a whole number"),
    ("trees: {", "nan: {", "an arm's name must be"),
    ("trees: {", '"b\\n": {', "an arm's name must be"),
    ("trees: 5", "trees: .inf", "must be a"),
    ("share: 0.25}", "share: 1e-320}", "must be >= 1e-06"),
    ("users: 700", "users: 1000000000000000000", "must be <= 1e+09"),
    ("trees: 5", '"[key]": 5', "unknown key '[key]'"),
    ("users: 700", "users: ~", "world.users: must be a whole number, got None"),
]


@pytest.mark.parametrize(("good", "bad", "message"), CASES, ids=[bad for _, bad, _ in CASES])
def test_a_problem_is_one_line_with_place_rule_finding_and_cure(
    tmp_path: Path, good: str, bad: str, message: str
) -> None:
    assert good in TINY
    lines = problems(tmp_path, TINY.replace(good, bad, 1))
    assert any(message in line for line in lines), lines
    assert all(line.startswith("spec.yaml:") for line in lines)


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = TINY.replace("users: 700", "users: x").replace("trees: 5", "tres: 5").replace("users: 0.5", "users: 7")
    lines = problems(tmp_path, text)
    assert len(lines) == 3
    numbers = [int(line.split(":")[1]) for line in lines]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("formula", ["__import__('os').system('true')", "ctr.real", "ctr**alfa", "ctr if 1 else 2", ""])
def test_a_formula_that_could_run_code_or_names_an_unknown_is_refused(tmp_path: Path, formula: str) -> None:
    policy = json.dumps({"type": "formula", "formula": formula, "params": {}})
    lines = problems(tmp_path, TINY.replace("policy: popular", f"policy: {policy}"))
    assert len(lines) == 1
    assert "experiment.arms.popular.policy" in lines[0]


def test_several_faults_of_one_section_are_told_together_each_at_its_place(tmp_path: Path) -> None:
    text = TINY.replace("share: 0.25}", "share: 0.9}").replace("policy: popular}", "}").replace("trees: {", "nan: {")
    text = text.replace("{share: 0.25, }", "{share: 0.25}")
    assert [line.split(":")[1] for line in problems(tmp_path, text)] == ["9", "11", "12"]


def test_a_funnel_without_an_action_that_metrics_and_policies_are_about_is_refused(tmp_path: Path) -> None:
    plain = "world.scenario.people.styles={plain: {share: 1}}"
    lines = problems(tmp_path, TINY, plain, "world.scenario.funnel.actions={click: {parent: shown, rate: 0.05}}")
    assert any("lambdamart needs 'buy'" in line for line in lines), lines


def test_a_set_with_blanks_around_its_key_reaches_the_scenario() -> None:
    changed = load_experiment("ecommerce", [" world.scenario.people.habit_days =2"])
    assert changed.world.scenario.people.habit_days == 2


def test_hidden_intent_of_zero_switches_off_what_the_scenario_says() -> None:
    noisy = "world.scenario.browse.hidden_intent=1"
    assert load_experiment("ecommerce", [noisy]).world.effective().browse.hidden_intent == 1
    assert load_experiment("ecommerce", [noisy, "world.hidden_intent=0"]).world.effective().browse.hidden_intent == 0


TOO_LONG = "x" * 5000


@pytest.mark.parametrize("source", [TOO_LONG, f"{TOO_LONG}.yaml", "nul\0byte"])
def test_a_name_that_no_file_can_have_is_refused(source: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_experiment(source)
    assert len(refused.value.lines) == 1
    assert len(refused.value.lines[0]) < 400


@pytest.mark.parametrize(
    "text",
    [
        "users=5",
        "world.users",
        "=5",
        "world.users.deep=5",
        "world.users=[1",
        "metrics.goals.0.x=1",
        "metrics.goals.7=ctr",
        f"world.scenario={TOO_LONG}",
    ],
    ids=lambda text: text[:40],
)
def test_a_set_that_cannot_be_applied_is_refused(text: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_experiment("ecommerce", [text])
    assert len(refused.value.lines) == 1
    assert "--set" in refused.value.lines[0]


def test_quick_keeps_the_design_and_shrinks_the_world() -> None:
    full = load_experiment("ecommerce")
    quick = full.quick()
    assert quick.world.users == full.world.users // 10
    assert list(quick.experiment.arms) == list(full.experiment.arms)
    assert quick.identity() != full.identity()


def test_the_schema_accepts_the_library_and_refuses_a_typo() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from experiments.commands.schema import experiment_schema
    from experiments.document import read_document

    check = jsonschema.Draft202012Validator(experiment_schema())
    for path in LIBRARY_FILES:
        values = read_document(path).values
        assert not list(check.iter_errors(values))
        assert list(check.iter_errors({**values, "wrold": {}}))


def test_tags_that_messages_leave_out_are_those_that_there_are() -> None:
    """pydantic puts the chosen type into the place of a problem; a kind that `problems` does not know would stay."""
    from experiments.problems import _TAGGED
    from policies.table import policy_class

    definitions = policy_class("esmm").json_schema()["properties"]
    for key in ("fusion", "balance"):
        assert set(_TAGGED[key]) == set(definitions[key]["discriminator"]["mapping"])
