"""What every attention model must do, whoever wrote it.

A stranger's model is run through all of it with one line: `check_attention(MyAttention(...))`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.attention import AbstractAttention, AbstractGlance, AbstractReading
from sim.records import Bools, Floats
from tests.asserts import (
    assert_between_zero_and_one,
    assert_never_lower,
    assert_proportion,
    assert_somewhere_higher,
)

N = 40_000  # pages drawn of each kind


def check_attention(model: AbstractAttention) -> None:
    """The whole contract of `sim.attention`."""
    for check in CHECKS:
        check(model)


def pages(model: AbstractAttention, n: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Random attraction and satisfaction of n pages, shape (n, S)."""
    rng = np.random.default_rng(seed)
    shape = n, model.slots
    return rng.beta(0.7, 2, shape), rng.random(shape)


def drawn(
    model: AbstractAttention, attraction: Floats, satisfaction: Floats, n: int, seed: int = 0
) -> tuple[Bools, Bools, Bools]:
    """One page shown n times: what is examined (n, S), what is clicked (n, S), and who reads on (n,)."""
    rng = np.random.default_rng(seed)
    shape = n, model.slots
    click_luck, luck = rng.random(shape), rng.random(shape)
    if isinstance(model, AbstractReading):
        return model.draw(np.broadcast_to(attraction, shape), np.broadcast_to(satisfaction, shape), click_luck, luck)
    assert isinstance(model, AbstractGlance)
    examined = model.draw(luck)
    clicked = examined & (click_luck < model.clicked_if_examined(attraction, np.arange(model.slots)))
    return examined, clicked, np.ones(n, dtype=bool)


def every_chance_is_a_probability(model: AbstractAttention) -> None:
    attraction, satisfaction = pages(model, 200)
    for chance in (model.examination_probability, model.click_probability, model.onward_probability):
        assert_between_zero_and_one(chance(attraction, satisfaction))
    assert_between_zero_and_one(model.clicked_if_examined(attraction, np.arange(model.slots)))


def a_click_needs_a_look(model: AbstractAttention) -> None:
    attraction, satisfaction = pages(model, 200)
    click = model.click_probability(attraction, satisfaction)
    assert_never_lower(model.examination_probability(attraction, satisfaction), click)
    examined, clicked, _ = drawn(model, attraction[0], satisfaction[0], 1000)
    assert not (clicked & ~examined).any()


def draws_agree_with_the_closed_form(model: AbstractAttention) -> None:
    """Examination and clicks by slot, and reading on below the page, of three random pages."""
    attraction, satisfaction = pages(model, 3, seed=1)
    for row in range(3):
        page = attraction[[row]], satisfaction[[row]]
        examined, clicked, onward = drawn(model, *page, N, seed=row)
        look, click = model.examination_probability(*page)[0], model.click_probability(*page)[0]
        for slot in range(model.slots):
            assert_proportion(examined[:, slot], float(look[slot]))
            assert_proportion(clicked[:, slot], float(click[slot]))
        assert_proportion(onward, float(model.onward_probability(*page)[0]))


def a_better_item_in_a_slot_never_lowers_its_click(model: AbstractAttention) -> None:
    attraction, satisfaction = pages(model, 50)
    before = model.click_probability(attraction, satisfaction)
    for slot in range(model.slots):
        better = attraction.copy()
        better[:, slot] += 0.5 * (1 - better[:, slot])
        after = model.click_probability(better, satisfaction)
        assert_never_lower(after[:, slot], before[:, slot])
        if (model.examination_probability(attraction, satisfaction)[:, slot] > 0).any():
            assert_somewhere_higher(after[:, slot], before[:, slot])


def what_stands_below_changes_nothing_above(model: AbstractAttention) -> None:
    attraction, satisfaction = pages(model, 50)
    before = model.click_probability(attraction, satisfaction)
    for slot in range(1, model.slots):
        other, content = attraction.copy(), satisfaction.copy()
        other[:, slot], content[:, slot] = 1 - other[:, slot], 1 - content[:, slot]
        assert np.array_equal(model.click_probability(other, content)[:, :slot], before[:, :slot])


def what_is_certain_to_attract_is_clicked_when_it_is_examined(model: AbstractAttention) -> None:
    ones, halves = np.ones((1, model.slots)), np.full((1, model.slots), 0.5)
    examined, clicked, _ = drawn(model, ones, halves, 1000)
    assert np.array_equal(examined, clicked)
    np.testing.assert_array_equal(model.click_probability(ones, halves), model.examination_probability(ones, halves))


def a_page_is_judged_alike_in_any_company(model: AbstractAttention) -> None:
    attraction, satisfaction = pages(model, 20)
    whole = model.click_probability(attraction, satisfaction)
    for row in (0, 19):
        assert np.array_equal(model.click_probability(attraction[[row]], satisfaction[[row]])[0], whole[row])


def no_pages_are_no_chances(model: AbstractAttention) -> None:
    nothing = np.zeros((0, model.slots))
    assert model.click_probability(nothing, nothing).shape == (0, model.slots)
    assert model.onward_probability(nothing, nothing).shape == (0,)


CHECKS: tuple[Callable[[AbstractAttention], None], ...] = (
    every_chance_is_a_probability,
    a_click_needs_a_look,
    draws_agree_with_the_closed_form,
    a_better_item_in_a_slot_never_lowers_its_click,
    what_stands_below_changes_nothing_above,
    what_is_certain_to_attract_is_clicked_when_it_is_examined,
    a_page_is_judged_alike_in_any_company,
    no_pages_are_no_chances,
)
