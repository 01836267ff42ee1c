"""Proposals that follow from (space, seed, ticket) alone, so that any number of agents share one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lightsweep.sampler.finite import BLOCK, DistinctPoints, is_tabulated, weighted_order
from lightsweep.sampler.observation import Observation

if TYPE_CHECKING:
    from scipy.stats.qmc import Sobol

    from lightsweep.space import Space, Value

__all__ = ["GridProposer", "RandomProposer", "SobolProposer", "seed_for"]

Array = npt.NDArray[np.float64]

# Finite spaces up to this size are put in order at once; larger ones are drawn from as tickets come.
ORDERED = 2**16


def seed_for(seed: int, *parts: int) -> int:
    """A seed of 32 bits that follows from ``seed`` (any integer) and ``parts`` (not negative)."""
    sequence = np.random.SeedSequence(2 * abs(seed) + (seed < 0), spawn_key=parts)
    return int(sequence.generate_state(1)[0])


class GridProposer:
    """Every point of a finite space in grid order: ticket t gets point t."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(self, ticket: int, known: Sequence[Observation] = ()) -> dict[str, Value] | None:  # noqa: ARG002 - Proposer
        size = self._space.size
        return None if size is not None and ticket >= size else self._space.point(ticket)


class RandomProposer:
    """Independent draws from the parameters' distributions; from a finite space without repeats."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._order: npt.NDArray[np.int64] | None = None
        self._ordered = space.size is not None and space.size <= ORDERED and is_tabulated(space)
        self._stream = None if space.size is None or self._ordered else DistinctPoints(space, self._block)

    def propose(self, ticket: int, known: Sequence[Observation] = ()) -> dict[str, Value] | None:  # noqa: ARG002 - Proposer
        size = self._space.size
        if size is None:
            return self._space.at(self._rows(ticket, 1)[0].tolist())
        if ticket >= size:
            return None
        if self._stream is not None:
            index = self._stream.at(ticket)
            return None if index is None else self._space.point(index)
        if self._order is None:
            self._order = weighted_order(self._space, seed_for(self._seed))
        return self._space.point(int(self._order[ticket]))

    def _block(self, number: int) -> Array:
        return self._rows(number, BLOCK)

    def _rows(self, part: int, count: int) -> Array:
        generator = np.random.default_rng(seed_for(self._seed, part))
        return generator.random((count, len(self._space.searched)))


class SobolProposer:
    """The points of a scrambled Sobol sequence, which fill the space evenly; in a finite space without repeats."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed_for(seed)
        self._blocks: list[Array] = []
        self._engine: Sobol | None = None
        self._stream = DistinctPoints(space, self._block) if space.size is not None and space.searched else None

    def propose(self, ticket: int, known: Sequence[Observation] = ()) -> dict[str, Value] | None:  # noqa: ARG002 - Proposer
        if self._space.size is None:
            return self._space.at(self.unit(ticket))
        if self._stream is None:
            return self._space.point(0) if ticket == 0 else None
        index = self._stream.at(ticket)
        return None if index is None else self._space.point(index)

    def unit(self, ticket: int) -> list[float]:
        """Point ``ticket`` of the sequence, in [0, 1) on each axis of ``space.searched``."""
        return [float(value) for value in self._block(ticket // BLOCK)[ticket % BLOCK]]

    def _block(self, number: int) -> Array:
        if self._engine is None:
            # Loading scipy.stats takes a second, which grid and random agents are spared.
            from scipy.stats.qmc import Sobol

            self._engine = Sobol(len(self._space.searched), scramble=True, seed=self._seed)
        while len(self._blocks) <= number:
            self._blocks.append(self._engine.random(BLOCK))
        return self._blocks[number]
