from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from policies.base import AbstractPolicy, check_log, part, prefixed
from policies.baselines import Popular, Production
from policies.esmm import ESMM
from policies.fusion import FormulaPolicy
from policies.goal import GoalModel
from policies.listwise import LambdaMART
from policies.pairwise import BPR
from policies.rules import PowerProduct
from policies.table import POLICIES, policy_class
from policies.training import Training
from policies.weighting import SampleWeight
from tests.logs import FEED, RECRUITING, SHOP, hand_made

WRITTEN_IN_PYTHON: tuple[AbstractPolicy, ...] = (
    GoalModel("ctr", Training(learning_rate=1)),
    FormulaPolicy("ctr**a * price", {"a": 1}),
    SampleWeight({"click": 1, "buy": 5}),
    BPR(gains=(0, 1, 2, 3)),
    LambdaMART(label_gain=(0, 1, 2, 3), learning_rate=1),
    ESMM(PowerProduct({"ctr": 1}), Training(embedding_decay=0)),
    BPR(),
    LambdaMART(),
)


@pytest.mark.parametrize("policy", WRITTEN_IN_PYTHON, ids=lambda policy: policy.name)
def test_a_whole_number_and_its_float_are_one_policy_with_one_seed(policy: AbstractPolicy) -> None:
    """Found in review: 1 and 1.0 hashed to different seeds, so a saved policy refitted to another model."""
    spec = json.loads(json.dumps(policy.spec()))
    spec.pop("type")
    read = type(policy).from_spec(spec)
    assert read.seed() == policy.seed()
    assert json.dumps(read.fit_spec(), sort_keys=True) == json.dumps(policy.fit_spec(), sort_keys=True)


@pytest.mark.parametrize("name", POLICIES)
def test_an_unknown_key_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="hidden_layers"):
        policy_class(name).from_spec({"hidden_layers": 3})


def test_loading_with_another_class_is_refused(tmp_path: Path) -> None:
    Production().save(tmp_path)
    with pytest.raises(ValueError, match="does not hold a popular"):
        Popular.load(tmp_path)


def test_loading_refuses_objects_that_could_run_code(tmp_path: Path) -> None:
    Popular().restore({"ratio": np.ones(3)}).save(tmp_path)
    np.savez(tmp_path / "weights.npz", ratio=np.array([{"run": "me"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        Popular.load(tmp_path)


def test_parts_put_under_prefixes_come_back_apart() -> None:
    together = prefixed("ctr", {"w": np.ones(1)}) | prefixed("ctcvr", {"w": np.zeros(2), "b.c": np.ones(3)})
    assert list(part("ctr", together)) == ["w"]
    assert list(part("ctcvr", together)) == ["w", "b.c"]


@pytest.mark.parametrize(("after", "outcome"), [(a, o) for a in (SHOP, FEED, RECRUITING) for o in a])
def test_what_happens_without_a_click_is_refused_with_its_name_and_count(after: tuple[str, ...], outcome: str) -> None:
    log = hand_made([1, 0, 0, 0], after=after, **{outcome: np.array([1, 1, 1, 0], dtype=np.int8)})
    with pytest.raises(ValueError, match=f"{outcome} must not happen without a click, but does in 2 rows"):
        check_log(log, {})


def test_too_few_positives_are_refused_with_what_was_found() -> None:
    with pytest.raises(ValueError, match="at least 3 impressions with click are needed to learn from, the log has 2"):
        check_log(hand_made([1, 0, 1]), {"click": 3})


def test_an_outcome_that_the_log_does_not_have_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no 'commen'; did you mean 'comment'\? Or .*: click, stay, long_view, like,"):
        check_log(hand_made([1], after=FEED), {"commen": 1})


def test_amounts_and_times_may_stand_beside_a_row_without_a_click() -> None:
    """The time of an order that never came is -1, and nothing in a log but actions follows a click."""
    log = hand_made([1, 0], after=("buy", "buy_time", "value", "refund", "fit"), buy_time=[5, -1], fit=[9, 9])
    assert log.actions == ("click", "buy")
    check_log(log, {"click": 1})


def test_every_key_that_a_fit_depends_on_is_part_of_its_seed() -> None:
    assert ESMM(conversion="apply").seed() != ESMM().seed() == ESMM(conversion="buy").seed()
    assert GoalModel("ctr", Training(slot_bias=False)).seed() != GoalModel("ctr").seed()
    assert BPR(levels=(("click",), ("cart",), ("buy",))).seed() != BPR().seed()


def test_just_enough_positives_are_accepted() -> None:
    check_log(hand_made([1, 0, 1]), {"click": 2})
