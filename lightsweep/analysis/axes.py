"""Parameters as numbers: the axis on which each is looked at."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightsweep.schema import SweepConfig
from lightsweep.space import Distribution, Scale, identity

__all__ = ["Axis", "axes", "unit_scaled"]


@dataclass(frozen=True)
class Axis:
    """One parameter of several runs, as numbers.

    Attributes:
        name: The parameter's dotted name.
        scale: ``linear``; ``log``: the natural logarithm; ``rank``: the place in the sorted list of its values;
            ``category``: a number for each value, which means nothing.
        values: Shape (runs,): where each run stands, scaled to [0, 1] except for ``category``; NaN for a run without
            the parameter, which is a category of its own for ``category``.
    """

    name: str
    scale: Scale
    values: NDArray[np.float64]


def axes(values: Sequence[Mapping[str, Any]], config: SweepConfig) -> list[Axis]:
    """The searched parameters of runs, in the order of the space, then those that only the runs know, by name.

    A parameter of a space that is defined by run is linear where all of its values are numbers, else a category.

    Args:
        values: The parameters of each run, flat.
        config: The sweep's config.
    """
    found = [
        _axis(parameter.name, parameter.distribution.traits.scale, values, parameter.distribution)
        for parameter in config.space.searched
    ]
    declared = {parameter.name for parameter in config.space.parameters}
    for name in sorted({name for run in values for name in run} - declared):
        numbers = all(_is_number(run[name]) for run in values if name in run)
        found.append(_axis(name, "linear" if numbers else "category", values))
    return found


def _axis(name: str, scale: Scale, runs: Sequence[Mapping[str, Any]], distribution: Distribution | None = None) -> Axis:
    if scale == "category":
        codes: dict[Hashable, int] = {}
        if distribution is not None:  # numbered as in the sweep file, whatever came up first
            for index in range(distribution.size or 0):
                codes[identity(distribution.value_at(index))] = index
        keys = [identity(run[name]) if name in run else ("absent",) for run in runs]
        numbers = [float(codes.setdefault(key, len(codes))) for key in keys]
        return Axis(name, scale, np.array(numbers))
    place_of: dict[Hashable, int] = {}
    if distribution is not None and distribution.choices is not None:
        known = [*distribution.choices, *(run[name] for run in runs if name in run)]  # also of an earlier sweep file
        ranked = sorted({identity(value): value for value in known}.values())
        place_of = {identity(value): order for order, value in enumerate(ranked)}

    def place(value: Any) -> float:
        if scale == "rank":
            return float(place_of[identity(value)])
        return distribution.place(value) if distribution is not None else float(value)

    return Axis(name, scale, unit_scaled(np.array([place(run[name]) if name in run else math.nan for run in runs])))


def unit_scaled(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """``numbers`` from 0 (least) to 1 (greatest); all 0 where they are equal. NaN stays; nothing overflows."""
    present = numbers[~np.isnan(numbers)]
    greatest = np.abs(present).max(initial=0.0)
    if greatest == 0:
        return numbers
    shrunk = numbers / greatest
    low, high = np.nanmin(shrunk), np.nanmax(shrunk)
    spread: NDArray[np.float64] = (shrunk - low) / ((high - low) or 1.0)
    return spread


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
