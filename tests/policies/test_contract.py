from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from policies.base import AbstractPolicy
from policies.table import POLICIES, policy_class
from sim.records import Column, Log, Requests, Scores
from tests.contracts import (
    CHECKS,
    Case,
    a_fresh_process_serves_the_same_bits_without_torch,
    check_policy,
    is_refused,
    served_afresh,
    sim_modules_imported,
)
from tests.logs import Shop, asking, random_feed, random_recruiting, unteachable
from tests.policies.examples import EXAMPLES, example

# What cannot be learned from which log; policies that learn nothing take any.
ORPHAN = "an action without a click"
REFUSED: dict[str, set[str]] = {
    "random": set(),
    "production": set(),
    "popular": {"empty", "no clicks", ORPHAN},
    "goal": {"empty", "no clicks", ORPHAN},
    "sample_weight": {"empty", "no clicks", ORPHAN},
    "bpr": {"empty", "no clicks", ORPHAN},
    "lambdamart": {"empty", "no clicks", ORPHAN},
    "xendcg": {"empty", "no clicks", ORPHAN},
    "pointwise": {"empty", "no clicks", ORPHAN},
    "weighted_sum": {"empty", "no clicks", "nothing after a click", ORPHAN},
    "click_gated": {"empty", "no clicks", "nothing after a click", ORPHAN},
    "power_product": {"empty", "no clicks", "nothing after a click", ORPHAN},
    "shifted_power_product": {"empty", "no clicks", "nothing after a click", ORPHAN},
    "exp_sum": {"empty", "no clicks", ORPHAN},
    "rank_reciprocal": {"empty", "no clicks", "nothing after a click", ORPHAN},
    "stacking": {"empty", "no clicks", "nothing after a click", ORPHAN},
    "position_feature": {"empty", "no clicks", ORPHAN},
    "pal": {"empty", "no clicks", ORPHAN},
    "ipw": {"empty", "no clicks", ORPHAN},
    "regression_em": {"empty", "no clicks", ORPHAN},
}
CONVERSIONS = "formula shared_bottom soft_sharing mmoe ple esmm esmm_ns esm2 escm2 cvr_on_clicks aman division"
REFUSED |= {name: {"empty", "no clicks", "nothing after a click", ORPHAN} for name in CONVERSIONS.split()}


def test_every_policy_of_the_table_has_an_example() -> None:
    assert set(EXAMPLES) == set(POLICIES) == set(REFUSED)


TOLD_APART = (a_fresh_process_serves_the_same_bits_without_torch,)  # of all policies in one process
ONE_BY_ONE = [check for check in CHECKS if check not in TOLD_APART]


@pytest.mark.parametrize("check", ONE_BY_ONE, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", POLICIES)
def test_contract(
    name: str,
    check: Callable[[Case], None],
    fitted: Mapping[str, AbstractPolicy],
    shop: Shop,
    requests: Requests,
    tmp_path: Path,
) -> None:
    check(Case(fitted[name], shop.log, requests, tmp_path))


def test_a_fresh_process_serves_every_policy_of_the_table_without_torch(
    fitted: Mapping[str, AbstractPolicy], requests: Requests, tmp_path: Path
) -> None:
    """All of them in one, since a process takes longer to start than a policy to serve."""
    served_afresh(fitted, requests, tmp_path)


@pytest.mark.parametrize("name", POLICIES)
def test_exactly_the_logs_that_cannot_teach_it_are_refused(name: str, shop: Shop) -> None:
    refused = {kind for kind, log in unteachable(shop.log).items() if is_refused(example(name), log)}
    assert refused == REFUSED[name]


ONE_LEVEL = {"levels": [["like"]], "label_gain": [0, 1]}
# Policies of the table as a feed and as recruiting would write them.
ELSEWHERE: dict[str, tuple[Log, str, dict[str, Any]]] = {
    "feed goal": (random_feed(), "goal", {"goal": "long_view"}),
    "feed formula": (random_feed(), "formula", {"formula": "ctr * (1 + w * like - hate)", "params": {"w": 3}}),
    "feed weights": (random_feed(), "sample_weight", {"weights": {"long_view": 1, "like": 3, "share": 10}}),
    "feed weights undone": (random_feed(), "sample_weight", {"weights": {"click": 5, "like": 5}, "undo": True}),
    "feed bpr": (random_feed(), "bpr", {"levels": [["long_view"], ["like", "share"]], "gains": [0, 1, 3]}),
    "feed lambdamart": (
        random_feed(),
        "lambdamart",
        {"levels": [["click"], ["long_view"], ["like"], ["follow", "share"]], "label_gain": [0, 1, 3, 7, 15]},
    ),
    "feed lambdamart by place": (random_feed(), "lambdamart", {**ONE_LEVEL, "position": True}),
    "feed xendcg": (random_feed(), "xendcg", {"levels": [["click"], ["long_view"], ["like"]]}),
    "feed pointwise": (random_feed(), "pointwise", ONE_LEVEL),
    "feed weighted sum": (
        random_feed(),
        "weighted_sum",
        {"weights": {"ctr": 1, "like": 2, "hate": -3, "stay": 0.001}, "miscalibrated": {"hate": 3}},
    ),
    "feed gate": (random_feed(), "click_gated", {"weights": {"like": 2, "share": 5}}),
    "feed ranks": (random_feed(), "rank_reciprocal", {"weights": {"ctr": 1, "long_view": 2}, "shifts": {"ctr": 10}}),
    "recruiting product": (random_recruiting(), "power_product", {"exponents": {"ctr": 1, "apply": 1, "answer": 0.5}}),
    "recruiting shifted product": (
        random_recruiting(),
        "shifted_power_product",
        {"exponents": {"ctr": 1, "apply": 2}, "weights": {"apply": 3}},
    ),
    "recruiting exponentials": (random_recruiting(), "exp_sum", {"weights": {"ctr": 3, "interview": 5}}),
    "feed stacking": (
        random_feed(),
        "stacking",
        {"target": {"long_view": 1, "like": 3, "stay": 0.01}, "inputs": ["ctr", "like"], "missing": "inverse_ctr"},
    ),
    "recruiting stacking": (
        random_recruiting(),
        "stacking",
        {
            "target": {"apply": 1, "call": 1},
            "inputs": ["apply", "stay"],
            "link": "logistic",
            "missing": "two_part",
            "training": {"validation_share": 0.3},
        },
    ),
    "feed esmm": (random_feed(), "esmm", {"conversion": "long_view", "training": {"slot_bias": False}}),
    "recruiting esmm": (random_recruiting(), "esmm", {"conversion": "apply"}),
    "recruiting goal": (random_recruiting(), "goal", {"goal": "answer"}),
}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_contract_in_other_funnels(case: str, tmp_path: Path) -> None:
    log, name, spec = ELSEWHERE[case]
    small = {"epochs": 2, "embedding": 4, "hidden": 8, "hidden2": 4}
    if name not in ("lambdamart", "xendcg", "pointwise"):
        spec = {**spec, "training": {**small, **spec.get("training", {})}}
    candidates = np.random.default_rng(3).permuted(np.tile(np.arange(30), (len(log.users), 1)), axis=1)[:, :12]
    policy = policy_class(name).from_spec(spec)
    check_policy(policy, log, asking(log.users, candidates, log.items), tmp_path, but=TOLD_APART)


def test_no_module_of_policies_imports_more_of_sim_than_records() -> None:
    import policies

    for source in Path(policies.__file__).parent.glob("*.py"):
        assert sim_modules_imported(source) <= {"sim.records"}, source.name


@dataclass
class Cheapest(AbstractPolicy):
    """A stranger's policy: the lowest price first, once it has seen what the dearest item costs."""

    name: ClassVar[str] = "cheapest"

    def fit(self, log: Log, fitted: Mapping[str, AbstractPolicy] | None = None) -> Self:
        self.dearest_ = np.int64(log.items.price.max())
        return self

    def score(self, requests: Requests) -> Scores:
        return (1 - requests.items.price[requests.candidates] / self.dearest_).astype(np.float32)

    def learned(self) -> dict[str, Column]:
        return {"dearest": np.asarray(self.dearest_)}

    def restore(self, learned: Mapping[str, Column]) -> Self:
        self.dearest_ = np.int64(learned["dearest"])
        return self


@dataclass
class Crowded(Cheapest):
    """Breaks the contract: an item scores by how the other requests of the wave are."""

    name: ClassVar[str] = "crowded"

    def score(self, requests: Requests) -> Scores:
        return super().score(requests) + np.float32(len(requests))


def test_a_strangers_class_passes_with_one_line(shop: Shop, requests: Requests, tmp_path: Path) -> None:
    check_policy(Cheapest(), shop.log, requests, tmp_path)


def test_a_policy_that_looks_at_the_whole_wave_is_caught(shop: Shop, requests: Requests, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_policy(Crowded(), shop.log, requests, tmp_path)
