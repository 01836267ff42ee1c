"""The keys of every distribution of a sweep file, and the distribution that they make."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, WithJsonSchema

from lightsweep.schema.diagnostics import shown
from lightsweep.schema.fields import Block, Integer, Number, Positive
from lightsweep.schema.yaml_file import SweepLoader
from lightsweep.space import (
    Beta,
    Categorical,
    Constant,
    Continuous,
    Distribution,
    IntUniform,
    InvLogUniform,
    LogNormal,
    LogUniform,
    Normal,
    Quantized,
    Uniform,
)

__all__ = ["DISTRIBUTIONS", "Bounded", "DistributionKeys", "count", "spelt"]

MANY = 10**15
_reader = SweepLoader("")  # knows which type an unquoted text has


def count(number: int | None) -> str:
    """``number`` with thousands separated, as a power of ten where it is long, ``"endless"`` for ``None``."""
    if number is None:
        return "endless"
    return f"{number:,}" if number < MANY else f"about 10^{math.log10(number):.0f}"


def spelt(value: object) -> str:
    """A value of a parameter, as in a sweep file; numbers with as many digits as one compares.

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


MAX_VALUES = 10_000  # each run is stored with all of them


def _values(value: object) -> object:
    if not isinstance(value, list):
        raise ValueError(f"must be a list, got {shown(value)}; for one value write value: {shown(value)}")
    if not value:
        raise ValueError("must be a list of at least one value, got []")
    if len(value) > MAX_VALUES:
        raise ValueError(
            f"must be a list of at most {MAX_VALUES:,} values, got {len(value):,}; numbers in a range are min and max"
        )
    return value


def _probabilities(value: object) -> object:
    if not isinstance(value, list):
        raise ValueError(f"must be a list with one number for each of values, got {shown(value)}")
    return value


def _sigma(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0:
        raise ValueError(f"must not be negative, got {shown(value)}")
    return value


Values = Annotated[list[Any], BeforeValidator(_values), WithJsonSchema({"type": "array", "minItems": 1})]
Probabilities = Annotated[list[Number], BeforeValidator(_probabilities)]
Sigma = Annotated[Number, BeforeValidator(_sigma), WithJsonSchema({"type": "number", "minimum": 0})]


class DistributionKeys(Block):
    """The keys that go with one distribution, apart from ``distribution`` itself."""

    def build(self) -> Distribution:
        """The distribution; ``ValueError`` where the keys do not fit each other."""
        raise NotImplementedError


class ConstantKeys(DistributionKeys):
    """One fixed value."""

    value: Any
    """The value, of any type."""

    def build(self) -> Distribution:
        return Constant(self.value)


class CategoricalKeys(DistributionKeys):
    """Values that are equally likely."""

    values: Values
    """The values, of any types."""

    def build(self) -> Distribution:
        return Categorical(self.values)


class WeightedKeys(CategoricalKeys):
    """Values with a probability each."""

    probabilities: Probabilities
    """One for each value; together they are 1."""

    def build(self) -> Distribution:
        return Categorical(self.values, self.probabilities)


class Bounded(DistributionKeys):
    """Numbers between two bounds."""

    min: Number
    """The lower bound."""
    max: Number
    """The upper bound."""


class IntUniformKeys(Bounded):
    """Whole numbers, both bounds included."""

    min: Integer
    """The smallest value."""
    max: Integer
    """The largest value."""

    def build(self) -> Distribution:
        return IntUniform(self.min, self.max)


class UniformKeys(Bounded):
    """Real numbers, equally likely everywhere."""

    def build(self) -> Continuous:
        return Uniform(self.min, self.max)


class LogUniformKeys(Bounded):
    """exp(uniform(min, max))."""

    min: Number
    """The natural logarithm of the smallest value. For bounds that are values use log_uniform_values."""
    max: Number
    """The natural logarithm of the largest value."""

    def build(self) -> Continuous:
        return LogUniform(self.min, self.max)


class LogUniformValuesKeys(Bounded):
    """Log-uniform between the bounds."""

    min: Positive
    """The smallest value, above 0."""
    max: Positive
    """The largest value."""

    def build(self) -> Continuous:
        return LogUniform.from_values(self.min, self.max)


class InvLogUniformKeys(LogUniformKeys):
    """X such that log(1/X) is uniform(min, max)."""

    min: Number
    """The smallest log(1/X). For bounds that are values use inv_log_uniform_values."""
    max: Number
    """The largest log(1/X)."""

    def build(self) -> Continuous:
        return InvLogUniform(self.min, self.max)


class InvLogUniformValuesKeys(LogUniformValuesKeys):
    """X such that log(1/X) is uniform, with the bounds of X."""

    def build(self) -> Continuous:
        return InvLogUniform.from_values(self.min, self.max)


class NormalKeys(DistributionKeys):
    """The normal distribution."""

    mu: Number = 0
    """The mean."""
    sigma: Sigma = 1
    """The standard deviation."""

    def build(self) -> Continuous:
        return Normal(self.mu, self.sigma)


class LogNormalKeys(NormalKeys):
    """exp(normal(mu, sigma)); the median is exp(mu)."""

    def build(self) -> Continuous:
        return LogNormal(self.mu, self.sigma)


class BetaKeys(DistributionKeys):
    """The beta distribution on [0, 1]."""

    a: Positive = 1
    """The first shape parameter."""
    b: Positive = 1
    """The second shape parameter."""

    def build(self) -> Continuous:
        return Beta(self.a, self.b)


class QUniformKeys(UniformKeys):
    """uniform, rounded to multiples of q."""

    q: Positive = 1
    """The step. A whole number gives integers."""

    def build(self) -> Any:
        return Quantized(super().build(), self.q)


class QLogUniformKeys(LogUniformKeys):
    """log_uniform, rounded to multiples of q."""

    q: Positive = 1
    """The step. A whole number gives integers."""

    def build(self) -> Any:
        return Quantized(super().build(), self.q)


class QLogUniformValuesKeys(LogUniformValuesKeys):
    """log_uniform_values, rounded to multiples of q."""

    q: Positive = 1
    """The step. A whole number gives integers."""

    def build(self) -> Any:
        return Quantized(super().build(), self.q)


class QNormalKeys(NormalKeys):
    """normal, rounded to multiples of q."""

    q: Positive = 1
    """The step. A whole number gives integers."""

    def build(self) -> Any:
        return Quantized(super().build(), self.q)


class QLogNormalKeys(LogNormalKeys):
    """log_normal, rounded to multiples of q."""

    q: Positive = 1
    """The step. A whole number gives integers."""

    def build(self) -> Any:
        return Quantized(super().build(), self.q)


class QBetaKeys(BetaKeys):
    """beta, rounded to multiples of q."""

    q: Positive = 1
    """The step. A whole number gives integers."""

    def build(self) -> Any:
        return Quantized(super().build(), self.q)


DISTRIBUTIONS: dict[str, type[DistributionKeys]] = {
    "constant": ConstantKeys,
    "categorical": CategoricalKeys,
    "categorical_w_probabilities": WeightedKeys,
    "int_uniform": IntUniformKeys,
    "uniform": UniformKeys,
    "q_uniform": QUniformKeys,
    "log_uniform": LogUniformKeys,
    "q_log_uniform": QLogUniformKeys,
    "log_uniform_values": LogUniformValuesKeys,
    "q_log_uniform_values": QLogUniformValuesKeys,
    "inv_log_uniform": InvLogUniformKeys,
    "inv_log_uniform_values": InvLogUniformValuesKeys,
    "normal": NormalKeys,
    "q_normal": QNormalKeys,
    "log_normal": LogNormalKeys,
    "q_log_normal": QLogNormalKeys,
    "beta": BetaKeys,
    "q_beta": QBetaKeys,
}
