from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.tuning.aim import Aim, Bound, Observed
from experiments.tuning.box import Params
from experiments.tuning.thompson import ThompsonSampler, choose, favourite, leading, stored

Floats = NDArray[np.float64]
FEW = 128  # candidates; enough in two dimensions
AIM = Aim((0, 1), (0.0, 0.0), (Bound(2, 1, -0.5),))
FLOATS: dict[str, BaseDistribution] = {"a": FloatDistribution(0.0, 1.0), "b": FloatDistribution(0.0, 1.0)}
MIXED: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-3, 1e2, log=True),
    "share": FloatDistribution(-1.0, 1.0, step=0.25),
    "depth": IntDistribution(2, 9),
    "width": IntDistribution(1, 1000, log=True),
    "tens": IntDistribution(0, 90, step=10),
    "kind": CategoricalDistribution(["sum", "product", None]),
    "only": FloatDistribution(3.0, 3.0),
}


def metrics(params: Mapping[str, float]) -> Floats:
    a, b = params["a"], params["b"]
    return np.array([a - 0.2, 0.9 - a**2 + 0.2 * b, 0.6 - abs(b - 0.4) * 3])


def tell(study: Study, trial: Trial) -> None:
    """Errors of .05 by the trial's number alone."""
    luck = np.random.default_rng((5, trial.number)).standard_normal(3)
    values = metrics(trial.params) + 0.05 * luck
    trial.set_user_attr("values", values.tolist())
    trial.set_user_attr("se", [0.05] * 3)
    study.tell(trial, values[:2].tolist())


def searched(
    n: int, *, batch: int = 1, seed: int = 3, study: Study | None = None, last_first: bool = False, n_start: int = 6
) -> list[dict[str, float]]:
    """Parameters of all trials; each is asked of a sampler of its own, as other processes would."""
    study = study or optuna.create_study(directions=["maximize"] * 2)
    while len(study.trials) < n:
        asked = []
        for _ in range(batch):
            study.sampler = ThompsonSampler(AIM, FLOATS, seed=seed, batch=batch, n_start=n_start, n_candidates=FEW)
            asked.append(study.ask(FLOATS))
        for trial in reversed(asked) if last_first else asked:
            tell(study, trial)
    return [trial.params for trial in study.trials]


def test_it_finds_the_feasible_front() -> None:
    """The true front has b = .4 or a little above, and every a from .2 to .97: of 24 trials after the start, most lie
    there, where chance would put a tenth."""
    params = searched(30)[6:]
    truth = np.array([metrics(p) for p in params])
    good = (truth[:, 2] >= -0.5) & (truth[:, :2] > 0).all(axis=1)
    assert good.mean() > 0.6
    assert np.ptp([p["a"] for p, is_good in zip(params, good, strict=True) if is_good]) > 0.4


def test_a_proposal_does_not_depend_on_who_asks_or_who_finishes_first() -> None:
    assert searched(16, batch=4) == searched(16, batch=4, last_first=True)


def test_another_seed_searches_elsewhere() -> None:
    assert searched(7)[-1] != searched(7, seed=4)[-1]


def test_a_proposal_ignores_what_trials_of_its_own_batch_observed() -> None:
    """The second batch's trials are told or not before the next is asked: only their parameters may count."""
    told, waiting = (optuna.create_study(directions=["maximize"] * 2) for _ in range(2))
    for study in (told, waiting):
        searched(8, batch=4, study=study)
    for study in (told, waiting):
        study.sampler = ThompsonSampler(AIM, FLOATS, seed=3, batch=4, n_start=6, n_candidates=FEW)
    for _ in range(4):
        tell(told, told.ask(FLOATS))
        waiting.ask(FLOATS)
    assert [trial.params for trial in told.trials] == [trial.params for trial in waiting.trials]


def test_the_size_of_the_batch_decides_what_is_known() -> None:
    one, four = searched(12), searched(12, batch=4)
    assert one[:6] == four[:6]  # the start
    assert one[8:] != four[8:]


def test_a_failed_trial_is_no_observation_but_its_place_in_the_batch_counts() -> None:
    study = optuna.create_study(directions=["maximize"] * 2)
    searched(8, batch=4, study=study)
    study.sampler = ThompsonSampler(AIM, FLOATS, seed=3, batch=4, n_start=6, n_candidates=FEW)
    for number in range(8, 12):
        trial = study.ask(FLOATS)
        if number == 9:
            study.tell(trial, state=TrialState.FAIL)
        else:
            tell(study, trial)
    assert [trial.params for trial in study.trials] == searched(12, batch=4)
    later = searched(16, batch=4, study=study)
    assert len({tuple(p.values()) for p in later}) == 16


def test_without_any_observation_the_even_spread_goes_on() -> None:
    study = optuna.create_study(directions=["maximize"] * 2, sampler=ThompsonSampler(AIM, FLOATS, seed=1, n_start=2))
    for _ in range(5):
        study.tell(study.ask(FLOATS), state=TrialState.FAIL)
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 5


def test_a_study_goes_on_after_a_restart_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    def storage() -> JournalStorage:
        return JournalStorage(JournalFileBackend(str(tmp_path / "journal")))

    first = optuna.create_study(study_name="s", storage=storage(), directions=["maximize"] * 2)
    searched(8, batch=2, study=first)
    again = optuna.load_study(study_name="s", storage=storage())
    assert searched(12, batch=2, study=again) == searched(12, batch=2)


def test_the_start_is_spread_evenly() -> None:
    """Of the first 16 points of a scrambled Sobol sequence in two dimensions, each of 4 x 4 cells has one."""
    params = searched(16, n_start=16)
    cells = {(int(p["a"] * 4), int(p["b"] * 4)) for p in params}
    assert len(cells) == 16


def mixed(sampler: ThompsonSampler, n: int, suggest: Mapping[str, BaseDistribution]) -> list[dict[str, object]]:
    study = optuna.create_study(directions=["maximize"] * 2, sampler=sampler)
    for _ in range(n):
        trial = study.ask(dict(suggest))
        depth, rate = trial.params["depth"], trial.params["rate"]
        values = [0.1 * depth + (trial.params["kind"] == "product"), 1 - np.log10(rate) ** 2, 0.0]
        trial.set_user_attr("values", values)
        trial.set_user_attr("se", [0.0, 0.01, 0.01])
        study.tell(trial, values[:2])
    return [trial.params for trial in study.trials]


def test_every_kind_of_parameter_takes_the_values_it_may() -> None:
    """Optuna itself refuses a value outside a distribution or between steps; the best values are found."""
    params = mixed(ThompsonSampler(AIM, MIXED, seed=0, n_start=10, n_candidates=256), 30, MIXED)
    assert {p["only"] for p in params} == {3.0}
    assert {type(p["depth"]) for p in params} == {int}
    late = params[10:]
    near = [
        p for p in late if p["kind"] == "product" and p["depth"] == 9 and abs(np.log10(float(str(p["rate"])))) < 0.3
    ]
    assert len(near) >= 3  # of 20 by chance: .1
    assert np.mean([abs(np.log10(float(str(p["rate"])))) < 1 for p in late]) > 0.6


def test_no_setting_is_proposed_twice_while_others_are_left() -> None:
    space: dict[str, BaseDistribution] = {"a": IntDistribution(0, 3), "b": CategoricalDistribution([0.0, 1.0])}
    study = optuna.create_study(directions=["maximize"] * 2, sampler=ThompsonSampler(AIM, space, seed=0, n_start=2))
    for _ in range(10):
        trial = study.ask(space)
        trial.set_user_attr("values", [trial.params["a"], -trial.params["a"], 0.0])
        trial.set_user_attr("se", [0.1] * 3)
        study.tell(trial, [0.0, 0.0])
    assert len({tuple(trial.params.values()) for trial in study.trials[:8]}) >= 7  # two of the start may be equal


def active(params: Params) -> Collection[str]:
    return [name for name in params if name != "width" or params["kind"] == "sum"]


def test_a_conditional_parameter_is_proposed_only_where_it_is_active() -> None:
    study = optuna.create_study(
        directions=["maximize"] * 2,
        sampler=ThompsonSampler(AIM, MIXED, seed=0, n_start=6, n_candidates=FEW, active=active),
    )
    for _ in range(15):
        trial = study.ask()
        kind = trial.suggest_categorical("kind", ["sum", "product", None])
        width = trial.suggest_int("width", 1, 1000, log=True) if kind == "sum" else 30
        trial.set_user_attr("values", [width / 1000, 1 - width / 2000, 0.0])
        trial.set_user_attr("se", [0.01] * 3)
        study.tell(trial, [0.0, 0.0])
    assert {"width" in trial.params for trial in study.trials} == {True, False}


def test_a_parameter_outside_the_space_is_drawn_evenly_and_by_its_name() -> None:
    def asked(number: int) -> Trial:
        study = optuna.create_study(directions=["maximize"] * 2, sampler=ThompsonSampler(AIM, FLOATS, seed=0))
        return [study.ask() for _ in range(number + 1)][number]

    drawn = [asked(number).suggest_float("other", -1, 1) for number in range(40)]
    assert drawn[7] == asked(7).suggest_float("other", -1, 1)
    assert drawn[7] != asked(7).suggest_float("another", -1, 1)
    assert abs(np.mean(drawn)) < 5 * np.sqrt(1 / 3 / 40)


@pytest.mark.parametrize("n_goals", [1, 2, 3])
def test_any_number_of_goals(n_goals: int) -> None:
    aim = Aim(tuple(range(n_goals)), (0.0,) * n_goals)
    study = optuna.create_study(
        directions=["maximize"] * n_goals, sampler=ThompsonSampler(aim, FLOATS, seed=0, n_start=4)
    )
    for _ in range(10):
        trial = study.ask(FLOATS)
        tell(study, trial) if n_goals == 2 else _told_alone(study, trial, n_goals)
    assert len(study.trials) == 10


def _told_alone(study: Study, trial: Trial, n_goals: int) -> None:
    values = metrics(trial.params)[:n_goals].tolist()
    trial.set_user_attr("values", values)
    trial.set_user_attr("se", [0.01] * n_goals)
    study.tell(trial, values)


def test_correlated_errors_are_handed_through() -> None:
    """Common luck of 10 beside errors of .01: without the covariance nothing could be told from it."""
    n_seen = []

    def observe(trials: Sequence[FrozenTrial]) -> Observed:
        n_seen.append(len(trials))
        values = np.array([metrics(trial.params) for trial in trials]) + 10.0
        n = len(trials)
        return Observed(values, np.array([100.0 + 1e-4 * np.eye(n)] * 3))

    aim = Aim((0,), (10.0,), (Bound(2, 1, 10.0),))
    sampler = ThompsonSampler(aim, FLOATS, seed=0, n_start=6, observe=observe)
    study = optuna.create_study(sampler=sampler)
    for _ in range(20):
        study.tell(study.ask(FLOATS), 0.0)
    assert n_seen == list(range(6, 20))
    assert np.mean([trial.params["a"] > 0.9 for trial in study.trials[10:]]) > 0.6


def test_the_choice_is_the_feasible_candidate_that_adds_most() -> None:
    known = [[1.0, 2.0, 0.0], [9.0, 9.0, -1.0]]  # the second breaks the bound and is no front
    candidates = [[0.5, 1.5, 0.0], [2.0, 1.0, 0.0], [2.0, 1.5, 0.0], [8.0, 8.0, -0.6]]
    assert choose(AIM, np.array(known + candidates), 2, np.ones(3)) == 2


def test_where_nothing_adds_the_choice_is_the_largest_alone() -> None:
    drawn = np.array([[3.0, 3.0, 0.0], [1.0, 1.0, 0.0], [2.0, 1.0, 0.0], [9.0, 9.0, -1.0]])
    assert choose(AIM, drawn, 1, np.ones(3)) == 1


def test_where_nothing_is_feasible_the_choice_misses_least_in_units_of_each_metric() -> None:
    drawn = np.array([[1.0, 1.0, -1.0], [1.0, -3.0, 0.0], [1.0, 1.0, -2.0]])
    assert choose(AIM, drawn, 0, np.array([1.0, 10.0, 1.0])) == 1
    assert choose(AIM, drawn, 0, np.ones(3)) == 0


def test_the_leaders_are_the_feasible_front_or_what_breaks_least() -> None:
    values = np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.5, 0.5, 0.0], [9.0, 9.0, -1.0]])
    assert leading(AIM, values, np.ones(3)).tolist() == [0, 1]
    assert leading(AIM, values[3:], np.ones(3)).tolist() == [0]


def test_a_trial_without_its_error_is_named() -> None:
    study = optuna.create_study(directions=["maximize"] * 2)
    trial = study.ask(FLOATS)
    trial.set_user_attr("values", [0.0] * 3)
    study.tell(trial, [0.0, 0.0])
    with pytest.raises(ValueError, match=r"trial 0: user_attrs must have 'se', found \['values'\]"):
        stored(study.trials)


def test_a_taste_takes_the_feasible_candidate_that_it_likes_best_in_the_draw() -> None:
    aim = Aim((0, 1), (0.0, 0.0), (Bound(2, 1, 0.0),), tastes=((1.0, 0.0), (1.0, 3.0)))
    known = [[0.5, 0.5, 1.0]]
    candidates = [[0.9, 0.0, 1.0], [0.4, 0.4, 1.0], [2.0, 2.0, -1.0]]
    drawn = np.array(known + candidates)
    assert favourite(aim, drawn, 1, np.ones(3), np.array(aim.tastes[0])) == 0
    assert favourite(aim, drawn, 1, np.ones(3), np.array(aim.tastes[1])) == 1
    drawn[:, 2] = -1.0  # where nothing is feasible, the least broken
    assert favourite(aim, drawn, 1, np.ones(3), np.array(aim.tastes[0])) == choose(aim, drawn, 1, np.ones(3))


def test_tastes_find_the_end_of_a_front_that_volume_has_little_to_win_at() -> None:
    """The first goal has its best where the second is nearly nothing: hypervolume leaves it, a taste goes there."""

    def best(tastes: tuple[tuple[float, ...], ...]) -> float:
        aim = Aim((0, 1), (0.0, 0.0), tastes=tastes)
        space = {"x": FloatDistribution(0, 1), "y": FloatDistribution(0, 1)}
        study = optuna.create_study(
            directions=["maximize"] * 2, sampler=ThompsonSampler(aim, space, seed=1), storage=None
        )
        found = []
        for _ in range(24):
            trial = study.ask()
            x, y = (trial.suggest_float(name, 0, 1) for name in ("x", "y"))
            values = [1 - 4 * (x - 0.97) ** 2 - (y - 0.3) ** 2, 1 - x]
            trial.set_user_attr("values", values)
            trial.set_user_attr("se", [0.01, 0.01])
            study.tell(trial, values)
            found.append(values[0])
        return max(found)

    assert best(((1.0, 0.0),)) > 0.995
