"""What every run of a sweep had at each band, kept as the reports arrive."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from lightsweep.hyperband import Hyperband, Verdict, judge

__all__ = ["BandBook"]


class BandBook:
    """The values at the bands, of all runs.

    A run's value at a band never changes once it is there, so each is noted once, from whichever source is ahead: the
    agent's memory for its own runs, the storage for those of others.
    """

    def __init__(self, hyperband: Hyperband, goal: str) -> None:
        self.hyperband = hyperband
        self.goal = goal
        self._noted: dict[str, int] = {}
        self._values: dict[int, list[float]] = {}
        self._bands: frozenset[int] = frozenset()
        self._known_upto = 0

    def is_band(self, iteration: int) -> bool:
        """Whether runs are judged afresh at this iteration."""
        if iteration > self._known_upto:
            self._known_upto = max(64, 2 * iteration)
            self._bands = frozenset(self.hyperband.bands(upto=self._known_upto))
        return iteration in self._bands

    def note(self, run: str, history: Sequence[float]) -> None:
        """Take in the finite values of a run, in order; what was noted before is skipped."""
        start = self._noted.get(run, 0)
        for iteration in range(start + 1, len(history) + 1):
            if self.is_band(iteration):
                insort(self._values.setdefault(iteration, []), history[iteration - 1])
        self._noted[run] = max(start, len(history))

    def judge(self, history: Sequence[float]) -> Verdict:
        """The verdict on a run whose values were noted."""
        band = self.hyperband.reached(len(history))
        return judge(self.hyperband, self.goal, history, self._values.get(band, []) if band else [])
