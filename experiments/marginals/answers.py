"""The second side of a market: how many applications recruiters answer when they share their attention."""

from __future__ import annotations

from experiments.marginals.simulated import Simulated, ratio


def answer_rate(of: Simulated) -> float | None:
    """Answers per application, in a shared market; answers under way count, applications still unread do not."""
    if of.market is None or of.market.state.shared is None:
        return None
    answer = decided(of)
    if answer is None:
        return None
    columns, totals = of.market.totals.columns, of.market.totals.totals
    under_way = of.market.state.orders.action == of.scenario.funnel.late.index(answer)
    answers = totals[:, columns.index(answer)].sum() + under_way.sum()
    applied = totals[:, columns.index(of.scenario.funnel.actions[answer].parent)].sum()
    return ratio(float(answers), float(applied - len(of.market.state.shared.waiting)))


def answers_lost_to_load(of: Simulated) -> float | None:
    """Share of a quiet market's answers that a shared market does not give, both per application.

    Both have the same luck, so that little chance is left in their ratio.
    """
    shared, answer = answer_rate(of), decided(of)
    if shared is None or answer is None:
        return None
    funnel = of.scenario.funnel
    answers, applied = of.sample.late[funnel.late.index(answer)], of.total(funnel.actions[answer].parent).sum()
    return 1 - ratio(shared, ratio(float(answers), float(applied)))


def decided(of: Simulated) -> str | None:
    """The action that recruiters decide."""
    return next((name for name, action in of.scenario.funnel.actions.items() if action.decided_by), None)
