"""Find the next point while runs train, so that runs which are short do not wait for the model."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lightsweep.sampler.base import Observation, Searcher
from lightsweep.space import Space, Value

# Points are found ahead if a proposal costs more than this part of a run; else to wait costs less than to know less.
SHARE = 0.05
# After a proposal the thread rests for this many times its cost, unless its point was taken: a tenth of a core at most.
REST = 9.0
# A point is left if another agent has begun a run within this part of each range: both had found the same optimum.
NEAR = 0.05
_CLOSE_SECONDS = 2.0


@dataclass(frozen=True)
class _Ready:
    """A point that was found ahead.

    Attributes:
        values: The point.
        part: The part of the sweep that it is for.
        history: The runs from which it follows.
    """

    values: dict[str, Value]
    part: object
    history: Sequence[Observation]


class AheadSearcher:
    """A searcher with one point ready; safe from several threads.

    The point is found by :meth:`prepare` in a thread, with running runs as pending ones. :meth:`suggest` takes it if
    proposals are slow beside the runs, and else asks the searcher, with all that is known by then.

    Args:
        inner: Finds the points.
        space: The parameters of the sweep.
        part: Returns the part of the sweep that a ticket belongs to; a point is not taken for another part.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        inner: Searcher,
        space: Space,
        part: Callable[[int], object],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._inner = inner
        self._space = space
        self._part = part
        self._clock = clock
        self._asking = threading.Lock()
        self._cost = 0.0
        self._run_seconds = math.inf
        self._ready: _Ready | None = None
        self._rests_until = -math.inf
        self._thread: threading.Thread | None = None

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        """Return a point; one that the thread is about to find is waited for, since that is quicker than another."""
        with self._asking:
            ready, self._ready = self._ready, None
            if ready is not None and self.pays and self._fits(ready, ticket, history):
                return ready.values
            return self._found(ticket, history)

    @property
    def pays(self) -> bool:
        """Whether a proposal costs more than `SHARE` of a run, as far as both are known."""
        return self._cost > SHARE * self._run_seconds

    def prepare(self, ticket: int, history: Callable[[], Sequence[Observation]], run_seconds: float) -> None:
        """Begin to find the next point, if that pays and something is new; returns at once.

        Args:
            ticket: The ticket that is expected next.
            history: Returns the runs so far.
            run_seconds: The time of a typical run; infinity if none is known.
        """
        self._run_seconds = run_seconds
        if not self.pays or (self._thread is not None and self._thread.is_alive()):
            return
        ready, known = self._ready, history()
        if ready is not None and (self._clock() < self._rests_until or _ends(ready.history) == _ends(known)):
            return
        self._thread = threading.Thread(
            target=self._prepare, args=(ticket, known), name="lightsweep-ahead", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Wait until the thread has found its point, two seconds at most."""
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _prepare(self, ticket: int, history: Sequence[Observation]) -> None:
        with self._asking, suppress(Exception):  # the claim of the next run meets the same error, and raises it
            values = self._found(ticket, history)
            self._ready = None if values is None else _Ready(values, self._part(ticket), history)
            self._rests_until = self._clock() + REST * self._cost

    def _found(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        begun = self._clock()
        try:
            return self._inner.suggest(ticket, history)
        finally:
            self._cost = self._clock() - begun

    def _fits(self, ready: _Ready, ticket: int, history: Sequence[Observation]) -> bool:
        """Return whether no run that was unknown to the point is at it, or near to it."""
        before, place = {each.key: each.values for each in ready.history}, self._place(ready.values)
        if self._part(ticket) is not ready.part or place is None:
            return False
        others = (self._place(each.values) for each in history if before.get(each.key) != each.values)
        return not any(
            all(abs(one - two) <= NEAR for one, two in zip(place, other, strict=True))
            for other in others
            if other is not None
        )

    def _place(self, values: Mapping[str, Value]) -> list[float] | None:
        """Return the point in the unit cube; ``None`` if it is not in the space."""
        try:
            return self._space.unit(values)
        except ValueError:
            return None


def _ends(history: Sequence[Observation]) -> list[tuple[str, str]]:
    """Return what may change a proposal: the runs, and which of them have ended, and how."""
    return [(each.key, each.state) for each in history]
