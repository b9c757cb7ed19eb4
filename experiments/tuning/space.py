"""The parameters of a tuning: what an optimiser may set, and the arm that a setting makes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.sections.tune import Parameter
from experiments.sweeps import Serving, serving
from experiments.tuning.keys import key_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Params = Mapping[str, Any]  # by name of the parameter; those without a say are absent


@dataclass(frozen=True)
class Space:
    """parameters: by name. keys: by name, the path below the arm. base: the arm as it stands in the spec."""

    parameters: Mapping[str, Parameter]
    keys: Mapping[str, str]
    base: Serving

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter], arm: str, base: Serving) -> Space:
        """base: of the resolved spec."""
        return cls(parameters, {name: key_of(name, arm, base)[0] for name in parameters}, base)

    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna is told, by name."""
        return {name: _distribution(parameter) for name, parameter in self.parameters.items()}

    def active(self, params: Params) -> Collection[str]:
        """Of a setting with all parameters, those that have a say."""
        return [name for name, parameter in self.parameters.items() if _holds(parameter, params)]

    def serving(self, params: Params) -> Serving:
        """The arm with a setting."""
        return serving(self.base, {self.keys[name]: value for name, value in params.items()})

    def as_it_is(self) -> dict[str, Any]:
        """What the spec sets the parameters to that have a say there, whether or not it lies in their ranges."""
        found = {name: _at(self.base, key) for name, key in self.keys.items()}
        return {name: found[name] for name in self.active(found)}

    def present(self) -> dict[str, Any] | None:
        """The setting of the spec; nothing where a parameter lies outside its range or is not set."""
        found = self.as_it_is()
        inside = all(_inside(self.parameters[name], value) for name, value in found.items())
        return found if inside else None


def _distribution(parameter: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if parameter.choices is not None:
        return CategoricalDistribution(parameter.choices)
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.integer:
        return IntDistribution(
            int(parameter.low), int(parameter.high), log=parameter.log, step=int(parameter.step or 1)
        )
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def _holds(parameter: Parameter, params: Params) -> bool:
    return all(
        params.get(other) in (values if isinstance(values, list) else [values])
        for other, values in parameter.when.items()
    )


def _at(base: Serving, key: str) -> Any:
    here: Any = base
    for step in key.split("."):
        if isinstance(here, list):
            here = here[int(step)]
        elif isinstance(here, Mapping):
            here = here.get(step)
        else:
            return None
    return here


def _inside(parameter: Parameter, value: Any) -> bool:
    if parameter.choices is not None:
        return value in parameter.choices
    number = isinstance(value, int | float) and not isinstance(value, bool)
    assert parameter.low is not None
    assert parameter.high is not None
    if not number or not parameter.low <= value <= parameter.high:
        return False
    if parameter.integer and not float(value).is_integer():
        return False
    steps = (value - parameter.low) / parameter.step if parameter.step else 0.0
    return abs(steps - round(steps)) < 1e-9
