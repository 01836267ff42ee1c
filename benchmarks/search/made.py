"""Problems that are made from a number, in milliseconds a search: what losses over hyperparameters often look like.

Each axis has its own shape and weight, and some have no effect. Choices shift the loss, move the optimum of another
axis, or switch one on. A fine ripple stands for what cross-validation leaves of chance. Some diverge at one end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["MadeLoss"]

_KINDS = ("log", "float", "integer", "list", "choice")
_LIST = (8, 16, 32, 64, 128)


class MadeLoss:
    """The loss of one made problem.

    Args:
        number: Which one.

    Attributes:
        parameters: Those of a sweep file.
    """

    def __init__(self, number: int) -> None:
        random = np.random.default_rng([2026, number])
        size = int(random.integers(3, 11))
        self._kinds = [str(one) for one in random.choice(_KINDS, size, p=(0.3, 0.25, 0.2, 0.1, 0.15))]
        self._kinds[0] = "log"
        self.parameters = {f"p{axis}": _parameter(kind, random) for axis, kind in enumerate(self._kinds)}
        self._weights = np.exp(random.normal(0.0, 1.0, size)) * (random.random(size) > 0.2)
        self._weights[0] = max(1.0, self._weights[0])
        self._weights *= 3 / self._weights.sum()
        self._best = random.beta(1.5, 1.5, size)
        self._shapes = random.integers(0, 5, size)
        self._sides = random.choice((-1.0, 1.0), size)
        self._pairs = [(*random.choice(size, 2, replace=False), *random.normal(0, 1, 2)) for _ in range(size // 3)]
        self._offsets = random.exponential(0.5, (size, 5))
        self._moved = random.integers(0, size, size)
        self._moves = random.normal(0.0, 0.2, (size, 5)) * (random.random((size, 1)) < 0.5)
        self._switch = random.random(size) < 0.25
        self._ripple = float(random.choice((0.0, 0.01, 0.03)))
        self._waves = random.uniform(10, 60, size)
        self._cliff = float(random.choice((2.0, 0.9, 0.75)))
        self._output = int(random.integers(0, 3))

    def __call__(self, values: Mapping[str, Any], seed: int) -> list[float]:
        del seed
        units = np.array([_unit(one, values[name]) for name, one in self.parameters.items()])
        best, weights, offset = self._best.copy(), self._weights.copy(), 0.0
        chosen = [axis for axis, kind in enumerate(self._kinds) if kind == "choice"]
        for axis in chosen:
            option = int(units[axis])
            offset += weights[axis] * self._offsets[axis, option]
            best[self._moved[axis]] += self._moves[axis, option]
            if self._switch[axis] and option > 0:
                weights[self._moved[axis]] = 0.0
        units[chosen] = best[chosen]
        away = units - best
        total = offset + float((weights * [self._shaped(axis, away[axis]) for axis in range(len(units))]).sum())
        total += sum(
            strength**2 * (away[left] + slope * away[right]) ** 2 for left, right, strength, slope in self._pairs
        )
        total += self._ripple * float(np.sin(self._waves * units).sum())
        if units[0] > self._cliff:
            return [math.nan]
        return [float((total, math.expm1(total), total / (1 + abs(total)))[self._output])]

    def _shaped(self, axis: int, away: float) -> float:
        side = away * self._sides[axis]
        shapes = (
            4 * away**2,
            abs(away),
            8 * away**2 if side > 0 else away**2,
            1 - math.exp(-20 * away**2),
            math.log1p(math.exp(12 * side)) / 12 + 0.3 * abs(away),
        )
        return float(shapes[self._shapes[axis]])


def _parameter(kind: str, random: np.random.Generator) -> dict[str, Any]:
    if kind == "log":
        low = float(random.choice((1e-6, 1e-5, 1e-4, 1e-3)))
        return {"distribution": "log_uniform_values", "min": low, "max": low * 10 ** int(random.integers(2, 6))}
    if kind == "float":
        return {"min": 0.0, "max": float(random.choice((0.5, 1.0)))}
    if kind == "integer":
        return {"min": 1, "max": int(random.choice((4, 12, 60)))}
    return {"values": list(_LIST) if kind == "list" else [f"option{one}" for one in range(random.integers(2, 6))]}


def _unit(one: Mapping[str, Any], value: Any) -> float:
    """The place of a value in its range; the index of a choice."""
    if "values" in one:
        place = one["values"].index(value)
        return place / (len(one["values"]) - 1) if one["values"][0] == _LIST[0] else float(place)
    low, high = one["min"], one["max"]
    if "distribution" in one:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))
