"""`seesaw schema`: the JSON Schema of experiments, for editors."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of experiments; editors with YAML support complete and check by it."""
    click.echo(json.dumps(experiment_schema(), indent=1))


def experiment_schema() -> dict[str, Any]:
    """The schema of the spec, with the keys of every policy, and scenarios by name as well as in full."""
    from experiments.spec import Experiment
    from policies.table import POLICIES, policy_class

    schema = Experiment.model_json_schema()
    definitions = schema["$defs"]
    for name in POLICIES:
        own = policy_class(name).json_schema()
        definitions |= own.pop("$defs", {})
        own["properties"] = {"type": {"const": name}, **own.get("properties", {})}
        own["required"] = ["type", *own.get("required", [])]
        own["additionalProperties"] = False
        definitions[f"policy {name}"] = own
    named = {"type": "string", "pattern": r"\.py:"}  # a file and a class of one's own
    stranger = {"type": "object", "properties": {"type": named}, "required": ["type"]}
    choices = [{"enum": list(POLICIES)}, *({"$ref": f"#/$defs/policy {name}"} for name in POLICIES), named, stranger]
    for section in ("ArmSection", "WarmupSection", "Sweep"):
        field = definitions[section]["properties"]["policy"]
        field.pop("anyOf", None)
        field.pop("type", None)
        field.pop("additionalProperties", None)
        field["anyOf"] = choices
    scenario = definitions["WorldSection"]["properties"]["scenario"]
    reference = scenario.pop("$ref")
    changed = {"type": "object", "properties": {"like": {"type": "string"}}, "required": ["like"]}
    scenario["anyOf"] = [{"type": "string"}, {"$ref": reference}, changed]
    schema["properties"]["seed"] = {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/Seeds"}]}
    margin = {"type": ["number", "string"], "pattern": r"^[+-]?[0-9.]+ *%$"}
    definitions["MetricsSection"]["properties"]["guardrails"]["additionalProperties"] = margin
    definitions["Guard"]["properties"]["margin"] = margin
    definitions["TuneSection"]["properties"]["precision"] = margin
    definitions["TuneSection"]["properties"]["reference"]["additionalProperties"] = margin
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
