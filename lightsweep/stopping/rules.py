"""The settings of the rules, their looks, and the verdicts of those that need one look only.

Sources:
    Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar. A System for Massively Parallel
    Hyperparameter Tuning. MLSys 2020. https://arxiv.org/abs/1810.05934 (asynchronous successive halving)
    Golovin, Solnik, Moitra, Kochanski, Karro, Sculley. Google Vizier: A Service for Black-Box Optimization. KDD 2017
    (the median rule)

Five runs have reached a look. The better third continues, which is one run:

>>> found = Halving(eta=3).verdict("minimize", 9, value=0.42, others_at=[0.7, 0.5, 0.41, 0.9])
>>> found.stop
True
>>> found.reason
'stopped at 9: best so far 0.4200, 2nd of 5 runs there, of which the best 1 continue'
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from lightsweep.hyperband import Hyperband, Verdict
from lightsweep.text import counted, ordinal

# Neighbouring looks of a dense sequence are this ratio apart, and at least one iteration.
RATIO = 1.25
_MOST = 2**53


@dataclass(frozen=True)
class Rule:
    """What all rules have.

    Attributes:
        min_iter: The first look, in iterations.
    """

    min_iter: int = 1

    def __post_init__(self) -> None:
        if not (1 <= self.min_iter <= _MOST and self.min_iter % 1 == 0):
            raise ValueError(f"min_iter must be a whole number from 1 to {_MOST}, not {self.min_iter}")

    def ascending(self) -> Iterator[int]:
        """Yield the looks in order, without end: 1, 2, ... 8, 10, 12, 15, 18, 22, 27, ... if ``min_iter`` is 1."""
        look = int(self.min_iter)
        while look <= _MOST:
            yield look
            look = max(look + 1, int(look * RATIO))

    def bands(self, upto: int) -> tuple[int, ...]:
        """Return the looks up to an iteration, ascending."""
        return tuple(takewhile(lambda look: look <= upto, self.ascending()))

    def first(self, count: int) -> tuple[int, ...]:
        """Return the lowest ``count`` looks, ascending."""
        return tuple(islice(self.ascending(), count))

    def reached(self, iterations: int) -> int | None:
        """Return the highest look that is not above ``iterations``; ``None`` below the first."""
        looks = self.bands(upto=iterations)
        return looks[-1] if looks else None


@dataclass(frozen=True)
class Halving(Rule):
    """Asynchronous successive halving: of the runs at a look the best ``1/eta`` continue, at least one.

    Attributes:
        min_iter: The first look; the others are ``int(min_iter * eta**k)``.
        eta: The ratio of neighbouring looks, above 1.
    """

    eta: float = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 < self.eta < math.inf:
            raise ValueError(f"eta must be a finite number above 1, not {self.eta}")

    def ascending(self) -> Iterator[int]:
        """Yield the looks in order, without end."""
        return Hyperband(min_iter=self.min_iter, eta=self.eta).ascending()

    def verdict(self, goal: str, look: int, value: float, others_at: Sequence[float]) -> Verdict:
        """Judge a run.

        Args:
            goal: ``"minimize"`` or ``"maximize"``.
            look: The look that the run has just reached.
            value: Its best value so far.
            others_at: The best so far at the look of all other runs that have reached it.
        """
        better = sum(one < value if goal == "minimize" else one > value for one in others_at)
        count = len(others_at) + 1
        kept = max(1, int(count / self.eta))
        place = f"best so far {value:.4g}, {ordinal(better + 1)} of {counted(count, 'run')} there"
        stop = better >= kept
        reason = f"{'stopped at' if stop else 'passed'} {look}: {place}, of which the best {kept} continue"
        return Verdict(stop, reason, look, value, None, count)


@dataclass(frozen=True)
class Median(Rule):
    """A run stops if its best so far is worse than the median of what the other runs had at the look.

    Attributes:
        min_iter: The first look.
        min_runs: Other runs that must have reached the look before any is stopped there.
    """

    min_runs: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.min_runs >= 1 and self.min_runs % 1 == 0):
            raise ValueError(f"min_runs must be a whole number of at least 1, not {self.min_runs}")

    def verdict(self, goal: str, look: int, value: float, others_at: Sequence[float]) -> Verdict:
        """Judge a run; the arguments are those of :meth:`Halving.verdict`."""
        if len(others_at) < self.min_runs:
            reason = f"passed {look}: {counted(len(others_at), 'other run')} there, {self.min_runs} are needed"
            return Verdict(False, reason, look, value, None, len(others_at) + 1)
        limit = statistics.median(others_at)
        stop = value > limit if goal == "minimize" else value < limit
        words = "stopped at" if stop else "passed"
        reason = (
            f"{words} {look}: best so far {value:.4g}, median of {counted(len(others_at), 'other run')} {limit:.4g}"
        )
        return Verdict(stop, reason, look, value, limit, len(others_at) + 1)


@dataclass(frozen=True)
class Expected(Rule):
    """A run stops if it is nearly certain to end worse than the best of the sweep.

    Attributes:
        min_iter: The first look.
        miss: The greatest share of runs that would have become the best and are stopped, between 0 and 1.
    """

    miss: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.miss < 1:
            raise ValueError(f"miss must be between 0 and 1, not {self.miss}")


@dataclass
class Progress:
    """What is known of one run.

    Attributes:
        at: Its best value so far at each look that it has reached, in the order of looks.
        best: Its best value so far.
        iterations: The number of its finite values.
        ended: Whether it has trained to its end, so that ``best`` is what it ends with. False while it runs, and if it
            was stopped or failed.
    """

    at: list[float]
    best: float
    iterations: int
    ended: bool = False
