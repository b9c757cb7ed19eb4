"""Fixtures that all tests may use, and the one place that knows where real data may lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SEESAW_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """The path of a file of real data; the test is skipped where it is absent."""

    def path(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"{name} is not in {DATA}; set SEESAW_DATA")
        return DATA / name

    return path
