"""Marginals: their arithmetic against closed forms, their verdicts, and the shipped scenarios against their bands."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

import sim
from experiments.commands.world import load_scenario
from experiments.document import read_document
from experiments.marginals.histogram import LogHistogram
from experiments.marginals.looks import examination
from experiments.marginals.people import lorenz, top_share
from experiments.marginals.simulated import Simulated
from experiments.marginals.table import MARGINALS, Row, meaning, measure, measured, rate_names, unknown_targets
from experiments.marginals.times import delay_curve
from policies.baselines import Production
from sim.clock import DAY, HOUR
from sim.engine import Arm, opening, simulate
from sim.ledger import per_visit
from sim.scenario import Scenario, Target, ledger_columns
from tests.asserts import assert_within
from tests.worlds import Waves

SHIPPED = sorted(path.stem for path in (Path(sim.__file__).parent / "scenarios").glob("*.yaml"))
USERS, DAYS = 6000, 14  # the size that the command has by default
JOACHIMS = (0.68, 0.61, 0.48, 0.34, 0.28, 0.20, 0.11, 0.10, 0.08, 0.06)


@cache
def shipped(name: str) -> Simulated:
    """One simulation of each scenario serves all tests."""
    return Simulated(load_scenario(name), USERS, DAYS)


@cache
def small(name: str) -> Simulated:
    return Simulated(load_scenario(name), 400, 9)


def with_targets(name: str, targets: Mapping[str, Target]) -> Simulated:
    """The small simulation again, its scenario with other targets."""
    found = Simulated(replace(load_scenario(name), targets=targets), 400, 9)
    found.__dict__.update({"world": small(name).world, "_warmup": small(name)._warmup})
    return found


class TestHistogram:
    def test_quantiles_and_moments_are_those_of_the_numbers(self) -> None:
        values = np.random.default_rng(1).lognormal(2.0, 0.8, 20_000)
        found = LogHistogram()
        for part in np.split(values, 4):
            found.add(part)
        assert found.weight == len(values)
        assert found.log_mean == pytest.approx(np.log(values).mean(), rel=1e-12)
        assert found.log_sd == pytest.approx(np.log(values).std(), rel=1e-9)
        for share in (0.05, 0.25, 0.5, 0.75, 0.95):
            assert found.quantile(share) == pytest.approx(np.quantile(values, share), rel=0.005)
            assert found.share_below(found.quantile(share)) == pytest.approx(share, abs=1e-4)

    def test_a_weight_of_two_is_the_number_twice(self) -> None:
        once, twice = LogHistogram(), LogHistogram()
        once.add(np.array([1.0, 5.0]), np.array([1.0, 2.0]))
        twice.add(np.array([1.0, 5.0, 5.0]))
        assert once.log_sd == pytest.approx(twice.log_sd)
        assert np.array_equal(once.counts, twice.counts)

    def test_of_nothing_there_is_no_number(self) -> None:
        found = LogHistogram()
        found.add(np.zeros(0))
        assert all(math.isnan(x) for x in (found.quantile(0.5), found.log_sd, found.log_mean, found.share_below(1)))


class TestInequality:
    def test_the_top_hold_what_they_hold(self) -> None:
        amounts = np.array([1] * 98 + [51, 51])
        assert top_share(amounts, 0.02) == pytest.approx(102 / 200)
        assert top_share(np.ones(100, dtype=np.int64), 0.1) == pytest.approx(0.1)
        assert math.isnan(top_share(np.zeros(10, dtype=np.int64), 0.1))

    def test_the_lorenz_curve_of_equals_is_the_diagonal(self) -> None:
        users, held = lorenz(np.full(10, 7))
        assert np.allclose(users, held)


class TestVerdict:
    @pytest.mark.parametrize(
        ("value", "low", "high", "verdict"),
        [
            (0.5, 0.4, 0.6, "PASS"),
            (0.4, 0.4, 0.6, "PASS"),
            (0.61, 0.4, 0.6, "OFF"),
            (0.1, None, 0.6, "PASS"),
            (9.0, 0.4, None, "PASS"),
            (float("nan"), None, 0.6, "OFF"),
        ],
    )
    def test_a_value_passes_within_its_band_and_its_limits(
        self, value: float, low: float | None, high: float | None, verdict: str
    ) -> None:
        assert Row("any", value, Target("a source", low, high)).verdict == verdict

    def test_only_a_band_with_a_source_can_fail(self) -> None:
        missed = {kind: Row("any", 2.0, Target("", 0, 1, kind)) for kind in ("judged", "assumed", "reported")}
        assert {kind: row.verdict for kind, row in missed.items()} == {
            "judged": "OFF",
            "assumed": "OFF",
            "reported": "-",
        }
        assert [kind for kind, row in missed.items() if row.fails] == ["judged"]
        assert Row("any", 2.0, None).verdict == "-"


class TestTable:
    @pytest.mark.parametrize("name", SHIPPED)
    def test_without_targets_every_marginal_of_the_scenario_is_measured(self, name: str) -> None:
        rows = measured(with_targets(name, {}))
        names = {row.name for row in rows}
        assert {"ctr", "gap_log_sd", "dwell_median", *rate_names(small(name).scenario)} <= names
        assert all(row.verdict == "-" and not row.fails for row in rows)
        assert all(math.isfinite(row.value) for row in rows)
        assert all(meaning(row.name) for row in rows)

    def test_each_scenario_has_the_marginals_of_its_kind_and_no_other(self) -> None:
        own = {
            "ecommerce": {"order_value_log_sd", "value_sd_over_mean", "attention_curve", "delay_1h"},
            "feed": {"watch_ratio_median", "leave_per_item", "random_long_view_ratio"},
            "recruiting": {"answer_rate", "answers_lost_to_load", "attention_curve", "delay_1h"},
        }
        every = set().union(*own.values())
        for name, expected in own.items():
            there = {marginal for marginal in every if measure(marginal, small(name)) is not None}
            assert there == expected

    def test_a_judged_target_without_a_number_is_off(self) -> None:
        row = measured(with_targets("feed", {"answer_rate": Target("a source", 0, 1)}))[0]
        assert row.verdict == "OFF"
        assert row.fails

    def test_targets_that_are_no_marginals_are_told_with_the_nearest(self) -> None:
        doctored = replace(load_scenario("feed"), targets={"crt": Target(""), "buy_per_click": Target("")})
        said = [str(problem) for problem in unknown_targets(doctored)]
        assert "targets.crt: must be a marginal, got 'crt'; did you mean 'ctr'?" in said[0]
        assert "buy_per_click" in said[1]

    def test_every_marginal_resolves_and_says_what_it_is(self) -> None:
        for name in MARGINALS:
            assert len(meaning(name).split()) > 2


@pytest.fixture(scope="module")
def recounted() -> tuple[Simulated, Waves]:
    """A small shop, and every wave that it served."""
    of, waves = small("ecommerce"), Waves()
    arm = Arm("any", Production(), 0.5)
    nobody_splits = np.zeros(of.users, dtype=np.int64)
    simulate(of.world, opening(of.world, of.seed + 1), of.days, [arm], nobody_splits, of.seed + 1, (waves,), 6 * HOUR)
    return of, waves


class TestAgainstTheWavesThemselves:
    """The recorder against a recount of every wave that it saw."""

    def test_looks_pages_stays_and_gaps_are_counted_once(self, recounted: tuple[Simulated, Waves]) -> None:
        of, waves = recounted
        sample = of.sample
        assert np.array_equal(sample.examined, sum(wave.examined.sum(axis=0) for wave in waves.waves))
        assert sample.pages.sum() == sum(len(wave.user) for wave in waves.waves)
        assert (sample.pages * np.arange(len(sample.pages))).sum() == sample.n_pages
        stays = np.concatenate([wave.stay_ms for wave in waves.waves]) / 1000
        assert sample.stay.weight == len(stays)
        assert sample.stay.log_sd == pytest.approx(np.log(stays).std(), rel=1e-6)
        gaps = np.concatenate([wave.next_visit - wave.requests.time for wave in waves.waves]) / DAY
        assert sample.gap.quantile(0.5) == pytest.approx(np.median(gaps), rel=0.01)

    def test_returns_are_those_of_users_whose_day_was_simulated(self, recounted: tuple[Simulated, Waves]) -> None:
        of, waves = recounted
        days: dict[int, set[int]] = {}
        for wave in waves.waves:
            for user, day in zip(wave.user.tolist(), (wave.requests.time // DAY).tolist(), strict=True):
                days.setdefault(user, set()).add(day)
        followed = [seen for seen in days.values() if min(seen) + 7 < 9]
        assert measure("return_day_7", of) == pytest.approx(np.mean([min(seen) + 7 in seen for seen in followed]))

    def test_the_expected_rate_is_near_the_sampled_one(self, recounted: tuple[Simulated, Waves]) -> None:
        of, waves = recounted
        columns = ledger_columns(of.scenario)
        counts = [per_visit(wave, columns) for wave in waves.waves]
        clicks, shown = (sum(int(wave[name].sum()) for wave in counts) for name in ("click", "impressions"))
        expected = measure("ctr", of)
        assert expected is not None
        assert abs(clicks / shown - expected) < 5 * math.sqrt(expected / shown)


def test_pages_wanted_are_read_back_from_a_list_that_ends() -> None:
    """E-commerce: log-normal over people and visits; the shown pages alone spread half as far."""
    of = shipped("ecommerce")
    wanted = math.hypot(of.scenario.people.patience_sd, of.scenario.browse.pages_log_sd)
    shown = np.repeat(np.log(np.maximum(np.arange(6), 1)), of.sample.pages)
    found = measure("pages_per_visit_log_sd", of)
    assert found == pytest.approx(wanted, rel=0.05)
    assert shown.std() < 0.7 * wanted


def test_delays_follow_their_law() -> None:
    """Dvoretzky, Kiefer and Wolfowitz: P(the largest distance > d) < 2 exp(-2 n d^2)."""
    of = shipped("ecommerce")
    seconds = np.geomspace(60, 60 * DAY, 50)
    law = delay_curve(of, seconds)
    assert law is not None
    sampled = np.array([of.sample.delay.share_below(at) for at in seconds])
    allowed = math.sqrt(math.log(2 / 6e-7) / 2 / of.sample.delay.weight)
    assert np.abs(sampled - law).max() < allowed + 0.005  # and a bin's width


@pytest.mark.parametrize("name", ["ecommerce", "recruiting"])
def test_looks_are_those_of_the_eye_tracking_curve(name: str) -> None:
    curves = examination(small(name))
    assert curves is not None
    assert tuple(curves[1]) == JOACHIMS


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_keep_every_band(name: str) -> None:
    of = shipped(name)
    rows = measured(of)
    assert any(row.verdict == "PASS" for row in rows)
    for row in rows:
        assert row.target is not None
        if row.verdict != "-":
            low = -math.inf if row.target.low is None else row.target.low
            high = math.inf if row.target.high is None else row.target.high
            assert_within(row.value, low, high, f"{name}: {row.name}")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_load_and_name_a_source_for_every_target(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.targets
    assert all(target.source for target in scenario.targets.values())


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_are_what_their_files_say(name: str) -> None:
    values: dict[str, Any] = read_document(Path(sim.__file__).parent / "scenarios" / f"{name}.yaml").values
    assert TypeAdapter(Scenario).validate_json(json.dumps(values), strict=True) == load_scenario(name)
