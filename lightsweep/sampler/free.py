"""Points of a finite space that no run has taken yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lightsweep.sampler.finite import BLOCK, Lattice
from lightsweep.sampler.observation import Observation

if TYPE_CHECKING:
    from lightsweep.space import Space, Value

__all__ = ["FreePoints"]

Array = npt.NDArray[np.float64]

# Spaces up to this size are searched point by point; in larger ones a random search looks around the point.
LISTED = 2**14
SCALES = (0.02, 0.1, 0.5)


class FreePoints:
    """Keeps the proposals of a finite space apart: each point is proposed once.

    In a space that is not finite every point is free.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._indices: dict[str, int | None] = {}
        self._coordinates: Array | None = None
        self._lattice = Lattice(space) if space.size is not None else None

    def taken(self, known: Sequence[Observation]) -> set[int]:
        """Indices of the points that runs of any state have; runs from outside the space are passed over."""
        if self._space.size is None:
            return set()
        for observation in known:
            if observation.key not in self._indices:
                self._indices[observation.key] = self._index(observation.values)
        indices = (self._indices[observation.key] for observation in known)
        return {index for index in indices if index is not None}

    def nearest(self, values: dict[str, Value], taken: set[int], seed: int) -> dict[str, Value] | None:
        """``values`` if it is free, else a free point near to it; ``None`` when all points are taken.

        The nearest one in the unit cube in spaces of up to 16,384 points, where two values of an unordered parameter
        are 1 apart; in larger ones the nearest that a random search seeded with ``seed`` finds.
        """
        size = self._space.size
        if size is None:
            return values
        if len(taken) >= size:
            return None
        index = self._space.index(values)
        if index not in taken:
            return values
        return self._space.point(self._listed(index, taken) if size <= LISTED else self._around(values, taken, seed))

    def _index(self, values: Mapping[str, Value]) -> int | None:
        try:
            return self._space.index(values)
        except ValueError:
            return None

    def _listed(self, index: int, taken: set[int]) -> int:
        if self._coordinates is None:
            self._coordinates = _coordinates(self._space)
        distances = ((self._coordinates - self._coordinates[index]) ** 2).sum(axis=1)
        distances[list(taken)] = np.inf
        return int(np.argmin(distances))

    def _around(self, values: Mapping[str, Value], taken: set[int], seed: int) -> int:
        generator = np.random.default_rng(seed)
        centre = np.asarray(self._space.unit(values))
        for scale in SCALES if self._lattice else ():
            rows = np.clip(generator.normal(centre, scale, (BLOCK, len(centre))), 0.0, 1.0)
            indices = self._lattice.indices(rows) if self._lattice else []
            distances = ((rows - centre) ** 2).sum(axis=1)
            free = [place for place, index in enumerate(indices) if index not in taken]
            if free:
                return indices[min(free, key=lambda place: float(distances[place]))]
        return next(index for index in range(len(taken) + 1) if index not in taken)


def _coordinates(space: Space) -> Array:
    """One row for each point of the space in grid order; an unordered parameter has a column for each value."""
    sizes = [parameter.distribution.size or 1 for parameter in space.searched]
    places = np.unravel_index(np.arange(space.size or 1), sizes)
    columns: list[Array] = []
    for parameter, size, place in zip(space.searched, sizes, places, strict=True):
        distribution = parameter.distribution
        if distribution.ordered:
            middles = [distribution.inverse(distribution.value_at(index)) for index in range(size)]
            columns.append(np.asarray(middles)[place][:, np.newaxis])
        else:
            columns.append((np.eye(size) / np.sqrt(2.0))[place])
    return np.concatenate(columns, axis=1)
