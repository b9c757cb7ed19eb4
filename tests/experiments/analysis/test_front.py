from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from experiments.analysis.dominance import dominators
from experiments.analysis.draws import joint_draws
from experiments.analysis.front import dominated, front_shares
from tests.experiments.analysis.given_lifts import correlated, given_lifts, shared_control


@pytest.mark.parametrize("n_goals", [1, 2, 3])
def test_dominated_are_those_whom_the_definition_names(n_goals: int) -> None:
    """Whole numbers, so that ties on single goals and equal arms occur."""
    values = np.random.default_rng(1).integers(0, 4, (6, n_goals, 300)).astype(float)
    found = dominated(values)
    for draw in range(300):
        by_definition = dominators({str(a): values[a, :, draw].tolist() for a in range(6)})
        assert [bool(by_definition[str(a)]) for a in range(6)] == found[:, draw].tolist()


def test_arms_that_differ_by_rounding_alone_do_not_dominate_each_other() -> None:
    values = np.array([[[0.1 + 0.2], [0.3]], [[0.3], [0.1 + 0.2]], [[0.3], [0.3]]])
    assert not dominated(values).any()


def test_one_challenger_with_unrelated_goals_beats_the_control_by_the_product() -> None:
    given = given_lifts([[0.01, 0.02]], np.diag([0.01**2, 0.04**2]))
    control, arm = front_shares(joint_draws(given))
    both, neither = norm.cdf(1) * norm.cdf(0.5), norm.sf(1) * norm.sf(0.5)
    assert control == pytest.approx(1 - both, abs=0.01)
    assert arm == pytest.approx(1 - neither, abs=0.01)


def test_with_goals_in_step_exactly_one_arm_is_on_the_front() -> None:
    given = given_lifts([[0.01, 0.02], [0.02, 0.04], [0.0, 0.0]], shared_control(3, correlated(1.0, (0.01, 0.02))))
    assert front_shares(joint_draws(given)).sum() == pytest.approx(1, abs=1e-12)
