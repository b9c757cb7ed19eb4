"""What a reader must know before believing a number: warnings that a run gives about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import norm

from experiments.analysis.joint import JointEstimate, Metric, joint_estimate
from experiments.analysis.lifts import Lift
from experiments.analysis.quality import FEW_CLUSTERS, SMALL_ARM, SPARSE, rate_mismatch_p_value
from experiments.analysis.stats import SufficientStats
from experiments.gather import Gathered, Table
from experiments.metrics import USERS
from experiments.results import TrueRow

DATA_ALPHA = 0.001  # as for sample ratios: what is doubted here is the test itself
TREND_ALPHA = 0.01
TOP, HEAVY = 0.005, 0.5  # the dearest 0.5 % of the buyers make .18-.26 of the squares in the shop as it is


def warnings_of(
    run: Gathered,
    groups: Mapping[str, SufficientStats],
    found: Sequence[Lift],
    truth: Mapping[tuple[str, str], TrueRow],
    roles: Mapping[str, str],
    conversions: Mapping[str, int],
    stops: Mapping[str, tuple[int, str]],
) -> list[str]:
    """Everything that is doubtful about a run, the gravest first. groups: by arm, of the test's own unit."""
    unit = run.experiment.experiment.assign.unit
    warnings = [f"{arm} was stopped after day {day}: {cause}" for arm, (day, cause) in stops.items()]
    warnings += _lost(run)
    warnings += _few(unit, groups, conversions, run)
    warnings += _unknown(found)
    if unit == "user":
        warnings += [*_trends(run, stops), *_heavy(run)]
    warnings += _unnoticed(run, warnings)
    warnings += _designed(run, unit)
    blurred = _blurred(found, truth, roles)
    if blurred:
        cure = "world.users or world.markets" if run.experiment.world.sharing else "truth.users"
        warnings.append(
            f"the truth itself is uncertain for {', '.join(blurred)} (its error is over half the estimate's); "
            f"raise {cure}"
        )
    return warnings


def _few(unit: str, groups: Mapping[str, SufficientStats], conversions: Mapping[str, int], run: Gathered) -> list[str]:
    warnings = []
    counts = {arm: stats.n for arm, stats in groups.items()}
    least, what = (FEW_CLUSTERS, f"{unit}s") if unit in ("market", "switchback") else (SMALL_ARM, f"{unit}s")
    small = {arm: n for arm, n in counts.items() if n < least}
    if small:
        warnings.append(f"too few {what} to compare: {_said(small)}; at least {least} per arm are needed")
    for other in run.experiment.experiment.assign.beside:
        fewest = min(stats.n for stats in run.groups(other).values())
        if other in ("market", "switchback") and fewest < FEW_CLUSTERS:
            warnings.append(f"too few {other}s beside: {fewest} in an arm; at least {FEW_CLUSTERS} are needed")
    few = {arm: n for arm, n in conversions.items() if n < SPARSE}
    earns = any(action.units for action in run.scenario.funnel.actions.values())
    if few:
        what = "orders for intervals of money" if earns else "conversions for intervals"
        warnings.append(f"too few {what} to be trusted: {_said(few)}; at least {SPARSE} per arm are needed")
    return warnings


def _unknown(found: Sequence[Lift]) -> list[str]:
    warnings = []
    unbounded = sorted({lift.metric for lift in found if lift.known and not lift.bounded})
    if unbounded:
        warnings.append(f"too few conversions to bound the lift of {', '.join(unbounded)}")
    unknown = {(lift.metric, lift.arm) for lift in found if not lift.known}
    arms = {lift.arm for lift in found}
    nobody = {metric for metric, _ in unknown if all((metric, arm) in unknown for arm in arms)}
    some = {f"{metric} of {arm}" for metric, arm in unknown if metric not in nobody}
    missing = [*sorted(nobody), *sorted(some)]
    if missing:
        warnings.append(f"can't tell {', '.join(missing)}: it or the control shows nothing that varies")
    return warnings


def _blurred(found: Sequence[Lift], truth: Mapping[tuple[str, str], TrueRow], roles: Mapping[str, str]) -> list[str]:
    """Goals and guardrails whose truth is not much sharper than the estimate it is to judge."""
    judged = [lift for lift in found if lift.known and roles[lift.metric] in ("goal", "guardrail")]
    return sorted({t.metric for t in judged if not truth[t.arm, t.metric].expected_lift_se <= t.se / 2})


def _lost(run: Gathered) -> list[str]:
    """Orders that payments know and the log does not: rows are lost, and in one arm more than in another."""
    unit = run.experiment.experiment.assign.unit
    tasks = {task.key: task for (of, _), task in run.plan.tests.items() if of == unit}
    told = [run.folder.notes(task)["orphans"] for task in tasks.values()]
    lost = {arm: sum(notes[arm][0] for notes in told) for arm in run.arms}
    landed = {arm: sum(notes[arm][1] for notes in told) for arm in run.arms}
    p = rate_mismatch_p_value(lost, landed)
    if not p < DATA_ALPHA:
        return []
    shares = ", ".join(f"{arm} {100 * lost[arm] / max(landed[arm], 1):.1f} %" for arm in run.arms)
    return [
        f"the log loses rows in one arm more than in another: orders without an impression in the log {shares} "
        f"(p = {p:.1g}); no comparison of totals can be trusted until the cause is found"
    ]


def _trends(run: Gathered, stops: Mapping[str, tuple[int, str]]) -> list[str]:
    """Rates whose lift is another in the second half of the test: novelty wears off, or people learn.

    The halves share users, so their lifts err together: the covariance is in the joint estimate.
    """
    at_once = set(run.scenario.funnel.at_once)
    rates = {n: m for n, m in run.scenario.metrics.items() if m.numerator in at_once and m.denominator != USERS}
    if not rates or stops:
        return []
    halves = _halves(run)
    metrics = [
        Metric(f"{half} {name}", f"{half} {m.numerator}", f"{half} {m.denominator}")
        for name, m in rates.items()
        for half in ("early", "late")
    ]
    estimate = joint_estimate(halves, metrics, cuped=False)
    control = run.experiment.experiment.control
    challengers, warnings = [arm for arm in estimate.arms if arm != control], []
    for arm in challengers:
        for n, name in enumerate(rates):
            early, late, p = _change(estimate, arm, control, [2 * n, 2 * n + 1])
            if p < TREND_ALPHA / (len(rates) * len(challengers)):
                warnings.append(
                    f"the lift of {name} of {arm} changed from {100 * early:+.1f} % in the first half of the test to "
                    f"{100 * late:+.1f} % in the second: what is new wears off, or what is learned grows; "
                    f"the lasting lift is nearer to the second"
                )
    return warnings


def _change(estimate: JointEstimate, arm: str, control: str, pair: list[int]) -> tuple[float, float, float]:
    """The lifts of both halves, and the p-value of their being one, by the delta method on their logarithms."""
    rows = [estimate.arms.index(name) for name in (arm, control)]
    value = estimate.value[np.ix_(rows, pair)]
    with np.errstate(divide="ignore", invalid="ignore"):  # an arm without a single event tells nothing
        early, late = (value[0] / value[1] - 1).tolist()
        gradients = np.array([-1.0, 1.0]) / value
        variance = sum(
            g @ estimate.covariance[row][np.ix_(pair, pair)] @ g for row, g in zip(rows, gradients, strict=True)
        )
        z = (np.log1p(late) - np.log1p(early)) / np.sqrt(variance)
    return early, late, float(2 * norm.sf(abs(z)))


def _halves(run: Gathered) -> dict[str, SufficientStats]:
    """By arm, statistics of users with the columns of both halves of the test."""
    day = -(-run.experiment.experiment.days // 2)
    whole, early = run.paired_users(day)
    columns = (*(f"early {c}" for c in early.columns), *(f"late {c}" for c in early.columns))
    values = np.concatenate([early.values, whole.values - early.values], axis=1)
    both = Table(whole.names, columns, whole.arm, values)
    return {
        name: SufficientStats.of(both.columns, both.values[both.arm == index]) for index, name in enumerate(both.names)
    }


def _heavy(run: Gathered) -> list[str]:
    """A few buyers on whom the spread of money hangs: the lift of money is where these few happen to be."""
    users = run.users
    if "value_cents" not in users.columns:
        return []
    value = np.sort(users.values[:, users.columns.index("value_cents")])[::-1]
    buyers = int(np.count_nonzero(value))
    if buyers < SPARSE * len(run.arms):  # of a handful of orders, a few always have most
        return []
    few = max(5, round(TOP * buyers))
    share = float((value[:few] ** 2).sum() / (value**2).sum())
    if share < HEAVY:
        return []
    return [
        f"heavy spenders: {few} of {buyers} buyers make {100 * share:.0f} % of the spread of order value (sum of "
        f"squares), so lifts of money depend on which arm these few are in; read orders and rates first"
    ]


# Of each fault: how the warning begins by which the analysis notices it.
_NOTICED = {"heavy_spenders": "heavy spenders", "novelty": "the lift of ", "lost_rows": "the log loses rows"}


def _unnoticed(run: Gathered, warnings: Sequence[str]) -> list[str]:
    """Faults that are switched on and that the analysis, by itself, did not see."""
    on = [name for name in _NOTICED if getattr(run.experiment.faults, name) is not None]
    blind = [name for name in on if not any(line.startswith(_NOTICED[name]) for line in warnings)]
    said = [f"faults.{name} is on, and nothing in what a company could log gave it away" for name in blind]
    if "novelty" in on:
        said.append("novelty is on: the estimates hold it, the truth is without it, as after it has worn off")
    return said


def _designed(run: Gathered, unit: str) -> list[str]:
    """What the design itself cannot tell."""
    warnings, test = [], run.experiment.experiment
    if run.experiment.world.sharing and unit in ("user", "visit"):
        warnings.append(
            f"users share {_shared(run)}, so arms divided by {unit} take from each other: the estimates are biased "
            f"towards what one arm takes from another; divide by market (experiment.assign.unit: market)"
        )
    if unit == "visit":
        warnings.append(
            "divided by visit: what is said per user is per visit, and returning to the shop cannot be told"
        )
    if test.coupled:
        warnings.append("the test's calendar couples the markets: they were simulated together, by one process")
    retrained = [name for name, arm in test.arms.items() if arm.retrain and arm.retrain.every_days < test.days]
    if retrained:
        warnings.append(
            f"{', '.join(retrained)} learned during the test, which the truth does not: it is of the policy as it "
            f"was when the test began"
        )
    return warnings


def _shared(run: Gathered) -> str:
    market = run.scenario.market
    both = (("stock", market.stock), ("the attention of recruiters", market.recruiters))
    return " and ".join(name for name, spec in both if spec is not None)


def _said(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{arm} {n}" for arm, n in counts.items())
