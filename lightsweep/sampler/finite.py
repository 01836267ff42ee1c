"""Finite spaces: distinct points in an order that follows from a seed alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from lightsweep.space import Distribution, Space

__all__ = ["BLOCK", "DistinctPoints", "Lattice", "is_tabulated", "weighted_order"]

Array = npt.NDArray[np.float64]

# Rows of the unit cube that are drawn at a time; a power of two keeps Sobol blocks balanced.
BLOCK = 256
# Distributions with more values than this are not tabulated: each entry is computed in Python.
TABLE = 2**12


class Lattice:
    """Rows of the unit cube over ``space.searched`` as indices of points in grid order, many at a time."""

    def __init__(self, space: Space) -> None:
        self._distributions = [parameter.distribution for parameter in space.searched]
        self._tables = [_table(distribution) for distribution in self._distributions]
        self._strides = [1] * len(self._distributions)
        for axis in range(len(self._strides) - 2, -1, -1):
            self._strides[axis] = self._strides[axis + 1] * (self._distributions[axis + 1].size or 1)

    def indices(self, rows: Array) -> list[int]:
        """``rows`` of shape (n, number of searched parameters) in [0, 1); n indices as for ``space.point``."""
        totals = [0] * len(rows)
        for axis, distribution in enumerate(self._distributions):
            column = rows[:, axis]
            table = self._tables[axis]
            if table is None:
                chosen = [distribution.index_of(distribution.quantile(u)) for u in column.tolist()]
            else:
                ends, places = table
                chosen = places[np.minimum(np.searchsorted(ends, column, side="right"), len(ends) - 1)].tolist()
            stride = self._strides[axis]
            totals = [total + stride * index for total, index in zip(totals, chosen, strict=True)]
        return totals


class DistinctPoints:
    """The t-th distinct point of an endless stream of rows of the unit cube.

    Args:
        space: A finite space with at least one searched parameter.
        block: Gives rows ``k * BLOCK`` to ``(k + 1) * BLOCK - 1`` of the stream for each k.

    The stream is read once and what it gave is kept, so that the next ticket costs about one row. When a whole block
    brings nothing new, the next free point in grid order is taken, so that each point comes in the end.
    """

    def __init__(self, space: Space, block: Callable[[int], Array]) -> None:
        self._size = space.size or 0
        self._lattice = Lattice(space)
        self._block = block
        self._blocks = 0
        self._order: list[int] = []
        self._seen: set[int] = set()
        self._walk = 0

    def at(self, ticket: int) -> int | None:
        """Index in grid order of the point for ``ticket``; ``None`` once all points are given."""
        if ticket >= self._size:
            return None
        while len(self._order) <= ticket:
            before = len(self._order)
            for index in self._lattice.indices(self._block(self._blocks)):
                self._add(index)
            self._blocks += 1
            if len(self._order) == before:
                while self._walk in self._seen:
                    self._walk += 1
                self._add(self._walk)
        return self._order[ticket]

    def _add(self, index: int) -> None:
        if index not in self._seen:
            self._seen.add(index)
            self._order.append(index)


def is_tabulated(space: Space) -> bool:
    """Whether every searched parameter has so few values that their probabilities are quickly listed."""
    return all((parameter.distribution.size or TABLE + 1) <= TABLE for parameter in space.searched)


def weighted_order(space: Space, seed: int) -> npt.NDArray[np.int64]:
    """Every index of a finite space once, in the order of weighted draws without replacement.

    Each point has the key log(u) / w with u uniform and w its probability, and the largest key comes first
    (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006). Points of probability 0 come last.
    """
    log_weights = np.zeros(1)
    for parameter in space.searched:
        with np.errstate(divide="ignore"):
            axis = np.log(_weights(parameter.distribution))
        log_weights = np.add.outer(log_weights, axis).ravel()
    uniform = np.random.default_rng(seed).random(len(log_weights))
    # log(-log(u) / w) orders as -log(u) / w does, and neither overflows nor divides by zero for a tiny w.
    keys = np.log(-np.log1p(-uniform) + np.finfo(float).tiny) - log_weights
    return np.argsort(keys, kind="stable")


def _weights(distribution: Distribution) -> Array:
    weights = distribution.weights()
    if weights is None:
        size = distribution.size or 1
        return np.full(size, 1.0 / size)
    return np.asarray(weights, dtype=np.float64)


def _table(distribution: Distribution) -> tuple[Array, npt.NDArray[np.int64]] | None:
    """Where the interval of each value ends along the unit axis, and the value's index in grid order."""
    size = distribution.size or 0
    if size > TABLE:
        return None
    middles = [distribution.inverse(distribution.value_at(index)) for index in range(size)]
    places = np.argsort(middles, kind="stable")
    return np.cumsum(_weights(distribution)[places]), places
