"""Colours: told apart by colour-blind readers, and dark or pale enough for the text on them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.colors import to_rgb

from experiments import report
from experiments.report.drawing import ALARM, COLOURS, INK, MUTED, darker, paler
from experiments.report.poster import DOUBT, GOOD

OKABE_ITO = {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#000000"}
STYLE = (Path(report.__file__).parent / "style.css.j2").read_text()
LEAST = 4.5  # WCAG 2.1, criterion 1.4.3


def luminance(colour: object) -> float:
    """Relative luminance of sRGB (WCAG 2.1)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: object, other: object) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_as_the_standard_has_it() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777", "#fff") == pytest.approx(4.48, abs=0.01)


def test_arms_have_the_colours_of_okabe_and_ito() -> None:
    assert set(COLOURS) <= OKABE_ITO
    assert len(set(COLOURS)) == len(COLOURS)


@pytest.mark.parametrize("colour", COLOURS)
def test_names_in_an_arms_colour_and_names_upon_it_can_be_read(colour: str) -> None:
    assert contrast(darker(colour), "white") >= LEAST
    assert contrast(INK, paler(colour)) >= LEAST


@pytest.mark.parametrize("colour", [INK, MUTED, ALARM, GOOD, DOUBT])
def test_text_of_figures_can_be_read(colour: str) -> None:
    assert contrast(colour, "white") >= LEAST


def test_text_of_the_page_can_be_read_on_every_wash() -> None:
    named = dict(re.findall(r"--([\w-]+): (#\w+);", STYLE))
    for ink, paper in (("good", "good-wash"), ("doubt", "doubt-wash"), ("bad", "bad-wash"), ("ink", "doubt-wash")):
        assert contrast(named[ink], named[paper]) >= LEAST, (ink, paper)
    for paper in ("paper", "wash"):
        assert contrast(named["muted"], named[paper]) >= LEAST
