"""Distributions and numbers in words."""

from __future__ import annotations

import json
import math

from lightsweep.space import (
    Beta,
    Categorical,
    Constant,
    Distribution,
    IntUniform,
    InvLogUniform,
    LogNormal,
    LogUniform,
    Normal,
    Quantized,
    Uniform,
)

__all__ = ["count", "kind", "reach", "spelt"]

KINDS: dict[type[Distribution], str] = {
    Constant: "fixed",
    IntUniform: "integer",
    Uniform: "uniform",
    LogUniform: "log-uniform",
    InvLogUniform: "inverse log-uniform",
    Normal: "normal",
    LogNormal: "log-normal",
    Beta: "beta",
}
MANY = 10**15


def count(number: int | None) -> str:
    """``number`` with thousands separated, as a power of ten where it is long, ``"endless"`` for ``None``."""
    if number is None:
        return "endless"
    return f"{number:,}" if number < MANY else f"about 10^{math.log10(number):.0f}"


def kind(distribution: Distribution) -> str:
    """The distribution in words: ``"log-uniform, steps of 8"``; ``"fixed"`` where it has one value only."""
    if distribution.size == 1:
        return "fixed"
    if isinstance(distribution, Quantized):
        return f"{kind(distribution.base)}, steps of {distribution.q:g}"
    if isinstance(distribution, Categorical):
        return "one of" if distribution.probabilities is None else "one of, weighted"
    return KINDS.get(type(distribution), distribution.name)


def reach(distribution: Distribution) -> str:
    """Where the values lie: the values themselves, the smallest and the largest, or the parameters of the curve."""
    if distribution.size == 1:
        return spelt(distribution.value_at(0))
    if isinstance(distribution, Categorical):
        weights = distribution.weights()
        values = [spelt(distribution.value_at(index)) for index in range(distribution.size)]
        if distribution.probabilities is None:
            return ", ".join(values)
        return ", ".join(f"{value} ({weight:.0%})" for value, weight in zip(values, weights, strict=True))
    base = distribution.base if isinstance(distribution, Quantized) else distribution
    if isinstance(base, LogNormal):
        return f"median {math.exp(base.mu):g}, sigma {base.sigma:g}"
    if isinstance(base, Normal):
        return f"mean {base.mu:g}, sigma {base.sigma:g}"
    if isinstance(base, Beta) and base is distribution:
        return f"0 to 1, a {base.a:g}, b {base.b:g}"
    return f"{spelt(distribution.quantile(0))} to {spelt(distribution.quantile(1))}"


def spelt(value: object) -> str:
    """A value of a parameter, as in a sweep file; numbers with as many digits as one compares."""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else f"{value:.4g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (bool, list, dict, type(None))) else str(value)
