"""Begin a search with configurations that the user gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, count, islice, takewhile

from lightsweep.sampler.base import Observation, RunState, Searcher, SubspaceSearcher
from lightsweep.space import Space, Value

# So many points of the method, and then of a finite space, are tried to complete a configuration with one that is free.
DRAWN, LISTED = 64, 2**14


class FirstPoints:
    """Give the user's configurations to the first tickets; a searcher chooses what they lack, and all later points.

    The configurations take the place of the searcher's first points. In a finite space that the searcher goes through
    in order, its points move back instead, and each point is given once.

    Args:
        space: The space of the sweep.
        first: The configurations, each with some values or all.
        inner: The searcher of the sweep.
        once: Whether it goes through a finite space in an order that does not depend on other runs.

    Attributes:
        gain: As of a `BayesSearcher`; ``None`` for the user's configurations.
    """

    def __init__(self, space: Space, first: Sequence[Mapping[str, Value]], inner: Searcher, *, once: bool) -> None:
        self._space = space
        self._first = first
        self._inner = inner
        self._once = once and space.size is not None
        self.gain: float | None = None

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        """Return the point of a ticket; ``None`` if the space is exhausted."""
        self.gain = None
        points = self._points
        if ticket < len(points):
            return dict(points[ticket])
        if self._once:
            return self._rest.suggest(ticket - len(points), history)
        known = {each.ticket for each in history}
        unknown = [
            Observation(f"first {place}", place, point, RunState.RUNNING)
            for place, point in enumerate(points)
            if place not in known
        ]
        found = self._inner.suggest(ticket, [*unknown, *history])
        self.gain = getattr(self._inner, "gain", None)
        return found

    @cached_property
    def _points(self) -> list[dict[str, Value]]:
        """The points of the first tickets, all different in a finite space; fewer if it has no more."""
        points: list[dict[str, Value]] = []
        for ticket, given in enumerate(self._first):
            free = (each for each in self._completed(ticket, given) if self._is_free(each, points))
            points += islice(free, 1)
        return points

    def _is_free(self, point: dict[str, Value], points: Sequence[dict[str, Value]]) -> bool:
        return self._space.size is None or all(self._space.key(point) != self._space.key(each) for each in points)

    def _completed(self, ticket: int, given: Mapping[str, Value]) -> Iterator[dict[str, Value]]:
        """The configuration with the values that it lacks from points of the searcher, those that count more first."""
        space, size = self._space, self._space.size or 0
        middle = space.all_at([0.5] * len(space.searched))
        asked = (self._inner.suggest(place, ()) for place in islice(count(ticket), DRAWN))
        drawn = takewhile(lambda point: point is not None, asked)
        listed = map(space.point, range(min(size, LISTED)))
        for point in chain(drawn, listed):
            yield space.existing({**middle, **(point or {}), **given})

    @cached_property
    def _rest(self) -> SubspaceSearcher:
        taken = {self._space.index(point) for point in self._points}
        return SubspaceSearcher(self._space, self._space, self._inner, {}, taken)
