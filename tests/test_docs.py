"""What the documents say of policies is what the table has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from experiments.policy_spec import policy_problems
from policies.table import POLICIES

PAGE = (Path(__file__).parent.parent / "docs" / "policies.md").read_text()
EXAMPLES = [text for text in re.findall(r"`(\{type: [^`]+\})`", PAGE) if "NAME" not in text]
BALANCES = {"fixed", "uncertainty", "mgda", "mgda_ub", "tchebycheff"}


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_is_in_the_page_of_policies(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_line_of_yaml_in_the_page_is_a_policy_or_a_balance(text: str) -> None:
    mapping = YAML(typ="safe", pure=True).load(text)
    if mapping["type"] in BALANCES:
        mapping = {"type": "shared_bottom", "balance": mapping}
    assert policy_problems(mapping) == []


def test_every_balance_is_in_the_page() -> None:
    assert {name for name in BALANCES if f"{{type: {name}" in PAGE} == BALANCES
