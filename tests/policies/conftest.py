"""One simulated shop, and every policy fitted on its log once."""

from __future__ import annotations

import json

import pytest

from policies.base import AbstractPolicy
from sim.records import Requests
from tests.logs import Shop, simulated
from tests.policies.examples import EXAMPLES, example


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """About 40,000 impressions, 2,000 clicks and 60 buys; items 0 to 4 are not among them."""
    return simulated(tmp_path_factory.mktemp("shop"), users=1000, days=8, withdrawn=range(5))


@pytest.fixture(scope="session")
def requests(shop: Shop) -> Requests:
    return shop.requests(70)


@pytest.fixture(scope="session")
def fitted(shop: Shop) -> dict[str, AbstractPolicy]:
    """By the names of `EXAMPLES`; models that several of them need are fitted once."""
    models: dict[str, AbstractPolicy] = {}

    def fit(policy: AbstractPolicy) -> AbstractPolicy:
        spec = json.dumps(policy.spec())
        if spec not in models:
            models[spec] = policy.fit(shop.log, {name: fit(model) for name, model in policy.needs().items()})
        return models[spec]

    return {name: fit(example(name)) for name in EXAMPLES}
