"""A grid that was changed while the sweep ran: what was handed out stays, and every other point still comes once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightsweep.sampler.observation import Observation, Proposer

if TYPE_CHECKING:
    from lightsweep.space import Space, Value

__all__ = ["ExtendedGrid"]


class ExtendedGrid:
    """Tickets below ``base`` as before; those from there on the points that none of them had, in grid order.

    Args:
        before: What gave the tickets below ``base``.
        base: The first ticket of the changed grid.
        space: The changed grid.
    """

    def __init__(self, before: Proposer, base: int, space: Space) -> None:
        self._before = before
        self._base = base
        self._space = space
        taken = sorted({index for ticket in range(base) if (index := self._index(ticket)) is not None})
        # taken[i] - i points are free below the i-th taken one.
        self._free_below = [index - position for position, index in enumerate(taken)]
        self.size = base + (space.size or 0) - len(taken)

    def propose(self, ticket: int, known: Sequence[Observation] = ()) -> dict[str, Value] | None:
        """The point of a ticket; ``None`` behind the last one."""
        if ticket < self._base:
            return self._before.propose(ticket, known)
        if ticket >= self.size:
            return None
        free = ticket - self._base
        return self._space.point(free + bisect_right(self._free_below, free))

    def _index(self, ticket: int) -> int | None:
        """Where the point of a ticket from before stands in the changed grid; ``None`` where it is no longer there."""
        values = self._before.propose(ticket, ())
        if values is None:
            return None
        try:
            return self._space.index(values)
        except ValueError:
            return None
