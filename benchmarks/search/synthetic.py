"""Functions with known optima, made harder by unordered choices and integers; formulas from the usual test suites.

Sources: Dixon and Szegö 1978 (Branin, Hartmann), Laguna and Martí 2005 (Levy), Ackley 1987, Styblinski and Tang 1990.
But for Levy's, their optima are not at the centre of the ranges, which some methods try first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["ackley", "branin", "ellipsoid", "hartmann", "levy", "rates", "styblinski"]

_OPTIMA = np.random.default_rng(77).uniform(0.15, 0.85, (2, 8))
_WEIGHTS = np.array([1, 3, 10, 1, 0.1, 0])
_OFFSETS = {"a": 0.0, "b": 3.0, "c": 8.0}
_ACKLEY = np.array([7.3, -11.9, 18.4, -3.1])
_STEPS = np.array([3, -5, 6])
_KINDS = {"one": 2.0, "two": 4.0, "three": 0.0, "four": 1.0, "five": 3.0}
_HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_HARTMANN_C = np.array([1.0, 1.2, 3.0, 3.2])


def branin(values: Mapping[str, Any], seed: int) -> list[float]:
    """Branin's function, with a choice that shifts it up; 0.398 is the least."""
    del seed
    x, y = values["x"], values["y"]
    square = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return [square + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 + _OFFSETS[values["shift"]]]


def levy(values: Mapping[str, Any], seed: int) -> list[float]:
    """Levy's function of eight numbers; 0 is the least, at (1, ..., 1)."""
    del seed
    w = 1 + (np.array([values[f"x{number}"] for number in range(8)]) - 1) / 4
    middle = ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)).sum()
    end = (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return [float(np.sin(np.pi * w[0]) ** 2 + middle + end)]


def hartmann(values: Mapping[str, Any], seed: int) -> list[float]:
    """Hartmann's function of six numbers; -3.322 is the least."""
    del seed
    x = np.array([values[f"x{number}"] for number in range(6)])
    return [float(-(_HARTMANN_C * np.exp(-(_HARTMANN_A * (x - _HARTMANN_P) ** 2).sum(axis=1))).sum())]


def ackley(values: Mapping[str, Any], seed: int) -> list[float]:
    """Ackley's function of four numbers and three integers away from the centre, and of a choice; 0 is the least."""
    del seed
    numbers = np.array([values[f"x{number}"] for number in range(4)]) - _ACKLEY
    steps = np.array([values[f"step{number}"] for number in range(3)]) - _STEPS
    x = np.concatenate([numbers, 2.0 * steps]) / 2
    far = -20 * math.exp(-0.2 * math.sqrt(float((x**2).mean())))
    return [far - math.exp(float(np.cos(2 * np.pi * x).mean())) + 20 + math.e + _KINDS[values["kind"]]]


def styblinski(values: Mapping[str, Any], seed: int) -> list[float]:
    """The function of Styblinski and Tang of five numbers, moved and stretched; it has 32 minima."""
    del seed
    x = (np.array([values[f"x{number}"] for number in range(5)]) - _OPTIMA[0, :5] + 0.5) * 8 - 4
    return [float(0.5 * (x**4 - 16 * x**2 + 5 * x).sum())]


def ellipsoid(values: Mapping[str, Any], seed: int) -> list[float]:
    """A bowl of six numbers, one of them without effect, of a choice and of an integer; 0 is the least."""
    del seed
    x = np.array([values[f"x{number}"] for number in range(6)]) - _OPTIMA[1, :6]
    kind = {"a": 0.3, "b": 0.0, "c": 0.4}[values["k"]]
    return [float((_WEIGHTS * x**2).sum()) + kind + 0.02 * abs(values["n"] - 7)]


def rates(values: Mapping[str, Any], seed: int) -> list[float]:
    """What a small network's loss may look like: the best learning rate depends on the optimizer, high ones diverge."""
    del seed
    rate, decay = math.log10(values["lr"]), math.log10(values["wd"])
    loss = 0.3 + 0.25 * (rate + 2.7 - 1.2 * (values["opt"] == "sgd")) ** 2 + 0.02 * (decay + 3) ** 2
    loss += 0.05 * (values["depth"] - 3) ** 2 + 0.3 * (values["drop"] - 0.2) ** 2 + 0.1 * (values["act"] == "tanh")
    return [min(3.0, loss + 2.0 * (rate > -0.7))]
