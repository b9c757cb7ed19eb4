"""Definitions of metrics by columns: a column, or one column over another. Names only: nothing is evaluated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Formula:
    """A mean per unit of `numerator`, or with a denominator the ratio of both sums."""

    numerator: str
    denominator: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)


def parse_formula(text: str) -> Formula:
    """`clicks/impressions` or `value`. A column's name may hold anything but a slash.

    Raises:
        ValueError: more than one slash, or nothing on one side of it.
    """
    names = [name.strip() for name in text.split("/")]
    if len(names) > 2 or not all(names):
        raise ValueError(f"must be a column, or one column over another such as clicks/impressions, got {text!r}")
    if len(names) == 2 and names[0] == names[1]:
        raise ValueError(f"must be one column over another, got {text!r}, which is always 1")
    return Formula(*names)
