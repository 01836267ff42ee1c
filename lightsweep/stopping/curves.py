"""The curves of all runs at the bands of a rule, as the rule needs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from lightsweep.hyperband import Bands, Verdict
from lightsweep.text import counted


@dataclass
class Progress:
    """What is known of one run.

    Attributes:
        at: Its best value so far at each band that it has reached, in the order of bands.
        best: Its best value so far.
        iterations: The number of its finite values.
        ended: Whether it has trained to its end, so that ``best`` is what it ends with. False while it runs, and if it
            was stopped or failed.
        excluded: Whether it is never the best: it breaks a constraint, or has failed or was killed.
        rises: The sum of all steps from a value to a worse one; such steps are the noise of a metric.
    """

    at: list[float]
    best: float
    iterations: int
    ended: bool = False
    excluded: bool = False
    rises: float = 0.0


class Judge(Protocol):
    """What `Curves` needs of a rule."""

    def ascending(self) -> Iterator[int]:
        """Yield the bands in order."""

    def judge(self, goal: str, band: int, run: Progress, others: Sequence[Progress]) -> Verdict:
        """Judge a run that has just reached a band, the last of ``run.at``.

        Args:
            goal: ``"minimize"`` or ``"maximize"``.
            band: The band.
            run: The run.
            others: All other runs of the sweep that have a value.
        """


class Curves(Bands):
    """The best values so far of all runs at the bands. Safe from several threads.

    Args:
        rule: The rule.
        goal: ``"minimize"`` or ``"maximize"``.
    """

    def __init__(self, rule: Judge, goal: str) -> None:
        super().__init__(rule.ascending())
        self.rule = rule
        self.goal = goal
        self._runs: dict[str, Progress] = {}
        self._better = min if goal == "minimize" else max

    def note(self, run: str, history: Sequence[float]) -> None:
        """Note the finite values of a run, in order; values noted before are skipped."""
        with self._lock:
            count = len(history)
            if not count:
                return
            known = self._runs.get(run)
            if known is None:
                known = self._runs[run] = Progress([], history[0], 0)
            start = known.iterations
            for before, value in pairwise(history[max(start - 1, 0) : count]):
                if value != self._better(before, value):
                    known.rises += abs(value - before)
            band = self.after(start)
            while band is not None and band <= count:
                known.best = self._better(known.best, self._better(history[start:band]))
                known.at.append(known.best)
                start, band = band, self.after(band)
            if start < count:
                known.best = self._better(known.best, self._better(history[start:count]))
            if count > known.iterations:  # also of a run that had ended, and was retried
                known.iterations, known.ended, known.excluded = count, False, False

    def replace(self, run: str, history: Sequence[float]) -> None:
        """Note the values of a run that has ended in place of those before: only its last training counts."""
        with self._lock:
            self._runs.pop(run, None)
            self.note(run, history)

    def end(self, run: str) -> None:
        """Note that a run has trained to its end: finished, neither stopped nor failed."""
        with self._lock:
            if run in self._runs:
                self._runs[run].ended = True

    def exclude(self, run: str) -> None:
        """Note that a run is never the best: it breaks a constraint, or has failed or was killed."""
        with self._lock:
            if run in self._runs:
                self._runs[run].excluded = True

    def progress(self, run: str) -> Progress | None:
        """Return what is known of a run; ``None`` without a value. It changes as values are noted."""
        with self._lock:
            return self._runs.get(run)

    def behind(self, run: str, iterations: int) -> bool:
        """Return whether some of the run's first ``iterations`` values have not been noted."""
        known = self._runs.get(run)
        return (known.iterations if known else 0) < iterations

    def judge(self, run: str, history: Sequence[float]) -> Verdict:
        """Note the finite values of a run, in order, and judge it if it has just reached a band.

        A run as long as the longest that has trained to its end is not stopped, since that would save nothing.
        """
        with self._lock:
            iterations = len(history)
            if run in self._runs and iterations < self._runs[run].iterations:  # a second training in the run
                del self._runs[run]
            self.note(run, history)
            band = self.reached(iterations)
            if band is None:
                return Verdict(False, f"no band reached after {counted(iterations, 'iteration')}")
            if band != iterations:
                return Verdict(False, f"judged at band {band}, and next at {self.after(iterations)}")
            own, others = self._runs[run], [one for name, one in self._runs.items() if name != run]
            length = max((one.iterations for one in others if one.ended), default=None)
            if length is not None and iterations >= length:
                reason = f"passed band {band}: as long as the longest finished run, {counted(length, 'iteration')}"
                return Verdict(False, reason, band, own.at[-1], None, len(others) + 1)
            return self.rule.judge(self.goal, band, own, others)
