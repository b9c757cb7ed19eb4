from __future__ import annotations

import pytest

from experiments.offpolicy.clickmodel import click_model_test
from experiments.offpolicy.evidence import Evidence
from sim.attention import AbstractAttention, Cascade, DynamicBayesian, PositionBased, TrustBias
from tests.experiments.offpolicy.made import CURVE, made


@pytest.mark.parametrize("attention", [Cascade(4), Cascade(4, 0.1, 0.6), DynamicBayesian(4, 0.9)])
def test_reading_from_the_top_down_is_found_out(attention: AbstractAttention) -> None:
    test = click_model_test(Evidence(made(attention, 6000).slates, ("click",)))
    assert test.fires
    assert test.factor < 0.7
    assert "top down" in test.sentence


@pytest.mark.parametrize("attention", [PositionBased(CURVE), TrustBias(CURVE, (0.1, 0.05, 0.02, 0.01))])
@pytest.mark.parametrize("seed", range(4))
def test_glances_are_not_taken_for_reading(attention: AbstractAttention, seed: int) -> None:
    test = click_model_test(Evidence(made(attention, 6000, seed=seed).slates, ("click",)))
    assert not test.fires
    assert abs(test.factor - 1) < 0.2


def test_people_who_differ_in_how_much_they_click_are_not_taken_for_readers() -> None:
    """What the model does not know of people makes clicks come together: it can hide reading, never feign it."""
    test = click_model_test(Evidence(made(PositionBased(CURVE), 6000, personal=1.0).slates, ("click",)))
    assert test.factor > 1.1
    assert not test.fires


def test_its_statistic_is_a_standard_normal_in_a_world_of_glances() -> None:
    """12 logs: a mean within 5 / sqrt(12) of 0, shifted up at most by what attraction the model does not know."""
    z = [
        click_model_test(Evidence(made(PositionBased(CURVE), 2000, seed=s).slates, ("click",))).statistic
        for s in range(12)
    ]
    assert -1.45 < sum(z) / len(z) < 2.5
