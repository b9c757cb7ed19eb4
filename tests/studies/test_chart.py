from __future__ import annotations

import pytest

from tests.studies import chart
from tests.studies.cvr import CELLS, PAGE, TABLE, read, with_tables


def test_the_page_has_the_tables_of_the_file() -> None:
    page = PAGE.read_text()
    assert with_tables(page, read(TABLE)) == page


def test_every_cell_of_the_file_has_all_its_models_on_all_its_seeds() -> None:
    lines = read(TABLE)
    for cell in chart.names(lines, "cell"):
        found = [(line["model"], int(line["seed"])) for line in lines if line["cell"] == cell]
        wanted = {(model, seed) for model in CELLS[cell].models for seed in CELLS[cell].seeds}
        assert len(found) == len(set(found))
        assert set(found) == wanted


def test_differences_are_taken_within_seeds() -> None:
    """Seeds differ by 1, the models by 0.1 and 0.3: 0.2 on average, with a standard error of 0.1."""
    values = {"cvr_on_clicks": {1: 1.0, 2: 2.0}, "esmm": {2: 2.3, 1: 1.1}}
    lines = [
        {"cell": "a", "model": model, "seed": str(seed), "auc": str(auc)}
        for model, seeds in values.items()
        for seed, auc in seeds.items()
    ]
    found = chart.against(lines, "a", "esmm", "auc")
    assert found.mean == pytest.approx(0.2)
    assert found.error == pytest.approx(0.1)
