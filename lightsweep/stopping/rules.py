"""The settings of the rules, their bands, and the verdicts of those that need one band only.

Sources:
    Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar. A System for Massively Parallel
    Hyperparameter Tuning. MLSys 2020. https://arxiv.org/abs/1810.05934 (asynchronous successive halving)
    Golovin, Solnik, Moitra, Kochanski, Karro, Sculley. Google Vizier: A Service for Black-Box Optimization. KDD 2017
    (the median rule)

Five runs have reached a band. The better third continues, which is one run:

>>> others = [Progress([value], value, 9) for value in (0.7, 0.5, 0.41, 0.9)]
>>> found = Halving(eta=3).judge("minimize", 9, Progress([0.42], 0.42, 9), others)
>>> found.stop
True
>>> found.reason
'stopped at band 9: best so far 0.4200 > cut-off 0.4100 (the best of 5 runs)'
"""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from lightsweep.hyperband import Hyperband, Verdict, bands_text, compared
from lightsweep.stopping.curves import Curves, Progress
from lightsweep.text import counted, ordinal

# Neighbouring bands of a dense sequence are this ratio apart, and at least one iteration.
RATIO = 1.25
_MOST = 2**53


@dataclass(frozen=True)
class Rule(ABC):
    """What all rules have; it follows the protocol `lightsweep.hyperband.Rule`.

    Attributes:
        min_iter: The first band, in iterations.
    """

    min_iter: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.min_iter <= _MOST and self.min_iter % 1 == 0):
            raise ValueError(f"min_iter must be a whole number from 1 to {_MOST}, not {self.min_iter}")

    @property
    def length(self) -> int | None:
        """Unknown: finished runs show how long a whole run is."""
        return None

    @property
    @abstractmethod
    def text(self) -> str:
        """When runs are compared, and which of them stop."""

    @abstractmethod
    def judge(self, goal: str, band: int, run: Progress, others: Sequence[Progress]) -> Verdict:
        """Judge a run that has just reached a band, see :meth:`lightsweep.stopping.curves.Judge.judge`."""

    def ascending(self) -> Iterator[int]:
        """Yield the bands in order, without end: 1, 2, ... 8, 10, 12, 15, 18, 22, 27, ... if ``min_iter`` is 1."""
        band = int(self.min_iter)
        while band <= _MOST:
            yield band
            band = max(band + 1, int(band * RATIO))

    def bands(self, upto: int) -> tuple[int, ...]:
        """Return the bands up to an iteration, ascending."""
        return tuple(takewhile(lambda band: band <= upto, self.ascending()))

    def first(self, count: int) -> tuple[int, ...]:
        """Return the lowest ``count`` bands, ascending."""
        return tuple(islice(self.ascending(), count))

    def reached(self, iterations: int) -> int | None:
        """Return the highest band that is not above ``iterations``; ``None`` below the first."""
        bands = self.bands(upto=iterations)
        return bands[-1] if bands else None

    def comparison(self, goal: str) -> Curves:
        """Return the curves of all runs, none so far."""
        return Curves(self, goal)

    def cut_off(self, histories: Sequence[Sequence[float]], band: int, goal: str) -> float | None:
        """Return the best so far at a band beyond which a run stops, given all histories; ``None`` if there is none."""
        del histories, band, goal
        return None


def _best_at(histories: Sequence[Sequence[float]], band: int, goal: str) -> list[float]:
    """Return the best value so far at a band of each run that has reached it."""
    better = min if goal == "minimize" else max
    return [better(history[:band]) for history in histories if len(history) >= band]


def _others_at(run: Progress, others: Sequence[Progress]) -> list[float]:
    """Return the best value so far, at the last band of a run, of each other that has reached it."""
    place = len(run.at) - 1
    return [one.at[place] for one in others if len(one.at) > place]


@dataclass(frozen=True)
class Halving(Rule):
    """Asynchronous successive halving: of the runs at a band the best ``1/eta`` continue, at least one.

    Attributes:
        min_iter: The first band; the others are ``int(min_iter * eta**k)``.
        eta: The ratio of neighbouring bands, above 1.
    """

    eta: float = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 < self.eta < math.inf:
            raise ValueError(f"eta must be a finite number above 1, not {self.eta}")

    @property
    def text(self) -> str:
        """When runs are compared, and how many continue."""
        return (
            f"halving after {bands_text(self)} reports of the metric. The best 1 in {self.eta:g} runs continues beyond "
            "each band, by its best value so far"
        )

    def ascending(self) -> Iterator[int]:
        """Yield the bands in order, without end."""
        return Hyperband(min_iter=self.min_iter, eta=self.eta).ascending()

    def judge(self, goal: str, band: int, run: Progress, others: Sequence[Progress]) -> Verdict:
        """Judge a run by its place among the runs at the band."""
        value = run.at[-1]
        values = [*_others_at(run, others), value]
        limit, kept = self._limit(values, goal)
        stop = value > limit if goal == "minimize" else value < limit
        origin = f"the {f'{ordinal(kept)} ' if kept > 1 else ''}best of {counted(len(values), 'run')}"
        return Verdict(stop, compared(goal, stop, band, value, limit, origin), band, value, limit, len(values))

    def cut_off(self, histories: Sequence[Sequence[float]], band: int, goal: str) -> float | None:
        """Return the best so far of the last run that continues."""
        values = _best_at(histories, band, goal)
        return self._limit(values, goal)[0] if values else None

    def _limit(self, values: Sequence[float], goal: str) -> tuple[float, int]:
        """Return the value of the last run that continues, and how many do."""
        kept = max(1, int(len(values) / self.eta))
        return sorted(values, reverse=goal == "maximize")[kept - 1], kept


@dataclass(frozen=True)
class Median(Rule):
    """A run stops if its best so far is worse than the median of what the other runs had at the band.

    Attributes:
        min_iter: The first band.
        min_runs: Other runs that must have reached the band before any is stopped there.
    """

    min_runs: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.min_runs >= 1 and self.min_runs % 1 == 0):
            raise ValueError(f"min_runs must be a whole number of at least 1, not {self.min_runs}")

    @property
    def text(self) -> str:
        """When runs are compared, and which stop."""
        return (
            f"median after {bands_text(self)} reports of the metric. A run stops if its best value so far is worse "
            f"than the median of the other runs there, once there are {self.min_runs}"
        )

    def judge(self, goal: str, band: int, run: Progress, others: Sequence[Progress]) -> Verdict:
        """Judge a run by the median of the others at the band."""
        value, values = run.at[-1], _others_at(run, others)
        if len(values) < self.min_runs:
            reason = f"passed band {band}: {counted(len(values), 'other run')} there, {self.min_runs} needed"
            return Verdict(False, reason, band, value, None, len(values) + 1)
        limit = statistics.median(values)
        stop = value > limit if goal == "minimize" else value < limit
        origin = f"the median of {counted(len(values), 'other run')}"
        return Verdict(stop, compared(goal, stop, band, value, limit, origin), band, value, limit, len(values) + 1)

    def cut_off(self, histories: Sequence[Sequence[float]], band: int, goal: str) -> float | None:
        """Return the median of the best so far."""
        values = _best_at(histories, band, goal)
        return statistics.median(values) if len(values) > self.min_runs else None
