"""A scenario: what a file in `scenarios/` holds, checked on every road in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import copysign, hypot
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Le

from sim.actions import Action, Drivers, FunnelSpec
from sim.attention import Attention
from sim.bounds import Count, Moderate, Rate, Share, Spread, check
from sim.catalogue import FORBID_EXTRA, CatalogueSpec
from sim.market import MarketSpec
from sim.people import PeopleSpec
from sim.season import Season


@dataclass(frozen=True, slots=True)
class BrowseSpec:
    """How a visit is served and how far people read.

    candidates: items that the ranker orders per visit.
    pools_per_segment: candidate pools that a market draws per segment and day.
    pool_sharpness: how much retrieval prefers what the segment has liked; 0, any item.
    pages: most pages that one visit can show; pages x slots may not exceed the candidates.
    median_pages, pages_log_sd: pages wanted in a visit, log-normal; pages_log_sd is over visits of one person.
    seconds_per_page: between one page and the next.
    hidden_intent: sd over visits of a mood that drives click and buy together and that nobody sees.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    candidates: Annotated[int, Ge(1), Le(10_000)] = 100
    pools_per_segment: Count = 4
    pool_sharpness: Spread = 0.5
    pages: Count = 5
    median_pages: Moderate = 0.8
    pages_log_sd: Spread = 1.1
    seconds_per_page: Count = 30
    hidden_intent: Spread = 0.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class SatisfactionSpec:
    """Hidden satisfaction in [0, 1], and what it does to the next visit.

    drivers: of the logit of one click's enjoyment, whose mean under the shop's history ranking is `start`.
    start: where everybody begins.
    learning: weight of the last visit in a person's satisfaction.
    found_nothing: experience of a visit without a click.
    return_strength: how many times (in log) one unit of satisfaction shortens the time to the next visit.
    gap_log_sd: sd of the log of days between visits of one person.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    drivers: Drivers
    start: Rate = 0.5
    learning: Share = 0.2
    found_nothing: Share = 0.4
    return_strength: Spread = 1.5
    gap_log_sd: Spread = 1.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A ratio of sums over users.

    numerator, denominator: columns of the ledger; the denominator `users` is 1 for everybody. What is of a whole
        market (`MARKET_COLUMNS`) is told only of tests divided by market.
    meaning: in words.
    scale: what one unit of the ratio is multiplied by for people to read it.
    hidden: whether it is state that no company could log.
    better: which way is good.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    numerator: str
    denominator: str
    meaning: str
    scale: Moderate = 1.0
    hidden: bool = False
    better: Literal["higher", "lower"] = "higher"

    def __post_init__(self) -> None:
        check(self)

    @property
    def of_market(self) -> bool:
        """Whether it is of a whole market, not of its users."""
        return self.numerator in MARKET_COLUMNS


@dataclass(frozen=True, slots=True)
class Target:
    """What a marginal of the scenario should be: the band that `seesaw world` holds it to.

    low, high: the band; without one of them, open on that side.
    source: where the band comes from.
    kind: judged against a source, judged against an assumption, or only reported.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    source: str
    low: float | None = None
    high: float | None = None
    kind: Literal["judged", "assumed", "reported"] = "judged"

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low must be at most high, got {self.low} and {self.high}; exchange them")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of shop: what a scenario file holds.

    metrics: by name, what an experiment can report, in the order of the table.
    targets: by marginal, what the world is calibrated to.
    market: what users share when the world is run with sharing.
    """

    __pydantic_config__: ClassVar[Mapping[str, Any]] = FORBID_EXTRA

    name: str
    catalogue: CatalogueSpec
    people: PeopleSpec
    browse: BrowseSpec
    attention: Attention
    funnel: FunnelSpec
    satisfaction: SatisfactionSpec
    metrics: Mapping[str, MetricSpec]
    season: Season = field(default_factory=Season)
    market: MarketSpec = field(default_factory=MarketSpec)
    targets: Mapping[str, Target] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shown = self.browse.pages * self.attention.slots
        if shown > self.browse.candidates:
            raise ValueError(
                f"browse.candidates must be at least pages x slots = {shown}, got {self.browse.candidates}; "
                f"raise candidates or lower browse.pages"
            )
        for name, style in self.people.styles.items():
            unknown = sorted(set(style.shifts) - set(self.funnel.actions))
            if unknown:
                raise ValueError(
                    f"people.styles.{name}.shifts must name actions out of {', '.join(self.funnel.actions)}, "
                    f"got {', '.join(unknown)}"
                )
        if self.funnel.stay.median_share is not None and not self.catalogue.length_median_seconds > 0:
            raise ValueError("funnel.stay.median_share is of an item's length; give catalogue.length_median_seconds")
        self._check_market()
        self._check_metrics()

    def _check_market(self) -> None:
        recruiters, ways = self.market.recruiters, set()
        if recruiters:
            ways = set(recruiters.ways)
        for name, action in self.funnel.actions.items():
            if action.decided_by and not recruiters:
                raise ValueError(f"funnel.actions.{name} is decided by recruiters; give market.recruiters")
            if action.way is not None and action.way not in ways:
                raise ValueError(
                    f"funnel.actions.{name}.way must be one of market.recruiters.ways, got {action.way!r}; "
                    f"there are {', '.join(sorted(ways)) or 'none'}"
                )

    def _check_metrics(self) -> None:
        if not self.metrics:
            raise ValueError("metrics must hold at least one, got none; try ctr: {numerator: click, ...}")
        known = (*ledger_columns(self), "users", "satisfaction", *(MARKET_COLUMNS if self.fits else ()))
        for name, metric in self.metrics.items():
            unknown = [column for column in (metric.numerator, metric.denominator) if column not in known]
            if unknown:
                raise ValueError(
                    f"metrics.{name} must be a ratio of columns out of {', '.join(known)}, got {', '.join(unknown)}"
                )

    @property
    def fits(self) -> bool:
        """Whether applications have a fit."""
        return self.market.recruiters is not None


# Of a whole market, known where its users share recruiters: how many there are, how many are still active, how
# unevenly applications fall on items (Gini), and 1.
MARKET_COLUMNS = ("recruiters", "recruiters_active", "concentration", "markets")


def ledger_columns(scenario: Scenario) -> tuple[str, ...]:
    """Names of the totals per user.

    visits, impressions, active_days, returned_1 and returned_7 (came again on the day so many days after their
    first), each action, stay_ms, and where the scenario has them value_cents, net_cents (refunds taken off),
    watched_milli (thousandths of the item's length) and fit_milli (of applications).
    """
    actions = scenario.funnel.actions
    columns = ["visits", "impressions", "active_days", "returned_1", "returned_7", *actions, "stay_ms"]
    if any(action.units for action in actions.values()):
        columns.append("value_cents")
    if any(action.refunds for action in actions.values()):
        columns.append("net_cents")
    if scenario.funnel.stay.median_share is not None:
        columns.append("watched_milli")
    if scenario.fits:
        columns.append("fit_milli")
    return tuple(columns)


def with_conflict(scenario: Scenario, conflict: float) -> Scenario:
    """The scenario with the drivers of click and of what follows turned against each other, by one number.

    The item side of a click becomes appeal alone, that of everything after it quality alone, each as strong as
    before and of the sign that it had; the correlation of the two, and of the match at first sight with the match
    after, is 1 - 2 conflict: 0 is aligned, 0.5 unrelated, 1 opposed. Price keeps its part.
    """
    correlation = 1 - 2 * conflict

    def onto(drivers: Drivers, trait: Literal["appeal", "quality"]) -> Drivers:
        strength = hypot(drivers.get("appeal", 0.0), drivers.get("quality", 0.0))
        kept = {name: weight for name, weight in drivers.items() if name not in ("appeal", "quality")}
        # What quality lessens, such as goods sent back, it still lessens.
        return {**kept, trait: copysign(strength, drivers.get(trait, 0.0))} if strength else kept

    def turned(name: str, action: Action) -> Action:
        return replace(action, drivers=onto(action.drivers, "appeal" if name == "click" else "quality"))

    funnel = scenario.funnel
    stay = replace(funnel.stay, drivers=onto(funnel.stay.drivers, "quality"))
    satisfaction = replace(scenario.satisfaction, drivers=onto(scenario.satisfaction.drivers, "quality"))
    catalogue = replace(scenario.catalogue, appeal_quality_correlation=correlation, inner_topic_correlation=correlation)
    actions = {name: turned(name, action) for name, action in funnel.actions.items()}
    return replace(
        scenario,
        catalogue=catalogue,
        funnel=replace(funnel, actions=actions, stay=stay),
        satisfaction=satisfaction,
    )
