"""Small experiments for tests: seconds, not minutes."""

from __future__ import annotations

from pathlib import Path

from experiments.document import parse_document
from experiments.spec import Experiment, _inline_scenario, validate

TINY = """
name: tiny
seed: 5
world: {scenario: ecommerce, users: 700, markets: 2}
warmup: {days: 4, policy: production, max_train_rows: 20000}
experiment:
  days: 3
  control: production
  arms:
    production: {share: 0.25}
    popular: {share: 0.25, policy: popular}
    trees: {share: 0.25, policy: {type: lambdamart, trees: 5}}
metrics: {goals: [gmv_per_user, ctr], guardrails: {visits_per_user: -5%}}
truth: {users: 0.5}
"""


def experiment(text: str = TINY) -> Experiment:
    """The experiment that a YAML text describes, its scenario looked up in the library."""
    document = parse_document(text, "test.yaml")
    _inline_scenario(document, Path())
    return validate(document)
