"""Metrics by columns: names, and nothing but names."""

from __future__ import annotations

import pytest

from experiments.tables.formulas import Formula, parse_formula


def test_one_column_is_a_mean_and_two_are_a_ratio() -> None:
    assert parse_formula("value") == Formula("value")
    assert parse_formula(" clicks / impressions ") == Formula("clicks", "impressions")


def test_a_name_may_hold_blanks_signs_and_letters_of_any_language() -> None:
    assert parse_formula("Umsatz (brutto) €/Besuche am Tag-1") == Formula("Umsatz (brutto) €", "Besuche am Tag-1")


@pytest.mark.parametrize("text", ["", "/", "a/", "/b", "a/b/c", " "])
def test_what_is_no_column_or_ratio_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="one column over another"):
        parse_formula(text)


def test_a_column_over_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="always 1"):
        parse_formula("a/a")


def test_code_is_a_name_like_any_other() -> None:
    assert parse_formula("__import__('os').getcwd()").numerator == "__import__('os').getcwd()"
