"""`tune` in a spec: what it may hold, and what is said where it may not."""

from __future__ import annotations

import pytest

from experiments.sections.tune import limit_of
from experiments.spec import LIBRARY, SpecError, load_experiment
from tests.experiments.tuning.shop import TUNE, spec


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lift(stay_per_user) >= -1%", ("stay_per_user", "lift", 1, -0.01)),
        ("lift(ctr) >= 0.05", ("ctr", "lift", 1, 0.05)),
        ("ctr >= 0.99 * control", ("ctr", "lift", 1, -0.01)),
        (" return_rate<=1.05*control ", ("return_rate", "lift", -1, 0.05)),
        ("ctr >= 0.05", ("ctr", "value", 1, 0.05)),
        ("lift(return_rate) <= +5%", ("return_rate", "lift", -1, 0.05)),
    ],
)
def test_a_limit_is_read(text: str, told: tuple[str, str, int, float]) -> None:
    limit = limit_of(text)
    assert (limit.metric, limit.of, limit.sense) == told[:3]
    assert limit.bound == pytest.approx(told[3])


@pytest.mark.parametrize(
    "text", ["ctr > 1", "ctr", "lift(ctr) >= 1 * control", "ctr >= 5%", "ctr >= x", "", "lift ctr >= 1%"]
)
def test_what_is_no_limit_is_refused_with_what_must_hold(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be 'lift\(METRIC\) >= -1%'"):
        limit_of(text)


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("alpha: [0, 2]", "alpha: [2, 0]", "tune.parameters.alpha: low must be below high, got low 2 and high 0"),
        ("alpha: [0, 2]", "alfa: [0, 2]", "got 'alfa'; did you mean 'alpha'?"),
        ("alpha: [0, 2]", "policy.params.beta: [0, 2]", "no 'beta'; there are alpha, c"),
        ("alpha: [0, 2]", "alpha: [0, 1, 2]", "must be [low, high], a range or choices"),
        ("alpha: [0, 2]", "alpha: {low: 0, high: 2, log: true}", "low must be above 0 where log is true"),
        ("alpha: [0, 2]", "alpha: {low: 0, high: 2, choices: [1]}", "must be a range or choices, got choices and low"),
        ("alpha: [0, 2]", "alpha: {choices: [1, 1]}", "choices must differ"),
        ("alpha: [0, 2]", "alpha: {low: 0, high: 2, when: {c: 1}}", "c has a range"),
        ("alpha: [0, 2]", "alpha: [0, 2], policy.params.alpha: [0, 2]", "which 'alpha' is too"),
        ("alpha: [0, 2]", "temperature: [-1, 2]", "explore.temperature: must be >= 0"),
        ("arm: fusion", "arm: fusin", "tune.arm: must name an arm, got 'fusin'; did you mean 'fusion'?"),
        ("[stay_per_user, ctr]", "[stay_per_usr, ctr]", "got 'stay_per_usr'; did you mean 'stay_per_user'?"),
        ("[stay_per_user, ctr]", "[return_rate, ctr]", "a goal must be better when higher, got 'return_rate'"),
        ("[stay_per_user, ctr]", "[satisfaction, ctr]", "must name a metric that is observed, got 'satisfaction'"),
        ("[stay_per_user, ctr]", "[ctr]", "need two goals to exchange, got one"),
        ('["ctr >= 0.5 * control"]', '["ctr > 0.9"]', "tune.subject_to.0: must be 'lift(METRIC) >= -1%'"),
        ('["ctr >= 0.5 * control"]', '["ctrr >= 0.9"]', "got 'ctrr'; did you mean 'ctr'?"),
        (
            '["ctr >= 0.5 * control"]',
            '["ctr >= 1.1 * control", "lift(ctr) <= 5%"]',
            "nothing can hold both limits of ctr: at least 0.1 and at most 0.05",
        ),
        ("batch: 4", "batches: 4", "unknown key 'batches'; did you mean 'batch'?"),
        ("users: 0.3", "users: 0.6", "must be <= 0.5"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(was: str, now: str, told: str) -> None:
    assert was in TUNE
    with pytest.raises(SpecError) as found:
        spec(TUNE.replace(was, now))
    assert any(told in line and line.startswith("test.yaml:") for line in found.value.lines), found.value.lines


def test_ends_that_are_possible_alone_but_not_together_are_told() -> None:
    both = "tune.parameters={policy.label_gain.2: [1, 30], policy.label_gain.3: [10, 100]}"
    with pytest.raises(SpecError, match="must be possible together"):
        load_experiment("tune_label_gain", [both])


def test_tune_changes_no_identity_of_a_run() -> None:
    assert spec().identity() == spec(TUNE.replace("trials: 8", "trials: 9")).identity()


def test_quick_takes_a_third_of_the_trials() -> None:
    full = load_experiment("tune_fusion")
    quick = full.quick()
    assert full.tune is not None
    assert quick.tune is not None
    assert quick.tune.budget.trials == full.tune.budget.trials // 3


def test_every_tuning_of_the_library_asks_a_question() -> None:
    names = [path.stem for path in LIBRARY.glob("tune_*.yaml")]
    assert len(names) >= 3
    for name in names:
        assert load_experiment(name).tune is not None
        assert (LIBRARY / f"{name}.yaml").read_text().splitlines()[0].endswith("?")
