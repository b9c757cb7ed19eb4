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
    "weighted_sum": "policies.fusion:WeightedSumPolicy",
    "click_gated": "policies.fusion:ClickGatedPolicy",
    "power_product": "policies.fusion:PowerProductPolicy",
    "shifted_power_product": "policies.fusion:ShiftedPowerProductPolicy",
    "exp_sum": "policies.fusion:ExpSumPolicy",
    "rank_reciprocal": "policies.fusion:RankReciprocalPolicy",
    "stacking": "policies.stacking:Stacking",
    "sample_weight": "policies.weighting:SampleWeight",
    "bpr": "policies.pairwise:BPR",
    "lambdamart": "policies.listwise:LambdaMART",
    "xendcg": "policies.listwise:XENDCG",
    "pointwise": "policies.listwise:Pointwise",
    "shared_bottom": "policies.multitask:SharedBottom",
    "soft_sharing": "policies.multitask:SoftSharing",
    "mmoe": "policies.multitask:MMoE",
    "ple": "policies.multitask:PLE",
    "esmm": "policies.esmm:ESMM",
    "esmm_ns": "policies.esmm:ESMMNS",
    "esm2": "policies.esm2:ESM2",
    "escm2": "policies.escm2:ESCM2",
    "cvr_on_clicks": "policies.cvr:CvrOnClicks",
    "aman": "policies.cvr:AllMissingAsNegative",
    "division": "policies.cvr:Division",
    "position_feature": "policies.position_feature:PositionFeature",
    "pal": "policies.pal:PAL",
    "ipw": "policies.ipw:IPW",
    "regression_em": "policies.regression_em:RegressionEM",
}


def policy_class(name: str) -> type[AbstractPolicy]:
    """The class behind a name of the table; KeyError for any other."""
    module, _, attribute = POLICIES[name].partition(":")
    found = getattr(import_module(module), attribute)
    assert issubclass(found, AbstractPolicy)
    return found
