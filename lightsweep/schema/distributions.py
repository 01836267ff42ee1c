"""The distributions of a sweep file: their keys, and the class that each makes. A new one is one entry."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from lightsweep.schema.fields import ANYTHING, Key, Rule, number, rule
from lightsweep.schema.yaml_file import SweepLoader
from lightsweep.space import Distribution, continuous, discrete
from lightsweep.text import quoted

MANY = 10**15
MAX_VALUES = 10_000  # each run is stored with all of them
_reader = SweepLoader("")  # knows which type an unquoted text has


@dataclass(frozen=True)
class Form:
    """A distribution in a sweep file.

    Attributes:
        about: One sentence, for the JSON Schema.
        keys: Its keys beside ``distribution``, in the order in which ``build`` takes their values.
        build: Makes the distribution; ``ValueError`` if the values do not fit each other.
    """

    about: str
    keys: Mapping[str, Key]
    build: Callable[..., Distribution]

    def make(self, values: Mapping[str, Any]) -> Distribution:
        """Return the distribution; a key without a value has its default."""
        return self.build(*(values.get(name, key.default) for name, key in self.keys.items()))


def _values(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, got {quoted(value)}; for one value write value: {quoted(value)}")
    if not value:
        raise ValueError("must be a list of at least one value, got []")
    if len(value) > MAX_VALUES:
        raise ValueError(
            f"must be a list of at most {MAX_VALUES:,} values, got {len(value):,}; use min and max for a range"
        )
    return value


_NUMBER, _POSITIVE, _WHOLE = number(), number(above=0), number(whole=True)
_VALUES = Key(Rule(_values, {"type": "array", "minItems": 1}), "The values, of any types.")
_LIST = rule(lambda value: isinstance(value, list), "a list with one number for each of values", {"type": "array"})
_WEIGHTS = Rule(_LIST.read, {"type": "array", "items": _NUMBER.schema}, each=_NUMBER)
_STEP = Key(_POSITIVE, "The step. A whole number gives integers.", 1)


def _bounds(rule: Rule, low: str, high: str) -> dict[str, Key]:
    return {"min": Key(rule, low), "max": Key(rule, high)}


_ANY = _bounds(_NUMBER, "The lower bound.", "The upper bound.")
_EXPONENTS = _bounds(
    _NUMBER,
    "The natural logarithm of the smallest value. For bounds that are values use log_uniform_values.",
    "The natural logarithm of the largest value.",
)
_INVERSE = _bounds(
    _NUMBER, "The smallest log(1/X). For bounds that are values use inv_log_uniform_values.", "The largest log(1/X)."
)
_NORMAL = {"mu": Key(_NUMBER, "The mean.", 0), "sigma": Key(number(least=0), "The standard deviation.", 1)}
_LOG_NORMAL = {
    "mu": Key(_NUMBER, "The logarithm of the median.", 0),
    "sigma": Key(number(least=0), "The standard deviation of the logarithm.", 1),
}
_SHAPES = {"a": Key(_POSITIVE, "The first shape parameter.", 1), "b": Key(_POSITIVE, "The second shape parameter.", 1)}
_WHOLE_BOUNDS = _bounds(_WHOLE, "The smallest value.", "The largest value.")
_VALUE_BOUNDS = _bounds(_POSITIVE, "The smallest value, above 0.", "The largest value.")

DISTRIBUTIONS: dict[str, Form] = {
    "constant": Form("One fixed value.", {"value": Key(ANYTHING, "The value, of any type.")}, discrete.Constant),
    "categorical": Form("Values that are equally likely.", {"values": _VALUES}, discrete.Categorical),
    "categorical_w_probabilities": Form(
        "Values with a probability each.",
        {"values": _VALUES, "probabilities": Key(_WEIGHTS, "One for each value; together they are 1.")},
        discrete.Categorical,
    ),
    "int_uniform": Form("Whole numbers, both bounds included.", _WHOLE_BOUNDS, discrete.IntUniform),
    "uniform": Form("Real numbers, equally likely everywhere.", _ANY, continuous.Uniform),
    "log_uniform": Form("exp(uniform(min, max)).", _EXPONENTS, continuous.LogUniform),
    "log_uniform_values": Form("Log-uniform between the bounds.", _VALUE_BOUNDS, continuous.LogUniform.from_values),
    "inv_log_uniform": Form("X such that log(1/X) is uniform(min, max).", _INVERSE, continuous.InvLogUniform),
    "inv_log_uniform_values": Form(
        "X such that log(1/X) is uniform, with the bounds of X.", _VALUE_BOUNDS, continuous.InvLogUniform.from_values
    ),
    "normal": Form("The normal distribution.", _NORMAL, continuous.Normal),
    "log_normal": Form("exp(normal(mu, sigma)); the median is exp(mu).", _LOG_NORMAL, continuous.LogNormal),
    "beta": Form("The beta distribution on [0, 1].", _SHAPES, continuous.Beta),
}


def _in_steps(base: Form, name: str) -> Form:
    def build(*values: Any) -> Distribution:
        rounded: Any = base.build(*values[:-1])
        return discrete.Quantized(rounded, values[-1])

    return Form(f"{name}, rounded to multiples of q.", {**base.keys, "q": _STEP}, build)


for _name in ("uniform", "log_uniform", "log_uniform_values", "normal", "log_normal", "beta"):
    DISTRIBUTIONS[f"q_{_name}"] = _in_steps(DISTRIBUTIONS[_name], _name)


def count(number: int | None) -> str:
    """Return ``number`` with separated thousands, as a power of ten if it is long, ``"unlimited"`` for ``None``."""
    if number is None:
        return "unlimited"
    return f"{number:,}" if number < MANY else f"about 10^{math.log10(number):.0f}"


def spelt(value: object) -> str:
    """Return the value of a parameter as in a sweep file; numbers with as many digits as a reader compares.

    A text is quoted if a sweep file would read it as another type without quotes (``"true"``, ``"1e-5"``), or if its
    ends would not show in a list.
    """
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else f"{value:.4g}"
    if isinstance(value, str):
        tag = _reader.resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[no-untyped-call]
        unclear = tag.rpartition(":")[2] in {"bool", "int", "float", "null"} or value != value.strip() or ", " in value
        return json.dumps(value, ensure_ascii=False) if unclear else value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, list, dict, type(None))) else str(value)
