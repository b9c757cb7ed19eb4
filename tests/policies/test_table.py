from __future__ import annotations

import subprocess
import sys

import pytest

from policies.table import POLICIES, policy_class
from tests.policies.examples import example


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_bears_the_name_it_has_in_the_table(name: str) -> None:
    assert policy_class(name).name == name


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_and_its_keys_are_documented(name: str) -> None:
    found = policy_class(name)
    assert found.__doc__
    for key in found.json_schema().get("properties", {}):
        assert key in {"training", "goal"} or key in found.__doc__, f"{name}.{key} is not in the docstring"


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        policy_class("mmoe2")


def test_importing_and_describing_every_policy_needs_neither_torch_nor_lightgbm() -> None:
    """`seesaw --help` and `seesaw validate` wait for neither."""
    script = (
        "import sys\n"
        "from policies.table import POLICIES, policy_class\n"
        "for name in POLICIES: policy_class(name).json_schema()\n"
        "assert not {'torch', 'lightgbm'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_was_not_fitted_says_nothing_it_could_not_know(name: str) -> None:
    """Its needs, its seed and its spec come before any log."""
    policy = example(name)
    assert isinstance(policy.needs(), dict)
    assert isinstance(policy.outcomes(), frozenset)
    assert 0 <= policy.seed() < 2**32
    assert policy.spec()["type"] == name
