"""Search in a fixed order: points follow from space, seed and ticket alone, so all agents share one sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from lightsweep.sampler.base import Observation, Searcher, SubspaceSearcher
from lightsweep.space import Distribution, Space, Value

UnitRows = npt.NDArray[np.float64]

# Rows of the unit cube that are drawn at a time; a power of two keeps Sobol blocks balanced.
BLOCK = 256
# Distributions with more values than this are not tabulated: each entry is computed in Python.
TABLE = 2**12


class Lattice:
    """Convert rows of the unit cube over ``space.searched`` to indices of points in grid order, many at a time."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._distributions = [parameter.distribution for parameter in space.searched]
        self._tables = [_table(distribution) for distribution in self._distributions]

    def indices(self, rows: UnitRows) -> list[int]:
        """Return n indices as for ``space.point``; ``rows`` has the shape (n, searched parameters), in [0, 1)."""
        if self._space.when:
            return [self._space.index(self._space.at(row)) for row in rows.tolist()]
        totals = [0] * len(rows)
        for column, distribution, table in zip(rows.T, self._distributions, self._tables, strict=True):
            if table is None:
                chosen = [distribution.index_of(distribution.quantile(u)) for u in column.tolist()]
            else:
                ends, places = table
                chosen = places[np.minimum(np.searchsorted(ends, column, side="right"), len(ends) - 1)].tolist()
            size = distribution.size or 1
            totals = [total * size + index for total, index in zip(totals, chosen, strict=True)]
        return totals


class DistinctPoints:
    """Give the t-th distinct point of an endless stream of rows of the unit cube.

    The stream is read once and its points are kept, so that the next ticket costs about one row. If a whole block has
    no new point, the next free point in grid order is taken, so that every point is given in the end.

    Args:
        space: A finite space.
        block: Gives rows ``k * BLOCK`` to ``(k + 1) * BLOCK - 1`` of the stream for each k.
        first: Points that come before those of the stream, by their indices in grid order.
    """

    def __init__(self, space: Space, block: Callable[[int], UnitRows], first: Sequence[int] = ()) -> None:
        self._size = space.size or 0
        self._lattice = Lattice(space)
        self._block = block
        self._blocks = 0
        self._order = list(first)
        self._seen = set(first)
        self._walk = 0

    def at(self, ticket: int) -> int | None:
        """Return the index in grid order of the point for ``ticket``; ``None`` after the last point."""
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


def weighted_order(space: Space, seed: int) -> npt.NDArray[np.int64]:
    """Return the indices of a finite space in the order of weighted draws without replacement.

    Each point has the key log(u) / w, with u uniform and w its probability; the largest key is first (Efraimidis and
    Spirakis, "Weighted random sampling with a reservoir", 2006). Points of probability 0 are last.
    """
    with np.errstate(divide="ignore"):
        axes = {each.name: np.log(_weights(each.distribution)) for each in space.searched}
    if space.when:
        log_weights = np.array([_log_weight(space, axes, index) for index in range(space.size or 0)])
    else:
        log_weights = reduce(lambda before, axis: np.add.outer(before, axis).ravel(), axes.values(), np.zeros(1))
    uniform = np.random.default_rng(seed).random(len(log_weights))
    # log(-log(u) / w) orders as -log(u) / w does, and neither overflows nor divides by zero for a tiny w.
    keys = np.log(-np.log1p(-uniform) + np.finfo(float).tiny) - log_weights
    return np.argsort(keys, kind="stable")


def _log_weight(space: Space, axes: Mapping[str, UnitRows], index: int) -> float:
    point, searched = space.point(index), {each.name: each.distribution for each in space.searched}
    return float(sum(axes[name][searched[name].index_of(point[name])] for name in axes if name in point))


def _weights(distribution: Distribution) -> UnitRows:
    return np.asarray(distribution.weights(), dtype=np.float64)


def _table(distribution: Distribution) -> tuple[UnitRows, npt.NDArray[np.int64]] | None:
    """The end of each value's interval on the unit axis, and the value's index in grid order."""
    size = distribution.size or 0
    if size > TABLE:
        return None
    middles = [distribution.inverse(distribution.value_at(index)) for index in range(size)]
    places = np.argsort(middles, kind="stable")
    return np.cumsum(_weights(distribution)[places]), places


class ExtendedGrid:
    """Continue a grid that was changed: tickets from ``base`` on get the points that earlier tickets did not have.

    Args:
        before: The searcher of the tickets below ``base``.
        base: The first ticket of the changed grid.
        space: The changed grid.
    """

    def __init__(self, before: Searcher, base: int, space: Space) -> None:
        self._before = before
        self._base = base
        taken = set()
        for values in (before.suggest(ticket, ()) for ticket in range(base)):
            with suppress(ValueError):  # the changed grid no longer has the point
                taken.add(space.index(values or {}))
        self._rest = SubspaceSearcher(space, space, GridSearcher(space), {}, taken)
        self.size = base + (space.size or 0) - len(taken)

    def suggest(self, ticket: int, history: Sequence[Observation] = ()) -> dict[str, Value] | None:
        """Return the point of a ticket; ``None`` after the last one."""
        first = ticket < self._base
        return self._before.suggest(ticket, history) if first else self._rest.suggest(ticket - self._base, history)


# Finite spaces up to this size are ordered at once; in larger ones points are drawn ticket by ticket.
ORDERED = 2**16


def seed_for(seed: int, *parts: int) -> int:
    """Return a seed of 32 bits that follows from ``seed`` (any integer) and ``parts`` (not negative)."""
    sequence = np.random.SeedSequence(2 * abs(seed) + (seed < 0), spawn_key=parts)
    return int(sequence.generate_state(1)[0])


class GridSearcher:
    """Suggest every point of a finite space in grid order: ticket t gets point t."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def suggest(self, ticket: int, history: Sequence[Observation] = ()) -> dict[str, Value] | None:  # noqa: ARG002 - Searcher
        size = self._space.size
        return None if size is not None and ticket >= size else self._space.point(ticket)


class _StreamSearcher(ABC):
    """Suggest the points of a stream of rows of the unit cube; in a finite space each point once."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed

    def suggest(self, ticket: int, history: Sequence[Observation] = ()) -> dict[str, Value] | None:  # noqa: ARG002 - Searcher
        if self._space.size is None:
            return self._space.at(self.unit(ticket))
        index = self._points.at(ticket)
        return None if index is None else self._space.point(index)

    @abstractmethod
    def unit(self, ticket: int) -> list[float]:
        """Return the point of a ticket if the space is not finite, in [0, 1) on each axis of ``space.searched``."""

    @abstractmethod
    def _block(self, number: int) -> UnitRows: ...

    @cached_property
    def _points(self) -> DistinctPoints:
        return DistinctPoints(self._space, self._block)


class RandomSearcher(_StreamSearcher):
    """Suggest independent draws from the parameters' distributions; in a finite space each point once."""

    def unit(self, ticket: int) -> list[float]:
        return [float(u) for u in self._rows(ticket, 1)[0]]

    def _block(self, number: int) -> UnitRows:
        return self._rows(number, BLOCK)

    def _rows(self, part: int, count: int) -> UnitRows:
        generator = np.random.default_rng(seed_for(self._seed, part))
        return generator.random((count, len(self._space.searched)))

    @cached_property
    def _points(self) -> DistinctPoints:
        sizes = [parameter.distribution.size or 0 for parameter in self._space.searched]
        listed = (self._space.size or 0) <= ORDERED and max(sizes, default=0) <= TABLE
        order = weighted_order(self._space, seed_for(self._seed)).tolist() if listed else []
        return DistinctPoints(self._space, self._block, order)


class SobolSearcher(_StreamSearcher):
    """Suggest the points of a scrambled Sobol sequence, which fill the space evenly; in a finite space each once."""

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed_for(seed))
        self._blocks: list[UnitRows] = []

    def unit(self, ticket: int) -> list[float]:
        return [float(u) for u in self._block(ticket // BLOCK)[ticket % BLOCK]]

    def _block(self, number: int) -> UnitRows:
        while len(self._blocks) <= number:
            self._blocks.append(self._engine.random(BLOCK))
        return self._blocks[number]

    @cached_property
    def _engine(self) -> Any:
        # Loading scipy.stats takes a second, which agents of grid and random are spared.
        from scipy.stats.qmc import Sobol

        return Sobol(len(self._space.searched), scramble=True, seed=self._seed)


class CentreFirst:
    """Suggest the middle of all ranges for the first ticket, since ranges are written around good values, then Sobol's.

    Args:
        space: The parameters.
        seed: The seed of the Sobol sequence.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._later = SobolSearcher(space, seed)

    def suggest(self, ticket: int, history: Sequence[Observation] = ()) -> dict[str, Value] | None:
        """Return the point of a ticket; in a finite space the middle may come again."""
        if ticket == 0:
            return self._space.middle()
        return self._later.suggest(ticket - 1, history)
