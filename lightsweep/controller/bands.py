"""Keep the values of all runs at each band, as the reports arrive."""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Sequence

from lightsweep.hyperband import Hyperband, Verdict, verdict
from lightsweep.schema import SweepConfig


class BandValues:
    """The values of all runs at the bands. Safe from several threads.

    A value at a band never changes, so each is noted once: from the agent's memory for its own runs, from the storage
    for the others. The lock is held for work in memory only, so no report waits for the storage.
    """

    def __init__(self, hyperband: Hyperband, goal: str) -> None:
        self.hyperband = hyperband
        self.goal = goal
        self._lock = threading.RLock()
        self._noted: dict[str, int] = {}
        self._values: dict[int, list[float]] = {}
        self._best: dict[str, float] = {}
        self._better = min if goal == "minimize" else max
        self._bands: frozenset[int] = frozenset()
        self._known_upto = 0

    def is_band(self, iteration: int) -> bool:
        """Return whether the iteration is a band."""
        with self._lock:
            if iteration > self._known_upto:
                self._known_upto = max(64, 2 * iteration)
                self._bands = frozenset(self.hyperband.bands(upto=self._known_upto))
            return iteration in self._bands

    def note(self, run: str, history: Sequence[float]) -> None:
        """Note the finite values of a run, in order; values noted before are skipped."""
        with self._lock:
            start = self._noted.get(run, 0)
            for iteration in range(start + 1, len(history) + 1):
                value = history[iteration - 1]
                self._best[run] = self._better(value, self._best.get(run, value))
                if self.is_band(iteration):
                    insort(self._values.setdefault(iteration, []), value)
            self._noted[run] = max(start, len(history))

    def judge(self, run: str, history: Sequence[float]) -> Verdict:
        """Note the finite values of a run, in order, and judge it; only values not noted before are visited."""
        iterations = len(history)
        band = self.hyperband.reached(iterations)
        with self._lock:
            self.note(run, history)
            value = 0.0 if band is None else history[band - 1] if self.hyperband.strict else self._best[run]
            values = self._values.get(band, []) if band else []
            return verdict(self.hyperband, self.goal, iterations, band, value, values, ascending=True)

    def behind(self, run: str, iterations: int) -> bool:
        """Return whether some of the run's first ``iterations`` values have not been noted."""
        return self._noted.get(run, 0) < iterations


def band_values(config: SweepConfig) -> dict[int, BandValues]:
    """Return the values at the bands for each part of the sweep that has bands, by its number."""
    metric = config.metric
    found = {part.number: part.early_terminate for part in config.parts}
    return {number: BandValues(each, metric.goal) for number, each in found.items() if each and metric}
