from __future__ import annotations

import numpy as np
import pytest

from experiments.tuning.box import CENTRE, Box, Choice, Numeric, Value

AXES: dict[str, Numeric | Choice] = {
    "float": Numeric(-2.0, 3.0),
    "log": Numeric(1e-3, 10.0, log=True),
    "step": Numeric(0.0, 1.0, step=0.25),
    "whole": Numeric(3, 7, step=1, whole=True),
    "log whole": Numeric(1, 64, step=1, log=True, whole=True),
    "choice": Choice(("a", None, 2.5)),
}


@pytest.mark.parametrize("name", AXES)
def test_a_value_comes_back_from_its_point_and_a_snapped_point_from_its_value(name: str) -> None:
    box = Box({name: AXES[name]})
    points = box.snap(np.random.default_rng(0).random((200, box.width)))
    for point in points:
        params = box.decode(point)
        np.testing.assert_allclose(box.encode(params), point, atol=1e-12)
        again = box.decode(box.encode(params))[name]
        assert again == pytest.approx(params[name]) if isinstance(again, float) else again == params[name]
    assert ((points >= 0) & (points <= 1)).all()


@pytest.mark.parametrize(
    ("name", "values"),
    [("step", [0, 0.25, 0.5, 0.75, 1]), ("whole", [3, 4, 5, 6, 7]), ("choice", ["a", None, 2.5])],
)
def test_every_value_gets_the_same_share_of_the_box(name: str, values: list[Value]) -> None:
    box = Box({name: AXES[name]})
    drawn = [box.decode(point)[name] for point in np.random.default_rng(1).random((6000, box.width))]
    for value in values:
        share = sum(v == value for v in drawn) / 6000
        assert abs(share - 1 / len(values)) < 5 * np.sqrt(0.25 / 6000)


def test_the_walls_of_the_box_are_the_limits() -> None:
    box = Box({name: axis for name, axis in AXES.items() if name != "choice"})
    low, high = box.decode(np.zeros(box.width)), box.decode(np.ones(box.width))
    assert list(low.values()) == pytest.approx([-2.0, 1e-3, 0.0, 3, 1])
    assert list(high.values()) == pytest.approx([3.0, 10.0, 1.0, 7, 64])


def test_a_parameter_that_a_setting_lacks_lies_at_the_centre() -> None:
    box = Box(AXES, active=lambda params: [name for name in params if name != "log" or params["choice"] == "a"])
    without = box.encode({"float": 0.5, "step": 0.5, "whole": 5, "log whole": 8, "choice": None})
    assert without[1] == CENTRE
    assert "log" not in box.decode(without)
    snapped = box.snap(np.random.default_rng(2).random((100, box.width)))
    np.testing.assert_array_equal(snapped[:, 1] == CENTRE, snapped[:, 5] == 0)


def test_steps_stay_in_the_box_and_are_of_the_size_asked_for() -> None:
    box = Box({"float": AXES["float"], "log": AXES["log"]})
    start = np.full((4000, 2), 0.5)
    moved = box.moved(start, 0.05, np.random.default_rng(3))
    kept = moved == start
    assert abs(kept.mean() - 0.5) < 5 * np.sqrt(0.25 / 8000)
    assert (moved - start)[~kept].std() == pytest.approx(0.05, rel=5 / np.sqrt(8000))
    wide = box.moved(np.ones((4000, 2)), 0.4, np.random.default_rng(3))
    assert ((wide >= 0) & (wide <= 1)).all()
