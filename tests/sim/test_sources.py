"""The numbers that the e-commerce scenario quotes, recomputed from the data they are quoted from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.spec import load_experiment

RealData = Callable[[str], Path]


@pytest.fixture
def orders(real_data: RealData) -> pd.DataFrame:
    columns = ["customer", "date", "cds", "value"]
    table = pd.read_csv(real_data("cdnow/CDNOW_master.txt"), sep=r"\s+", names=columns, header=0)
    return table[table.value > 0]


def test_the_median_price_is_that_of_cdnow_orders(orders: pd.DataFrame) -> None:
    catalogue = load_experiment("ecommerce").world.scenario.catalogue
    log_value = np.log(orders.value)
    assert log_value.mean() == pytest.approx(3.28, abs=0.01)
    assert log_value.std() == pytest.approx(0.73, abs=0.01)
    assert np.log(catalogue.price_median) == pytest.approx(log_value.mean(), abs=0.01)


def test_spend_is_as_concentrated_as_the_facts_say(orders: pd.DataFrame) -> None:
    spend = orders.groupby("customer").value.sum().sort_values(ascending=False)
    top_tenth = spend.iloc[: len(spend) // 10].sum() / spend.sum()
    assert top_tenth == pytest.approx(0.509, abs=0.002)


def test_seconds_per_page_are_those_of_the_shop_sessions(real_data: RealData) -> None:
    names = real_data("online_shoppers/header.txt").read_text().strip().split(",")
    sessions = pd.read_csv(real_data("online_shoppers/online_shoppers_intention.csv"), names=names)
    browsed = sessions[(sessions.ProductRelated > 0) & (sessions.ProductRelated_Duration > 0)]
    per_page = browsed.ProductRelated_Duration / browsed.ProductRelated
    scenario = load_experiment("ecommerce").world.scenario
    assert per_page.median() == pytest.approx(scenario.browse.seconds_per_page, abs=2)
    assert np.log(per_page).std() == pytest.approx(0.73, abs=0.15)
