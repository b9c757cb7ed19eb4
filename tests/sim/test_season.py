"""The calendar: operational time and back, whole weeks, and visits in proportion to how busy an hour is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.clock import DAY, HOUR
from sim.records import Floats, Ints
from sim.season import WEEK, Season
from tests.worlds import Waves, ecommerce, run, small_world

SHOP = ecommerce().season
SHARP = Season(weekdays=(1, 1, 1, 1, 1, 4, 6), hours=(0.01,) * 8 + (3.0,) * 4 + (1.0,) * 12)
CALENDARS = st.builds(
    Season,
    st.tuples(*[st.floats(0.05, 20)] * 7) | st.just(()),
    st.tuples(*[st.floats(0.05, 20)] * 24) | st.just(()),
)
TIMES = st.lists(st.integers(0, 400 * DAY), min_size=1, max_size=20).map(lambda t: np.array(t, dtype=np.int64))


def hour_of_week(time: Ints) -> Ints:
    return time % WEEK // HOUR


# The time change -------------------------------------------------------------------------------------------------


@given(TIMES, st.integers(0, 100 * DAY))
def test_flat_season_is_the_identity(time: Ints, gap: int) -> None:
    season = Season()
    assert season.flat
    assert np.array_equal(season.operational(time), time)
    assert np.array_equal(season.later(time, np.full(len(time), gap)), time + gap)


@given(TIMES, st.integers(0, 100 * DAY))
def test_season_of_equal_hours_is_flat_to_the_second(time: Ints, gap: int) -> None:
    season = Season(weekdays=(3.0,) * 7, hours=(0.2,) * 24)
    assert not season.flat
    assert np.abs(season.later(time, np.full(len(time), gap)) - time - gap).max() <= 1


@settings(max_examples=100, deadline=None)
@given(CALENDARS, TIMES, st.floats(0, 100 * DAY))
def test_later_inverts_operational_time(season: Season, time: Ints, gap: float) -> None:
    """To the second: the second found is the last whose operational time is not past the target."""
    later = season.later(time, np.full(len(time), gap))
    target, slack = season.operational(time) + gap, 1e-3
    assert (season.operational(later) <= target + slack).all()
    assert (season.operational(later + 1) >= target - slack).all()
    assert (later >= time).all()


@settings(max_examples=100, deadline=None)
@given(CALENDARS, TIMES, st.integers(0, 20))
def test_whole_weeks_are_whole_weeks(season: Season, time: Ints, weeks: int) -> None:
    later = season.later(time, np.full(len(time), weeks * WEEK))
    assert np.abs(later - time - weeks * WEEK).max() <= 1
    np.testing.assert_allclose(season.operational(time + WEEK) - season.operational(time), WEEK)


@given(TIMES)
def test_longer_gap_is_never_sooner(time: Ints) -> None:
    gaps = [SHARP.later(time, np.full(len(time), gap)) for gap in (0, 600, HOUR, DAY, 10 * DAY)]
    assert np.array_equal(gaps[0], time)
    for sooner, later in pairwise(gaps):
        assert (later >= sooner).all()


@pytest.mark.parametrize("season", [SHOP, SHARP], ids=["shop", "sharp"])
def test_intensity_is_weekday_times_hour_with_mean_one(season: Season) -> None:
    found = season.intensity()
    assert found.mean() == pytest.approx(1)
    outer = np.outer(season.weekdays, season.hours).ravel()
    np.testing.assert_allclose(found / found[0], outer / outer[0])
    steps = np.diff(season.operational(np.arange(169.0) * HOUR)[:-1])
    np.testing.assert_allclose(steps, found[:-1] * HOUR)


# Arrivals --------------------------------------------------------------------------------------------------------


def arrivals(season: Season, gap: Floats, first: Floats) -> Ints:
    """Seconds at which n people come, one gap after the other through the calendar; gap: shape (k, n)."""
    time = season.later(np.zeros(len(first), dtype=np.int64), first)
    found = [time]
    for step in gap:
        time = season.later(time, step)
        found.append(time)
    return np.stack(found)


@pytest.mark.parametrize("season", [SHOP, SHARP], ids=["shop", "sharp"])
def test_exponential_gaps_are_a_poisson_process_of_the_intensity(season: Season) -> None:
    """Cinlar 1975. Counts of the 672 hours of four weeks: Pearson's statistic has mean 672 and sd sqrt(2 * 672)."""
    rng, n, mean = np.random.default_rng(0), 8000, 2.0 * DAY
    come = arrivals(season, rng.exponential(mean, (40, n)), rng.exponential(mean, n))
    assert come[-1].min() > 2 * WEEK
    assert (come[-1] > 4 * WEEK).mean() > 0.9999
    count = np.bincount(come.ravel() // HOUR)[: 4 * 168]
    expected = n * HOUR / mean * np.tile(season.intensity(), 4)
    busy = expected > 5  # where a count is nearly normal
    statistic = ((count - expected) ** 2 / expected)[busy].sum()
    assert abs(statistic - busy.sum()) < 5 * np.sqrt(2 * busy.sum())
    flat = ((count - expected.mean()) ** 2 / expected.mean()).sum()
    assert flat > 672 + 50 * np.sqrt(2 * 672)  # what a calendar without hours would be seen by


def dispersion(counts: Ints) -> tuple[float, float]:
    """Variance over mean of counts (groups, hours), pooled over hours, and its standard error for Poisson counts."""
    some = counts[:, counts.mean(axis=0) > 0.5]
    free = (len(some) - 1) * some.shape[1]
    return float((some.var(axis=0, ddof=1) / some.mean(axis=0)).mean()), float(np.sqrt(2 / free))


def hourly(come: Ints, group: Ints, n_groups: int) -> Ints:
    """Arrivals per group and hour of the second week, shape (n_groups, 168)."""
    inside = (come >= WEEK) & (come < 2 * WEEK)
    where = np.broadcast_to(group, come.shape)[inside] * 168 + hour_of_week(come[inside])
    return np.bincount(where, minlength=n_groups * 168).reshape(n_groups, 168)


def test_superposed_sparse_log_normal_visitors_have_counts_like_poissons() -> None:
    """Many who come seldom (Palm and Khintchine): variance over mean is near 1, whatever the law of one gap."""
    rng, groups, each = np.random.default_rng(1), 60, 400
    n, habit = groups * each, 10 * DAY
    gap = habit * np.exp(rng.standard_normal((12, n)))
    come = arrivals(SHOP, gap, rng.random(n) * habit * np.exp(rng.standard_normal(n)))
    found, error = dispersion(hourly(come, np.repeat(np.arange(groups), each), groups))
    assert abs(found - 1) < 5 * error
    pairs = hourly(np.concatenate([come, come]), np.repeat(np.arange(groups), each), groups)
    assert dispersion(pairs)[0] > 1 + 20 * error  # people who come two at a time would be seen


def test_busy_hours_of_a_world_get_visits_in_proportion() -> None:
    """Whole days 7 to 13, by hour of the day; counts over many sparse people are like Poisson's."""
    waves = Waves()
    world = small_world(1500, people={"habit_days": 2.0}, season=SHARP)
    run(world, 14, also=(waves,))
    time = np.concatenate([wave.requests.time for wave in waves.waves])
    time = time[time >= WEEK]
    for hours, share in (
        (np.bincount(time % DAY // HOUR, minlength=24), SHARP.hours),
        (np.bincount(time // DAY % 7, minlength=7), SHARP.weekdays),
    ):
        expected = hours.sum() * np.array(share) / np.sum(share)
        assert (np.abs(hours - expected) < 5 * np.sqrt(expected + 1)).all()
    assert len(time) > 2000


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"weekdays": (1.0,) * 6}, "weekdays must hold 7 numbers or none, got 6"),
        ({"hours": (1.0,) * 25}, "hours must hold 24 numbers or none, got 25"),
        ({"hours": (1.0,) * 23 + (0.0,)}, r"hours must be > 0, got .*; use a small number for a quiet time"),
        ({"weekdays": (1.0,) * 6 + (float("nan"),)}, "weekdays must be > 0"),
    ],
)
def test_impossible_calendars_are_refused(fields: dict[str, tuple[float, ...]], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Season(**fields)
