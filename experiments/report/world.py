"""A world in one picture: marginals as small multiples, each beside what it should be, and all bands at a glance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.marginals.histogram import LogHistogram
from experiments.marginals.looks import examination
from experiments.marginals.people import lorenz, top_share
from experiments.marginals.sample import earner
from experiments.marginals.simulated import Simulated
from experiments.marginals.table import Row
from experiments.marginals.times import delay_curve
from experiments.report.drawing import ALARM, COLOURS, INK, MUTED, RULE, style
from experiments.report.world_table import number, sentence
from sim.clock import DAY, HOUR
from sim.scenario import Target

SIZE, DPI = (16.0, 8.2), 100
SIMULATED, TARGET = COLOURS[0], "#c9dfee"
COARSE = 30  # fine bins in one bar of a histogram: 16 % wide
FEWEST = 14  # rows of bands that fill the height; fewer stay at the top
SHOWN = 3.0  # watch ratios beyond it are rare
Panel = Callable[[Axes, Simulated, "Targets"], None]
Targets = dict[str, Target]


def draw(of: Simulated, rows: Sequence[Row], title: str, path: Path) -> None:
    """Save the picture of a world as PNG; needs no display."""
    targets = {row.name: row.target for row in rows if row.target is not None}
    with style():
        figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
        figure.text(0.025, 0.965, title, fontsize=14, weight="bold", va="top", parse_math=False)
        figure.text(0.025, 0.928, sentence(rows), fontsize=9.5, color=MUTED, va="top", parse_math=False)
        grid = figure.add_gridspec(2, 4, left=0.045, right=0.725, top=0.845, bottom=0.07, hspace=0.42, wspace=0.3)
        for place, panel in zip(grid, _panels(of), strict=False):  # type: ignore[call-overload]
            axes = figure.add_subplot(place)
            _bare(axes)
            panel(axes, of, targets)
        banded = [row for row in rows if _bounded(row)]
        if banded:
            _bands(figure.add_axes((0.84, 0.07, 0.155, 0.775)), banded)
        figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def _panels(of: Simulated) -> list[Panel]:
    """The eight that say most of this scenario."""
    watched = of.scenario.funnel.stay.median_share is not None
    chosen: list[tuple[bool, Panel]] = [
        (True, _attention if examination(of) else _survival),
        (True, _dwell),
        (watched, _watch_ratio),
        (earner(of.scenario) is not None, _order_value),
        (delay_curve(of, np.ones(1)) is not None, _delay),
        (True, _pages),
        (True, _visits),
        (True, _gaps),
        (True, _concentration),
        (True, _ranking),
    ]
    return [panel for holds, panel in chosen if holds][:8]


def _attention(axes: Axes, of: Simulated, targets: Targets) -> None:
    curves = examination(of)
    assert curves is not None
    slot = np.arange(1, len(curves[0]) + 1)
    axes.bar(slot, curves[1], color=TARGET, width=0.8, label="closed form")
    axes.plot(slot, curves[0], "o", color=SIMULATED, markersize=4.5, label="simulated")
    axes.set_xticks(slot)
    _label(axes, "Attention", "slot", "share of looks")
    axes.legend(frameon=False, fontsize=7.5)


def _survival(axes: Axes, of: Simulated, targets: Targets) -> None:
    pages = of.sample.pages[1:]
    item = np.arange(1, len(pages) + 1)
    reached = pages[::-1].cumsum()[::-1] / pages.sum()
    band = targets.get("leave_per_item")
    if band is not None and band.low is not None and band.high is not None:
        low, high = ((1 - leave) ** (item - 1.0) for leave in (band.high, band.low))
        label = f"{100 * band.low:g} to {100 * band.high:g} % leave per item"
        axes.fill_between(item, low, high, color=TARGET, label=label, linewidth=0)
    axes.plot(item, reached, color=SIMULATED, linewidth=1.8, label="simulated")
    axes.set_ylim(0, 1.02)
    _label(axes, "Attention", "item of the visit", "share of visits that reach it")
    axes.legend(frameon=False, fontsize=7.5, loc="upper right")


def _dwell(axes: Axes, of: Simulated, targets: Targets) -> None:
    _histogram(axes, of.sample.stay, targets.get("dwell_median"))
    _label(axes, "Time on a clicked item", "seconds", "")


def _watch_ratio(axes: Axes, of: Simulated, targets: Targets) -> None:
    """On a linear scale, which keeps the quartiles apart."""
    watched, edges = of.sample.watched, np.linspace(0, SHOWN, 61)
    passed = np.array([watched.share_below(edge) for edge in np.maximum(edges, 1e-4)])
    axes.stairs(np.diff(passed), edges, fill=True, color=SIMULATED, alpha=0.75)
    axes.set_xlim(0, SHOWN)
    axes.set_ylim(0, np.diff(passed).max() * 1.25)
    axes.set_yticks([])
    says = []
    for share, key, name in ((0.25, "q1", "lower quartile"), (0.5, "median", "median"), (0.75, "q3", "upper quartile")):
        _mark(axes, watched.quantile(share), targets.get(f"watch_ratio_{key}"))
        says.append(f"{name} {number(watched.quantile(share))}")
    axes.text(0.98, 0.97, "\n".join(says), transform=axes.transAxes, fontsize=7.5, ha="right", va="top")
    _label(axes, "Watch ratio", "share of the item's length", "")


def _order_value(axes: Axes, of: Simulated, targets: Targets) -> None:
    _histogram(axes, of.sample.worth, None, 2 * COARSE)
    _label(axes, f"Order value, log sd {number(of.sample.worth.log_sd)}", "currency units", "")


def _gaps(axes: Axes, of: Simulated, targets: Targets) -> None:
    _histogram(axes, of.sample.gap, None)
    _label(axes, f"Time between visits, log sd {number(of.sample.gap.log_sd)}", "days", "")


def _delay(axes: Axes, of: Simulated, targets: Targets) -> None:
    hours = np.geomspace(0.02, 24 * 60, 200)
    law = delay_curve(of, hours * HOUR)
    assert law is not None
    passed = np.array([of.sample.delay.share_below(hour * HOUR) for hour in hours])
    axes.plot(hours, law, color=TARGET, linewidth=6, label="the mixture", solid_capstyle="butt")
    axes.plot(hours, passed, color=SIMULATED, linewidth=1.4, label="simulated")
    for name, seconds in (("delay_1h", HOUR), ("delay_24h", DAY), ("delay_14d", 14 * DAY)):
        band = targets.get(name)
        if band is not None and band.low is not None and band.high is not None:
            x = seconds / HOUR
            axes.plot([x, x], [band.low, band.high], color=INK, linewidth=2.2, solid_capstyle="butt", zorder=3)
    axes.set_xscale("log")
    axes.set_xticks([1 / 60, 1, 24, 14 * 24], ["1 min", "1 h", "1 d", "14 d"])
    axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    name = of.scenario.funnel.late[0]
    _label(axes, f"From click to {name.replace('_', ' ')}", "", "share that has come")
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")


def _pages(axes: Axes, of: Simulated, targets: Targets) -> None:
    pages = of.sample.pages[1:]
    axes.bar(np.arange(1, len(pages) + 1), pages / pages.sum(), color=SIMULATED, width=0.8, alpha=0.85)
    if len(pages) <= 10:
        axes.set_xticks(range(1, len(pages) + 1))
    _label(axes, "Pages of a visit", "pages shown, to the end of the list", "share of visits")


def _concentration(axes: Axes, of: Simulated, targets: Targets) -> None:
    axes.plot([0, 1], [0, 1], color=RULE, linewidth=1)
    shown = of.total("impressions")
    lines = [("impressions", shown, SIMULATED, f"top 1 % hold {100 * top_share(shown, 0.01):.0f} %")]
    if earner(of.scenario):
        spent = of.total("value_cents")
        spent = spent[spent > 0]
        lines.append(("spend", spent, COLOURS[1], f"top 10 % hold {100 * top_share(spent, 0.1):.0f} %"))
    for name, amounts, colour, says in lines:
        axes.plot(*lorenz(amounts), color=colour, linewidth=1.6, label=f"{name}: {says}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    _label(axes, "Concentration", "share of users, least active first", "share that they hold")
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")


def _visits(axes: Axes, of: Simulated, targets: Targets) -> None:
    visits = of.total("visits")
    most = max(int(np.quantile(visits, 0.98)), 5)
    step = -(-most // 30)
    edges = np.arange(0, most + 2 * step, step)
    counts = np.histogram(np.minimum(visits, edges[-1] - 1), edges)[0] / len(visits)
    axes.stairs(counts, edges - 0.5, fill=True, color=SIMULATED, alpha=0.75)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    mean = visits.mean()
    axes.axvline(mean, color=INK, linewidth=1.1)
    axes.annotate(f"mean {number(mean)}", (mean, counts.max()), (3, 0), textcoords="offset points", fontsize=7.5)
    _label(axes, f"Visits of a user in {of.days} days", "visits; the last bar is all beyond", "share of users")


def _ranking(axes: Axes, of: Simulated, targets: Targets) -> None:
    """What a better order is worth, in the two actions that the contrast is about."""
    actions = [name for name in ("click", "long_view") if name in of.scenario.funnel.actions]
    orders = (("random", of.random), ("warm-up", of.expected), ("history", of.trained))
    for n, (name, found) in enumerate(orders):
        rates = [of.rate(action, "impressions", found) for action in actions]
        x = np.arange(len(actions)) + (n - 1) * 0.27
        colour = (RULE, COLOURS[5], SIMULATED)[n]
        bars = axes.bar(x, rates, width=0.25, color=colour, label=name)
        axes.bar_label(bars, [number(rate) for rate in rates], fontsize=7, padding=2, color=MUTED)
    axes.set_xticks(range(len(actions)), [action.replace("_", " ") for action in actions])
    axes.set_xlim(-0.6, len(actions) - 0.4)
    axes.margins(y=0.15)
    _label(axes, "What the order is worth", "per impression", "")
    axes.legend(frameon=False, fontsize=7.5, title="ranked by", title_fontsize=7.5)


def _histogram(axes: Axes, of: LogHistogram, target: Target | None, coarse: int = COARSE) -> None:
    """Bars on a logarithmic scale; the median as a line on the band that it should lie in."""
    edges, counts = of.edges[::coarse], of.counts.reshape(-1, coarse).sum(axis=1)
    shares = counts / max(counts.sum(), 1e-12)
    axes.stairs(shares, edges, fill=True, color=SIMULATED, alpha=0.75, zorder=2)
    axes.set_xscale("log")
    if of.weight > 0:
        axes.set_xlim(of.quantile(0.002), of.quantile(0.998))
        _mark(axes, of.quantile(0.5), target, f"median {number(of.quantile(0.5))}")
    axes.set_ylim(0, shares.max() * 1.18 or 1)
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")


def _mark(axes: Axes, value: float, target: Target | None, says: str = "") -> None:
    """A quantile as a line on its band, with words beside its top."""
    if target is not None and target.low is not None and target.high is not None:
        axes.axvspan(target.low, target.high, color=TARGET, linewidth=0, zorder=0)
    axes.axvline(value, color=INK, linewidth=1.1, zorder=3)
    top = ("data", "axes fraction")
    axes.annotate(says, (value, 1.0), (3, -2), top, "offset points", fontsize=7.5, va="top", zorder=4)


def _bounded(row: Row) -> bool:
    target = row.target
    return row.verdict != "-" and target is not None and None not in (target.low, target.high)


def _bands(axes: Axes, rows: Sequence[Row]) -> None:
    """Every band drawn as wide as every other, with the simulated value where it lies in it or beside it."""
    place = np.array([_place(row) for row in rows])
    for y, (row, x) in enumerate(zip(rows, np.clip(place, -0.45, 1.45), strict=True)):
        assert row.target is not None
        assumed = row.target.kind == "assumed"
        axes.barh(y, 1, height=0.5, color="white" if assumed else TARGET, edgecolor=TARGET, linewidth=1.2)
        axes.plot(x, y, "o", color=ALARM if row.verdict == "OFF" else SIMULATED, markersize=6, zorder=3)
        axes.text(1.56, y, number(row.value), fontsize=8, va="center", color=INK)
        for at, limit, align in ((-0.04, row.target.low, "right"), (1.04, row.target.high, "left")):
            if limit is not None and not (limit == row.target.low and x < -0.03) and not (at > 1 and x > 1.03):
                axes.text(at, y, f"{limit:g}", fontsize=6.5, va="center", ha=align, color=MUTED)
    axes.set_xlim(-0.5, 2.1)
    axes.set_ylim(max(len(rows), FEWEST) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [row.name.replace("_", " ") for row in rows], fontsize=8, color=INK)
    axes.tick_params(length=0)
    axes.set_xticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title("Each value in its band\n(hollow: the band is assumed)", fontsize=9.5, loc="left", x=-0.3, pad=8)


def _place(row: Row) -> float:
    """Where the value lies: 0 at the low end of the band, 1 at the high one."""
    assert row.target is not None
    assert row.target.low is not None
    assert row.target.high is not None
    width = row.target.high - row.target.low
    return (row.value - row.target.low) / width if width > 0 else 0.5


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=9.5, loc="left", pad=8)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _bare(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
