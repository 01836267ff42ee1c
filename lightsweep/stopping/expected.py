"""The chance that a run ends better than the best of its sweep, learned from the curves of all runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lightsweep.hyperband import Verdict, bands_text
from lightsweep.stopping.curves import Progress
from lightsweep.stopping.rules import Rule
from lightsweep.text import counted


@dataclass(frozen=True)
class Expected(Rule):
    """A run stops if it is nearly certain to end worse than the best of the sweep.

    Attributes:
        min_iter: The first band.
        miss: The greatest share of runs that would have become the best and are stopped, between 0 and 1.
    """

    miss: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.miss < 1:
            raise ValueError(f"miss must be between 0 and 1, not {self.miss}")

    @property
    def text(self) -> str:
        """When a run stops."""
        return (
            f"expected: a run stops if its chance to end better than the best so far is below {100 * self.miss:.3g} %"
            f". Judged after {bands_text(self)} reports of the metric, once {FINISHED} runs have finished"
        )

    def judge(self, goal: str, band: int, run: Progress, others: Sequence[Progress]) -> Verdict:
        """Judge a run by its chance to end better than the best so far."""
        return expected(self, goal, band, run, others)


class Prediction(NamedTuple):
    """How a run is expected to end.

    Attributes:
        mean: The best value that it is expected to end with.
        deviation: Its standard deviation.
    """

    mean: float
    deviation: float


# No run is stopped before so many others have trained to their end.
FINISHED = 3


def expected(rule: Expected, goal: str, band: int, run: Progress, others: Sequence[Progress]) -> Verdict:
    """Judge a run that has just reached a band, the last of ``run.at``.

    Args:
        rule: The settings.
        goal: ``"minimize"`` or ``"maximize"``.
        band: The iteration.
        run: The run.
        others: All other runs of the sweep that have a value.
    """
    place, value = len(run.at) - 1, run.at[-1]
    ended = [one for one in others if one.ended and len(one.at) > place]
    if len(ended) < FINISHED:
        reason = f"passed band {band}: {counted(len(ended), 'finished run')} to learn from, {FINISHED} needed"
        return Verdict(False, reason, band, value, None, len(others) + 1)
    sign = 1.0 if goal == "minimize" else -1.0
    best = min(sign * one.best for one in others)
    gains = np.array([sign * (one.at[place] - one.best) for one in ended])
    mean = sign * value - float(gains.mean())
    deviation = float(gains.std(ddof=1)) + 1e-12
    chance = 0.5 * math.erfc((mean - best) / deviation / math.sqrt(2))
    stop = chance < rule.miss
    low, high = sorted((sign * (mean - 2 * deviation), sign * (mean + 2 * deviation)))
    reason = (
        f"{'stopped at' if stop else 'passed'} band {band}: best so far {value:.4g}, chance of {100 * chance:.2g} % to "
        f"beat {sign * best:.4g} (expected end {low:.4g} to {high:.4g}, from {counted(len(ended), 'finished run')})"
    )
    return Verdict(stop, reason, band, value, None, len(others) + 1)
