"""The policies by the name that YAML uses, resolved when asked for."""

from __future__ import annotations

from importlib import import_module

from policies.base import AbstractPolicy

POLICIES: dict[str, str] = {
    "random": "policies.baselines:RandomRanking",
    "popular": "policies.baselines:Popular",
    "production": "policies.baselines:Production",
    "goal": "policies.goal:GoalModel",
    "formula": "policies.fusion:FormulaPolicy",
    "sample_weight": "policies.weighting:SampleWeight",
    "bpr": "policies.pairwise:BPR",
    "lambdamart": "policies.listwise:LambdaMART",
    "esmm": "policies.esmm:ESMM",
}


def policy_class(name: str) -> type[AbstractPolicy]:
    """The class behind a name of the table; KeyError for any other."""
    module, _, attribute = POLICIES[name].partition(":")
    found = getattr(import_module(module), attribute)
    assert issubclass(found, AbstractPolicy)
    return found
