"""A wave of visits: what is shown, seen, done, and felt; a function of who came, when, and their luck."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policies.baselines import Production, RandomRanking
from sim.clock import DAY
from sim.engine import Arm
from sim.records import Requests, Scores
from sim.season import Season
from sim.served import Orders, Served
from sim.visits import SOONEST_RETURN, Novelty, VisitDesk
from sim.world import World
from tests.asserts import assert_distinct_in_rows, assert_mean, assert_proportion
from tests.worlds import EXAMINE_ALL, WARMUP, run, serve_once, small_world, with_action

BUSY: dict[str, Any] = {"funnel": with_action("buy", rate=0.3)}
RANDOM = Arm("random", RandomRanking())


@pytest.fixture(scope="module")
def world() -> World:
    return small_world(2000, **BUSY)


@pytest.fixture(scope="module")
def served(world: World) -> Served:
    return serve_once(world)


def desk(world: World, arm: Arm = WARMUP) -> VisitDesk:
    return VisitDesk(world, [(arm.ranker, arm.temperature)], 2)


def fate(served: Served) -> dict[tuple[int, int], tuple[int, ...]]:
    """What came of each click: by user and item, the actions and the stay."""
    users = served.click_user.tolist()
    done = zip(*(served.actions[name].tolist() for name in served.actions), served.stay_ms.tolist(), strict=True)
    return dict(zip(zip(users, served.met.item.tolist(), strict=True), done, strict=True))


# Shown ---------------------------------------------------------------------------------------------------------


def test_visit_shows_the_best_candidates_in_order_page_by_page(world: World) -> None:
    ranker = Production()
    wave = serve_once(world, Arm("production", ranker))
    scores = ranker.score(wave.requests)
    slots = wave.item.shape[1]
    for page in (0, len(wave.page) // 2, len(wave.page) - 1):
        visit, first = wave.visit_of[page], wave.page[page] * slots
        best = np.argsort(-scores[visit], kind="stable")[first : first + slots]
        assert wave.item[page].tolist() == wave.requests.candidates[visit][best].tolist()
        assert wave.score[page].tolist() == scores[visit][best].tolist()


def test_no_item_is_shown_twice_in_a_visit(served: Served) -> None:
    for pages in range(2, served.page.max() + 2):
        visits = np.flatnonzero(np.bincount(served.visit_of) == pages)
        rows = np.concatenate([served.item[served.visit_of == visit].reshape(1, -1) for visit in visits[:50]])
        assert_distinct_in_rows(rows)


def test_pages_of_a_visit_are_numbered_from_zero_and_a_page_time_apart(world: World, served: Served) -> None:
    counts = np.bincount(served.visit_of, minlength=len(served.user))
    assert counts.min() >= 1
    assert counts.max() == world.scenario.browse.pages
    assert np.array_equal(served.page, np.concatenate([np.arange(n) for n in counts]))
    seconds = world.scenario.browse.seconds_per_page
    assert np.array_equal(served.page_time - served.requests.time[served.visit_of], served.page * seconds)


def test_request_id_names_user_and_visit_and_nothing_else(world: World) -> None:
    none = np.zeros(5, dtype=np.int64)
    one = desk(world).serve(np.arange(5), np.full(5, 100), np.full(5, 3), np.full(5, 0.5), none)
    other = desk(world, RANDOM).serve(np.arange(5), np.full(5, 9 * DAY), np.full(5, 3), np.full(5, 0.1), none)
    assert np.array_equal(one.requests.request, other.requests.request)
    assert one.requests.request.tolist() == [user * 2**20 + 3 for user in range(5)]


def test_candidates_come_from_the_public_segment_and_depend_on_no_arm(world: World, served: Served) -> None:
    other = serve_once(world, RANDOM)
    assert np.array_equal(served.requests.candidates, other.requests.candidates)
    per_segment = world.scenario.browse.pools_per_segment
    assert np.array_equal(served.requests.pool // per_segment, world.people.public.segment)
    for pool in range(per_segment):
        assert_proportion(served.requests.pool % per_segment == pool, 1 / per_segment)


def test_without_exploration_propensity_is_one_and_score_descends(world: World) -> None:
    wave = serve_once(world, Arm("production", Production()))
    assert (wave.propensity == 1).all()
    assert (np.diff(wave.score, axis=1) <= 0).all()


def test_propensity_is_the_chance_of_the_item_among_those_not_yet_shown(world: World, served: Served) -> None:
    """Plackett-Luce by hand, slot by slot and over all pages of a visit."""
    scores = Production().score(served.requests).astype(np.float64)
    for visit in range(0, len(served.user), 100):
        left = dict(zip(served.requests.candidates[visit].tolist(), scores[visit].tolist(), strict=True))
        unit = WARMUP.temperature * scores[visit].std()
        pages = np.flatnonzero(served.visit_of == visit)
        for item, found in zip(served.item[pages].ravel(), served.propensity[pages].ravel(), strict=True):
            weight = np.exp(left[int(item)] / unit) / sum(np.exp(score / unit) for score in left.values())
            assert found == pytest.approx(weight, rel=1e-5)
            del left[int(item)]


def test_propensity_of_the_first_slot_is_how_often_the_item_is_there() -> None:
    """One person, twenty thousand lucks: shares on top against the propensities written."""
    world = small_world(1, browse={"pools_per_segment": 1})
    n = 20_000
    wave = desk(world).serve(
        np.zeros(n, dtype=np.int64), np.full(n, 100), np.arange(n), np.full(n, 0.5), np.zeros(n, dtype=np.int64)
    )
    first = np.flatnonzero(wave.page == 0)
    item, propensity = wave.item[first, 0], wave.propensity[first, 0]
    common = np.argsort(-np.bincount(item))[:5]
    for chosen in common:
        assert_proportion(item == chosen, float(propensity[item == chosen][0]))


# Seen and done -------------------------------------------------------------------------------------------------


def test_only_examined_items_are_clicked(served: Served) -> None:
    assert served.examined[served.click_page, served.click_slot].all()
    assert not served.examined.all()
    assert np.array_equal(served.item[served.click_page, served.click_slot], served.met.item)


def test_clicks_come_at_their_probabilities(world: World, served: Served) -> None:
    clicked = np.zeros(served.item.shape)
    clicked[served.click_page, served.click_slot] = 1
    chance = world.scenario.attention.click_probability(
        world.funnel.attraction(served.shown).astype(np.float64), np.zeros(served.item.shape)
    )
    assert_mean((clicked - chance).ravel(), 0)
    for slot in range(served.item.shape[1]):
        assert_mean(clicked[:, slot] - chance[:, slot], 0)


def test_with_position_bias_off_slots_are_exchangeable() -> None:
    """Same person, visit and item: the same click and the same acts, in whatever slot."""
    world = small_world(600, attention=EXAMINE_ALL, browse={"pages": 10}, **BUSY)
    one, other = serve_once(world, Arm("production", Production())), serve_once(world, RANDOM)
    here, there = shown_to(one), shown_to(other)
    both = here.keys() & there.keys()
    moved = {key for key in both if here[key] != there[key]}
    assert len(moved) > 1000
    mine, theirs = fate(one), fate(other)
    assert {key: mine.get(key) for key in both} == {key: theirs.get(key) for key in both}
    assert sum(key in mine for key in moved) > 50


def test_with_position_bias_on_the_slot_matters(world: World) -> None:
    one, other = serve_once(world, Arm("production", Production())), serve_once(world, RANDOM)
    both = shown_to(one).keys() & shown_to(other).keys()
    mine, theirs = fate(one), fate(other)
    assert any((key in mine) != (key in theirs) for key in both)


def test_what_follows_a_click_is_the_same_under_every_ranker(world: World) -> None:
    mine, theirs = fate(serve_once(world, WARMUP)), fate(serve_once(world, RANDOM))
    both = mine.keys() & theirs.keys()
    assert len(both) > 100
    assert all(mine[key] == theirs[key] for key in both)


def shown_to(served: Served) -> dict[tuple[int, int], tuple[int, int]]:
    """Page and slot at which each user was shown each item."""
    user = np.broadcast_to(served.user[served.visit_of][:, None], served.item.shape)
    where = np.broadcast_to(served.page[:, None], served.item.shape)
    slot = np.broadcast_to(np.arange(served.item.shape[1]), served.item.shape)
    keys = zip(user.ravel().tolist(), served.item.ravel().tolist(), strict=True)
    return dict(zip(keys, zip(where.ravel().tolist(), slot.ravel().tolist(), strict=True), strict=True))


def purchases(served: Served) -> Orders:
    """The orders of a wave that are no returns."""
    return served.orders.take(served.orders.action == 0)


# Ordered -------------------------------------------------------------------------------------------------------


def test_every_bought_click_is_one_order_due_after_its_click(world: World, served: Served) -> None:
    orders, bought = purchases(served), served.actions["buy"]
    assert len(orders) == bought.sum() > 100
    assert np.array_equal(orders.user, served.click_user[bought])
    assert np.array_equal(orders.clicked, served.page_time[served.click_page][bought])
    assert (orders.due >= orders.clicked).all()
    slots = world.scenario.attention.slots
    assert np.array_equal(orders.rank, (served.page[served.click_page] * slots + served.click_slot)[bought])
    assert np.array_equal(orders.request, served.requests.request[served.visit_of[served.click_page]][bought])


def test_order_value_is_price_times_units_in_their_shares() -> None:
    world = small_world(10_000, funnel=with_action("buy", rate=0.5))
    wave = serve_once(world)
    orders = purchases(wave)
    units, rest = np.divmod(orders.value, world.catalogue.price[orders.item])
    assert (rest == 0).all()
    assert np.array_equal(units, orders.units)
    for count, share in ((1, 0.8), (2, 0.14), (3, 0.06)):
        assert_proportion(units == count, share)


# Felt ----------------------------------------------------------------------------------------------------------


def test_satisfaction_moves_towards_the_joy_of_the_visit(world: World, served: Served) -> None:
    spec = world.scenario.satisfaction
    joy = 1 / (1 + np.exp(-world.funnel.enjoyment(served.met).astype(np.float64)))
    for row in range(200):
        mine = joy[served.visit_of[served.click_page] == row]
        felt = mine.mean() if len(mine) else spec.found_nothing
        assert served.satisfaction[row] == pytest.approx(0.5 + spec.learning * (felt - 0.5), abs=1e-6)


def test_satisfied_people_come_back_sooner(world: World) -> None:
    wave, when, visit = np.arange(2000), np.full(2000, 100), np.zeros(2000, dtype=np.int64)
    sad, glad = (desk(world).serve(wave, when, visit, np.full(2000, s), visit).next_visit for s in (0.1, 0.9))
    assert (glad <= sad).all()
    assert (glad < sad).mean() > 0.99


def test_loyal_people_react_more() -> None:
    wave, when, visit = np.arange(2000), np.full(2000, 100), np.zeros(2000, dtype=np.int64)
    world = small_world(2000, season=Season())
    sad, glad = (desk(world).serve(wave, when, visit, np.full(2000, s), visit).next_visit - 100 for s in (0.1, 0.9))
    gain = np.log(sad / glad)
    loyal = world.people.loyalty > 1
    assert gain[loyal].min() > gain[~loyal].max()


def test_without_return_strength_satisfaction_changes_nothing() -> None:
    world = small_world(200, satisfaction={"return_strength": 0.0})
    wave, when, visit = np.arange(200), np.full(200, 100), np.zeros(200, dtype=np.int64)
    sad, glad = (desk(world).serve(wave, when, visit, np.full(200, s), visit).next_visit for s in (0.1, 0.9))
    assert np.array_equal(sad, glad)


def test_nobody_returns_before_the_visit_is_over() -> None:
    world = small_world(500, people={"habit_days": 0.001}, season=Season())
    wave = serve_once(world)
    assert (wave.next_visit - wave.requests.time).min() == SOONEST_RETURN


def test_gaps_are_log_normal_around_the_persons_habit() -> None:
    world = small_world(20_000, satisfaction={"return_strength": 0.0}, season=Season())
    wave = serve_once(world)
    gap = (wave.next_visit - wave.requests.time) / DAY
    late = np.log(gap / world.people.habit)
    # The shortest gaps are lifted to ten minutes: a share of 1e-8 of them at a habit of days.
    assert_mean(late, 0)
    assert_mean(late**2, 1.0)


def test_first_visits_fall_within_a_gap_and_not_all_on_one_day(world: World) -> None:
    first = desk(world).first_visit()
    assert first.min() >= 0
    assert len(np.unique(first // DAY)) > 5
    assert first.dtype == np.int64


def test_hidden_intent_moves_clicks_and_buys_together() -> None:
    world = small_world(4000, browse={"hidden_intent": 1.0}, **BUSY)
    wave = serve_once(world)
    assert_mean(wave.intent, 0)
    assert_mean(wave.intent.astype(np.float64) ** 2, 1)
    keen = wave.intent > 0
    clicks = np.bincount(wave.visit_of[wave.click_page], minlength=4000)
    per_click = np.bincount(wave.visit_of[wave.click_page], wave.actions["buy"], minlength=4000)
    assert clicks[keen].mean() > 1.5 * clicks[~keen].mean()
    assert per_click[keen].sum() / clicks[keen].sum() > 1.2 * per_click[~keen].sum() / clicks[~keen].sum()


def test_hidden_intent_off_is_no_intent(served: Served) -> None:
    assert not served.intent.any()


# Rankers -------------------------------------------------------------------------------------------------------


class Wrong:
    """A ranker that returns whatever it is given."""

    def __init__(self, scores: Scores) -> None:
        self.scores = scores

    def score(self, requests: Requests) -> Scores:
        return self.scores


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        (np.zeros((2, 100), dtype=np.float32), r"got shape \(2, 100\)"),
        (np.full((3, 100), np.nan, dtype=np.float32), "with NaN or infinity"),
        (np.full((3, 100), np.inf, dtype=np.float32), "with NaN or infinity"),
    ],
)
def test_scores_that_cannot_be_ranked_are_refused(world: World, scores: Scores, found: str) -> None:
    with pytest.raises(ValueError, match=rf"arm 0 \(Wrong\): score must return finite numbers.*{found}"):
        serve_once(world, Arm("wrong", Wrong(scores)), rows=np.arange(3))


def test_every_user_is_scored_by_their_own_arm(world: World) -> None:
    arm_of = np.arange(len(world.people)) % 2
    both = [Arm("production", Production()), Arm("random", RandomRanking())]
    halves = VisitDesk(world, [(arm.ranker, 0.0) for arm in both], 2)
    n = len(world.people)
    time = np.full(n, DAY // 2)
    mixed = halves.serve(np.arange(n), time, np.zeros(n, dtype=np.int64), np.full(n, 0.5), arm_of)
    for index, arm in enumerate(both):
        alone = serve_once(world, arm)
        mine = arm_of[mixed.user[mixed.visit_of]] == index
        assert np.array_equal(mixed.item[mine], alone.item[mine])
        assert np.array_equal(mixed.score[mine], alone.score[mine])


def test_visit_numbers_give_new_luck() -> None:
    world = small_world(1)
    n = 200
    wave = desk(world).serve(
        np.zeros(n, dtype=np.int64), np.full(n, 100), np.arange(n), np.full(n, 0.5), np.zeros(n, dtype=np.int64)
    )
    assert len(np.unique(wave.next_visit)) > n / 2
    assert run(world, 1).state.day == 1


# Novelty -----------------------------------------------------------------------------------------------------------


def test_novelty_halves_and_belongs_to_new_arms_from_its_beginning() -> None:
    """Before it begins there is none: the whole lift was once given to what came earlier."""
    novelty = Novelty(lift=0.8, half_life_days=2, since=5 * DAY, arms=(1,))
    time = np.array([0, 5 * DAY - 1, 5 * DAY, 7 * DAY, 9 * DAY, 5 * DAY])
    found = novelty.at(time, np.array([1, 1, 1, 1, 1, 0]))
    np.testing.assert_allclose(found, [0, 0, 0.8, 0.4, 0.2, 0], rtol=1e-6)


def test_novelty_moves_the_clicks_of_new_arms_alone_and_their_chances_with_them(world: World) -> None:
    n = len(world.people)
    arm, when = np.arange(n) % 2, np.full(n, DAY // 2)
    nobody, calm = np.zeros(n, dtype=np.int64), np.full(n, 0.5)
    arms = [(Production(), 0.0)] * 2
    plain, keen = (
        VisitDesk(world, arms, 2, novelty=novelty).serve(np.arange(n), when, nobody, calm, arm)
        for novelty in (None, Novelty(1.5, 5, 0, (1,)))
    )
    clicks = [np.bincount(wave.click_visit, minlength=n) for wave in (plain, keen)]
    assert np.array_equal(clicks[0][arm == 0], clicks[1][arm == 0])
    assert clicks[1][arm == 1].sum() > 2 * clicks[0][arm == 1].sum()
    clicked = np.zeros(keen.item.shape)
    clicked[keen.click_page, keen.click_slot] = 1
    assert_mean((clicked - keen.click_probability).sum(axis=1), 0)
