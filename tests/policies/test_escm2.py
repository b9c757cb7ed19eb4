from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from policies.escm2 import ESCM2
from sim.records import Floats

Estimator = Literal["ips", "dr"]


def logit(p: Floats) -> Tensor:
    return torch.from_numpy(np.log(p / (1 - p)))


def cross_entropy(q: Floats, label: Floats) -> Floats:
    return -(label * np.log(q) + (1 - label) * np.log(1 - q))


def losses(
    estimator: Estimator,
    clicked: Floats,
    bought: Floats,
    *,
    ctr: Floats,
    cvr: Floats,
    imputed: Floats,
    clip: float = 0.01,
) -> dict[str, float]:
    """What ESCM2 adds, for a lambda_c of 1, from probabilities."""
    logits = {"ctr": logit(ctr), "cvr": logit(cvr), "imputed": logit(imputed)}
    labels = {"click": torch.from_numpy(clicked), "buy": torch.from_numpy(bought)}
    found = ESCM2(estimator=estimator, lambda_c=1, clip=clip).more_losses(logits, labels)
    return {name: value.item() for name, value in found.items()}


CLICKED, BOUGHT = np.array([1.0, 1.0, 0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 0.0, 0.0])
CTR = np.array([0.5, 0.02, 0.3, 0.9, 0.001])
CVR, IMPUTED = np.array([0.2, 0.6, 0.1, 0.4, 0.3]), np.array([0.5, 0.1, 0.25, 0.7, 0.9])


def test_ips_and_dr_are_what_their_formulas_say_of_a_few_rows() -> None:
    """Row by row; the propensity of the last is held at the clip of .01."""
    ips, dr, imputation = 0.0, 0.0, 0.0
    for z, y, p, q, r in zip(CLICKED, BOUGHT, CTR, CVR, IMPUTED, strict=True):
        e, e_hat, weight = cross_entropy(q, y), cross_entropy(q, r), z / max(p, 0.01)
        ips += weight * e / 5
        dr += (e_hat + weight * (e - e_hat)) / 5
        imputation += weight * (e - e_hat) ** 2 / 5
    known = {"ctr": CTR, "cvr": CVR, "imputed": IMPUTED}
    assert losses("ips", CLICKED, BOUGHT, **known) == {"cvr": pytest.approx(ips)}
    assert losses("dr", CLICKED, BOUGHT, **known) == {"cvr": pytest.approx(dr), "imputation": pytest.approx(imputation)}


@pytest.mark.parametrize("estimator", ["ips", "dr"])
def test_lambda_c_scales_what_is_added(estimator: Estimator) -> None:
    logits = {"ctr": logit(CTR), "cvr": logit(CVR), "imputed": logit(IMPUTED)}
    labels = {"click": torch.from_numpy(CLICKED), "buy": torch.from_numpy(BOUGHT)}
    one, other = (ESCM2(estimator=estimator, lambda_c=c).more_losses(logits, labels) for c in (1, 0.25))
    for name, value in one.items():
        assert other[name].item() == pytest.approx(0.25 * value.item())


def test_propensities_and_imputations_are_not_moved_by_the_loss_of_pcvr() -> None:
    """A model could else lower its loss by raising pCTR; and the imputation must not move what it imputes."""
    logits = {name: logit(p).requires_grad_() for name, p in (("ctr", CTR), ("cvr", CVR), ("imputed", IMPUTED))}
    labels = {"click": torch.from_numpy(CLICKED), "buy": torch.from_numpy(BOUGHT)}
    found = ESCM2(estimator="dr").more_losses(logits, labels)
    reached = {
        name: [
            g is not None
            for g in torch.autograd.grad(loss, list(logits.values()), retain_graph=True, allow_unused=True)
        ]
        for name, loss in found.items()
    }
    assert reached == {"cvr": [False, True, False], "imputation": [False, False, True]}


CELLS = 100  # 10 users x 10 items
DRAWS, COPIES = 60, 200


def tabular(seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """P(click), P(buy | click) and a predicted pCVR by cell; what is clicked is also bought more."""
    rng = np.random.default_rng(seed)
    appeal = rng.normal(size=CELLS)
    click, buy = 1 / (1 + np.exp(1.5 - appeal)), 1 / (1 + np.exp(1 - appeal))
    return click, buy, rng.uniform(0.05, 0.6, size=CELLS)


def standard_errors_off(estimator: Estimator, *, ctr: Floats, imputed: Floats) -> tuple[float, float]:
    """By how many standard errors the mean estimate, and that of the mean over clicks, lie off the full-space loss."""
    click, buy, cvr = tabular()
    truth = (buy * cross_entropy(cvr, np.ones(CELLS)) + (1 - buy) * cross_entropy(cvr, np.zeros(CELLS))).mean()
    rng = np.random.default_rng(1)
    estimates, naive = np.zeros(DRAWS), np.zeros(DRAWS)
    for draw in range(DRAWS):
        z = (rng.random((COPIES, CELLS)) < click).astype(float)
        y = z * (rng.random((COPIES, CELLS)) < buy)
        known = {k: np.tile(v, COPIES) for k, v in (("ctr", ctr), ("cvr", cvr), ("imputed", imputed))}
        estimates[draw] = losses(estimator, z.ravel(), y.ravel(), **known, clip=1e-6)["cvr"]
        naive[draw] = (z * cross_entropy(cvr, y)).sum() / z.sum()
    return tuple((v.mean() - truth) / (v.std(ddof=1) / np.sqrt(DRAWS)) for v in (estimates, naive))  # type: ignore[return-value]


CLICK, BUY, _ = tabular()
WRONG_CTR, WRONG_BUY = np.full(CELLS, 0.5), np.full(CELLS, 0.05)


@pytest.mark.parametrize(
    ("estimator", "ctr", "imputed"),
    [("ips", CLICK, WRONG_BUY), ("dr", CLICK, WRONG_BUY), ("dr", WRONG_CTR, BUY)],
    ids=["ips with right propensities", "dr with right propensities alone", "dr with the right imputation alone"],
)
def test_the_loss_over_all_impressions_is_estimated_without_bias(
    estimator: Estimator, ctr: Floats, imputed: Floats
) -> None:
    """60 logs of 200 impressions of each of 100 cells; beside it, the mean over clicked rows is far off."""
    off, naive = standard_errors_off(estimator, ctr=ctr, imputed=imputed)
    print(f"{off:.1f} standard errors off; the mean over clicks {naive:.1f}")
    assert abs(off) < 5
    assert abs(naive) > 10


@pytest.mark.parametrize(("estimator", "imputed"), [("ips", BUY), ("dr", WRONG_BUY)])
def test_what_is_wrong_in_all_it_needs_is_biased(estimator: Estimator, imputed: Floats) -> None:
    off, _ = standard_errors_off(estimator, ctr=WRONG_CTR, imputed=imputed)
    assert abs(off) > 10


def test_without_weight_it_is_esmm_with_what_it_adds_at_zero() -> None:
    found = ESCM2(lambda_c=0).more_losses(
        {"ctr": logit(CTR), "cvr": logit(CVR)}, {"click": torch.from_numpy(CLICKED), "buy": torch.from_numpy(BOUGHT)}
    )
    assert found["cvr"].item() == 0
