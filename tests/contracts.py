"""What every policy must do, whoever wrote it.

A stranger's class is run through all of it with one line:

    check_policy(MyPolicy(...), log, requests, tmp_path)

`requests` should hold users and items that `log` has not seen; `tests.logs.Shop` makes such a pair.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest

from policies.base import GOALS, AbstractPolicy
from sim.records import LOG_COLUMNS, Log, Requests, Scores, Users
from tests.logs import STRANGER, unteachable, with_only

TOLERANCE = 1e-5  # of scores, where a sum may be taken in another order


@dataclass(frozen=True)
class Case:
    """A policy at work. policy: fitted on `log`. folder: empty, for what it saves."""

    policy: AbstractPolicy
    log: Log
    requests: Requests
    folder: Path


def check_policy(
    policy: AbstractPolicy, log: Log, requests: Requests, folder: Path, but: Collection[Callable[[Case], None]] = ()
) -> None:
    """The whole contract of `policies.base`, but for checks that are made elsewhere; fits four times."""
    fitted = again(policy).fit(log)
    for number, check in enumerate(check for check in CHECKS if check not in but):
        own = folder / str(number)
        own.mkdir(parents=True)
        check(Case(fitted, log, requests, own))


def again(policy: AbstractPolicy) -> AbstractPolicy:
    """A new policy of the same spec that has learned nothing."""
    spec = policy.spec()
    spec.pop("type")
    return type(policy).from_spec(json.loads(json.dumps(spec)))


def scores_are_finite_float32_of_the_candidates(case: Case) -> None:
    assert_scores(case.policy.score(case.requests), case.requests)


def scoring_twice_gives_the_same_bits(case: Case) -> None:
    """A policy draws nothing."""
    assert_same_bits(case.policy.score(case.requests), case.policy.score(case.requests))


def a_permutation_of_candidates_permutes_scores(case: Case) -> None:
    """score(x[pi]) = score(x)[pi], with another pi for every request."""
    requests = case.requests
    order = np.random.default_rng(1).permuted(np.tile(np.arange(requests.pools.shape[1]), (len(requests), 1)), axis=1)
    permuted = replace(
        requests, pools=np.take_along_axis(requests.candidates, order, axis=1), pool=np.arange(len(requests))
    )
    expected = np.take_along_axis(case.policy.score(requests), order, axis=1)
    np.testing.assert_allclose(case.policy.score(permuted), expected, rtol=TOLERANCE, atol=TOLERANCE)


def a_request_scores_the_same_bits_in_any_company(case: Case) -> None:
    """Alone, in a third of the wave, in the wave backwards: a row does not depend on the other rows."""
    requests, score = case.requests, case.policy.score
    whole = score(requests)
    backwards = np.arange(len(requests))[::-1]
    some = np.arange(0, len(requests), 3)
    assert_same_bits(score(requests.take(backwards)), whole[backwards])
    assert_same_bits(score(requests.take(some)), whole[some])
    for row in (0, len(requests) // 2, len(requests) - 1):
        assert_same_bits(score(requests.take(np.array([row]))), whole[[row]])


def nobody_asking_is_served_with_no_rows(case: Case) -> None:
    nobody = case.requests.take(np.zeros(0, dtype=np.int64))
    assert_scores(case.policy.score(nobody), nobody)


def users_that_the_log_does_not_know_are_served(case: Case) -> None:
    """Cold start: new ids, and waves in which old and new users stand side by side."""
    known = case.requests.users
    new = np.arange(len(known)) % 2 == 0
    mixed = replace(
        case.requests, users=Users(np.where(new, known.user + STRANGER, known.user), known.segment, known.price_band)
    )
    scores = case.policy.score(mixed)
    assert_scores(scores, mixed)
    assert_same_bits(scores[~new], case.policy.score(case.requests)[~new])


def items_that_the_log_has_never_shown_are_served(case: Case) -> None:
    unseen = ~np.isin(case.requests.candidates, case.log.item)
    assert unseen.any(), "give check_policy requests with items that the log has never shown"
    assert np.isfinite(case.policy.score(case.requests)[unseen]).all()


def goals_are_named_and_on_their_own_scale(case: Case) -> None:
    """Probabilities lie in [0, 1], stay is in seconds and >= 0; names come from GOALS or are actions of the log."""
    for goal, value in case.policy.goals(case.requests).items():
        assert goal in (*GOALS, *case.log.actions)
        assert value.shape == case.requests.candidates.shape, goal
        assert np.isfinite(value).all(), goal
        assert (value >= 0).all(), goal
        assert goal == "stay" or not case.policy.proper or (value <= 1).all(), goal


def the_spec_is_plain_and_means_the_same_policy_when_read_back(case: Case) -> None:
    """YAML writes 1 where Python may hold 1.0: both are one policy, one seed and one fit."""
    read = again(case.policy)
    assert json.loads(json.dumps(case.policy.spec()))["type"] == type(case.policy).name
    assert read.spec() == case.policy.spec()
    assert read.fit_spec() == case.policy.fit_spec()
    assert read.seed() == case.policy.seed()
    assert json.dumps(again(read).spec(), sort_keys=True) == json.dumps(read.spec(), sort_keys=True)


def equal_spec_and_log_learn_the_same_bits(case: Case) -> None:
    other = again(case.policy).fit(case.log)
    learned, relearned = case.policy.learned(), other.learned()
    assert learned.keys() == relearned.keys()
    for name in learned:
        assert_same_bits(np.asarray(learned[name]), np.asarray(relearned[name]))
    assert_same_bits(other.score(case.requests), case.policy.score(case.requests))
    assert other.notes() == case.policy.notes()


def what_is_learned_is_arrays_without_objects(case: Case) -> None:
    for name, value in case.policy.learned().items():
        assert np.asarray(value).dtype.kind in "biufU", name


def saved_and_loaded_scores_have_the_same_bits(case: Case) -> None:
    case.policy.save(case.folder)
    loaded = type(case.policy).load(case.folder)
    assert loaded.spec() == case.policy.spec()
    assert loaded.notes() == case.policy.notes()
    assert_same_bits(loaded.score(case.requests), case.policy.score(case.requests))


def saved_files_hold_no_pickles(case: Case) -> None:
    case.policy.save(case.folder)
    assert {file.suffix for file in case.folder.iterdir()} <= {".json", ".npz", ".txt"}
    with np.load(case.folder / "weights.npz", allow_pickle=False) as arrays:
        for name in arrays.files:
            assert arrays[name].dtype.kind != "O", name


def a_fresh_process_serves_the_same_bits_without_torch(case: Case) -> None:
    """Save here, load and score there, where nothing may have imported torch."""
    served_afresh({"policy": case.policy}, case.requests, case.folder)


def fitting_and_serving_leave_global_luck_alone(case: Case) -> None:
    """NumPy's global generator is somebody else's."""
    before = repr(np.random.get_state())  # noqa: NPY002
    again(case.policy).fit(case.log).score(case.requests)
    assert repr(np.random.get_state()) == before  # noqa: NPY002


def fitting_and_serving_change_neither_log_nor_requests(case: Case) -> None:
    """The arrays are locked: writing into them raises."""
    log, requests = _locked(case.log), case.requests
    before = requests.candidates.tobytes(), requests.users.segment.tobytes(), requests.items.popularity.tobytes()
    again(case.policy).fit(log).score(requests)
    after = requests.candidates.tobytes(), requests.users.segment.tobytes(), requests.items.popularity.tobytes()
    assert after == before


def it_can_see_nothing_but_records(case: Case) -> None:
    """No truth: `fit` gets a log and fitted models, and the module imports of `sim` only `sim.records`."""
    assert list(inspect.signature(type(case.policy).fit).parameters) == ["self", "log", "fitted"]
    assert sim_modules_imported(Path(inspect.getfile(type(case.policy)))) <= {"sim.records"}


def logs_that_cannot_teach_are_refused_with_a_reason_or_served(case: Case) -> None:
    """A ValueError names what is missing; a policy that does without it scores as ever."""
    for name, log in unteachable(case.log).items():
        if not is_refused(again(case.policy), log):
            served = again(case.policy).fit(log).score(case.requests)
            assert_scores(served, case.requests, name)


def the_outcomes_that_it_needs_are_known_before_a_fit_and_suffice(case: Case) -> None:
    """A log with these outcomes alone teaches it; a log without one of them is refused by the name of that one."""
    needed = again(case.policy).outcomes()
    assert needed == case.policy.outcomes()
    assert needed <= set(case.log.outcomes), "give check_policy a log that has what the policy needs"
    again(case.policy).fit(with_only(case.log, needed | {"click"}))
    for name in needed:
        with pytest.raises(ValueError, match=name):
            again(case.policy).fit(with_only(case.log, set(case.log.outcomes) - {name}))


def fusing_predictions_made_before_scores_the_same_bits(case: Case) -> None:
    """What a tuner keeps of one fit, to score many fusions by, gives the score that is served."""
    policy = case.policy
    predictions = policy.predictions(case.requests)
    for name, values in predictions.items():
        assert values.shape == case.requests.candidates.shape, name
    assert_same_bits(policy.fused(predictions, case.requests), policy.score(case.requests))


CHECKS: tuple[Callable[[Case], None], ...] = (
    scores_are_finite_float32_of_the_candidates,
    scoring_twice_gives_the_same_bits,
    a_permutation_of_candidates_permutes_scores,
    a_request_scores_the_same_bits_in_any_company,
    nobody_asking_is_served_with_no_rows,
    users_that_the_log_does_not_know_are_served,
    items_that_the_log_has_never_shown_are_served,
    goals_are_named_and_on_their_own_scale,
    fusing_predictions_made_before_scores_the_same_bits,
    the_spec_is_plain_and_means_the_same_policy_when_read_back,
    equal_spec_and_log_learn_the_same_bits,
    what_is_learned_is_arrays_without_objects,
    saved_and_loaded_scores_have_the_same_bits,
    saved_files_hold_no_pickles,
    a_fresh_process_serves_the_same_bits_without_torch,
    fitting_and_serving_leave_global_luck_alone,
    fitting_and_serving_change_neither_log_nor_requests,
    it_can_see_nothing_but_records,
    the_outcomes_that_it_needs_are_known_before_a_fit_and_suffice,
    logs_that_cannot_teach_are_refused_with_a_reason_or_served,
)


def served_afresh(policies: Mapping[str, AbstractPolicy], requests: Requests, folder: Path) -> None:
    """Several policies, by names of their folders, in one new process; each scores the same bits there."""
    _save_requests(folder / "requests.npz", requests)
    found = []
    for name, policy in policies.items():
        policy.save(folder / name)
        found.append(f"{name}={type(policy).__module__}:{type(policy).__qualname__}")
    subprocess.run(
        [sys.executable, "-c", _FRESH, str(folder), *found],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=True,
        timeout=300,
    )
    for name, policy in policies.items():
        assert_same_bits(np.load(folder / f"{name}.npy", allow_pickle=False), policy.score(requests))


def is_refused(policy: AbstractPolicy, log: Log) -> bool:
    """Whether `fit` raises a ValueError whose message says something of impressions or clicks."""
    try:
        policy.fit(log)
    except ValueError as problem:
        reason = str(problem)
    else:
        return False
    assert any(word in reason for word in ("impressions", "click")), f"unclear: {reason}"
    return True


def sim_modules_imported(source: Path) -> set[str]:
    """Modules of `sim` that a source file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"sim.{name.name}" for name in node.names} if node.module == "sim" else {node.module}
    return {name for name in found if name.split(".")[0] == "sim"}


def assert_scores(scores: Scores, requests: Requests, hint: str = "") -> None:
    """Finite, float32, one per candidate."""
    assert scores.shape == requests.candidates.shape, hint
    assert scores.dtype == np.float32, hint
    assert np.isfinite(scores).all(), hint


def assert_same_bits(one: np.ndarray, other: np.ndarray) -> None:
    """Equal type, shape and bytes."""
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


_FRESH = """
import sys
from importlib import import_module
from pathlib import Path
import numpy as np
from tests.contracts import _load_requests
folder = Path(sys.argv[1])
requests = _load_requests(folder / "requests.npz")
for known in sys.argv[2:]:
    under, _, place = known.partition("=")
    module, _, name = place.partition(":")
    found = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    policy = found.load(folder / under)
    np.save(folder / f"{under}.npy", policy.score(requests))
    policy.goals(requests)
    assert "torch" not in sys.modules, f"serving {under} must not import torch"
"""


def _save_requests(path: Path, requests: Requests) -> None:
    parts = {f"users.{f.name}": getattr(requests.users, f.name) for f in fields(requests.users)}
    parts |= {f"items.{f.name}": getattr(requests.items, f.name) for f in fields(requests.items)}
    np.savez(path, **parts, **{name: getattr(requests, name) for name in ("request", "time", "pool", "pools")})


def _load_requests(path: Path) -> Requests:
    from sim.records import Items

    with np.load(path, allow_pickle=False) as saved:
        users = Users(*(saved[f"users.{f.name}"] for f in fields(Users)))
        items = Items(*(saved[f"items.{f.name}"] for f in fields(Items)))
        return Requests(saved["request"], saved["time"], users, saved["pool"], saved["pools"], items)


def _locked(log: Log) -> Log:
    """A copy of the log whose arrays cannot be written."""
    copy = log.take(np.arange(len(log)))
    tables = [getattr(table, f.name) for table in (copy.users, copy.items) for f in fields(table)]
    for array in [*(getattr(copy, name) for name in LOG_COLUMNS), *copy.outcomes.values(), *tables]:
        array.flags.writeable = False
    return copy
