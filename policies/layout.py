"""Who shares what: one layout of experts and gates from which separate towers to PLE follow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Layout:
    """Experts of K heads, after customised gate control (Tang et al., RecSys 2020, sec. 4).

    A head mixes its own experts and the shared ones by a softmax gate; where it sees only one expert there is
    nothing to mix and no gate. Separate towers are (1, 0), shared-bottom is (0, 1), MMoE with E experts is (0, E),
    and PLE is (m, s) with one level or more. Experts are numbered head by head, the shared ones last.

    specific: experts of each head alone. shared: experts that every head sees.
    levels: of experts upon experts; above the first, an expert reads the mix of its head, a shared one the mix of all.
    """

    specific: int = 1
    shared: int = 0
    levels: int = 1

    def __post_init__(self) -> None:
        if self.specific + self.shared < 1:
            raise ValueError("a head must see at least one expert, got none; raise specific or shared")

    def experts(self, n_heads: int) -> int:
        """How many experts a level has."""
        return n_heads * self.specific + self.shared

    def seen(self, n_heads: int) -> tuple[tuple[int, ...], ...]:
        """The experts that each head sees."""
        common = tuple(range(n_heads * self.specific, self.experts(n_heads)))
        return tuple(tuple(range(head * self.specific, (head + 1) * self.specific)) + common for head in range(n_heads))

    def mixes(self, n_heads: int, level: int) -> tuple[tuple[int, ...], ...]:
        """The experts behind every mix that a level (from 1) makes: one per head and, if the next level has shared
        experts, one of all experts for these."""
        above = level < self.levels and self.shared > 0
        return self.seen(n_heads) + ((tuple(range(self.experts(n_heads))),) if above else ())

    def reads(self, n_heads: int) -> tuple[int, ...]:
        """Which mix of the level below each expert reads, above the first level."""
        own = tuple(head for head in range(n_heads) for _ in range(self.specific))
        return own + (n_heads,) * self.shared


SEPARATE = Layout()
