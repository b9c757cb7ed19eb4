"""Parameters by name, and the arms that settings of them make."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from experiments.sections.tune import Parameter
from experiments.tuning.keys import key_of
from experiments.tuning.space import Space

BASE: dict[str, Any] = {
    "policy": {
        "type": "esmm",
        "fusion": {"type": "power_product", "exponents": {"ctr": 1, "cvr": 1, "price": 1}},
        "training": {
            "epochs": 5, "patience": 2, "batch": 2048, "learning_rate": 0.01, "embedding_decay": 0.0001, "embedding": 8,
            "hidden": 64, "hidden2": 32, "validation_share": 0.2, "slot_bias": True,
        },
    },
    "explore": {"temperature": 0.0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("price", "policy.fusion.exponents.price"),
        ("policy.fusion.exponents.cvr", "policy.fusion.exponents.cvr"),
        ("experiment.arms.mine.policy.training.epochs", "policy.training.epochs"),
        ("temperature", "explore.temperature"),
        ("explore.temperature", "explore.temperature"),
    ],
)
def test_a_name_stands_for_one_key(name: str, key: str) -> None:
    assert key_of(name, "mine", BASE) == (key, "")


def test_a_name_that_may_be_two_keys_or_none_is_told() -> None:
    twice = {**BASE, "policy": {**BASE["policy"], "balance": {"ctr": 1}}}
    assert "may be policy.fusion.exponents.ctr or policy.balance.ctr" in key_of("ctr", "mine", twice)[1]
    assert "did you mean 'price'?" in key_of("prise", "mine", BASE)[1]


def space(**parameters: Parameter) -> Space:
    return Space(parameters, {name: f"policy.fusion.exponents.{name}" for name in parameters}, BASE)


def test_distributions_are_those_of_the_ranges() -> None:
    found = space(
        cvr=Parameter(low=0.1, high=2.0, log=True),
        price=Parameter(choices=[0, 0.5, 1]),
        ctr=Parameter(low=1, high=9, step=2, integer=True),
    ).distributions()
    assert found["cvr"] == FloatDistribution(0.1, 2.0, log=True)
    assert found["price"] == CategoricalDistribution([0, 0.5, 1])
    assert found["ctr"] == IntDistribution(1, 9, step=2)


def test_a_setting_makes_an_arm_and_leaves_the_rest() -> None:
    made = space(price=Parameter(low=0.0, high=2.0)).serving({"price": 0.25})
    assert made["policy"]["fusion"]["exponents"] == {"ctr": 1, "cvr": 1, "price": 0.25}
    assert made["policy"]["training"] == {**BASE["policy"]["training"]} | made["policy"]["training"]


def test_the_present_setting_is_known_where_it_lies_within_the_ranges() -> None:
    assert space(price=Parameter(low=0.0, high=2.0)).present() == {"price": 1}
    assert space(price=Parameter(low=0.0, high=0.5)).present() is None
    assert space(price=Parameter(low=0.0, high=2.0, step=0.4)).present() is None
    assert space(price=Parameter(choices=[0, 2])).present() is None


def test_a_conditional_parameter_has_a_say_only_where_its_condition_holds() -> None:
    given = space(
        ctr=Parameter(choices=[0, 1, 2]),
        price=Parameter(low=0.0, high=2.0, when={"ctr": [1, 2]}),
    )
    assert set(given.active({"ctr": 0, "price": 1})) == {"ctr"}
    assert set(given.active({"ctr": 2, "price": 1})) == {"ctr", "price"}
    assert given.present() == {"ctr": 1, "price": 1}
