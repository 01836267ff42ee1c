"""The chance that a run ends better than the best of its sweep, learned from the curves of all runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lightsweep.hyperband import Verdict
from lightsweep.stopping.rules import Expected, Progress


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


def expected(rule: Expected, goal: str, look: int, run: Progress, others: Sequence[Progress]) -> Verdict:
    """Judge a run that has just reached a look, the last of ``run.at``.

    Args:
        rule: The settings.
        goal: ``"minimize"`` or ``"maximize"``.
        look: The iteration.
        run: The run.
        others: All other runs of the sweep that have a value.
    """
    place, value = len(run.at) - 1, run.at[-1]
    ended = [one for one in others if one.ended and len(one.at) > place]
    if len(ended) < FINISHED:
        reason = f"passed {look}: {len(ended)} finished runs to compare with, {FINISHED} are needed"
        return Verdict(False, reason, look, value, None, len(others) + 1)
    sign = 1.0 if goal == "minimize" else -1.0
    best = min(sign * one.best for one in others)
    gains = np.array([sign * (one.at[place] - one.best) for one in ended])
    mean = sign * value - float(gains.mean())
    deviation = float(gains.std(ddof=1)) + 1e-12
    chance = 0.5 * math.erfc((mean - best) / deviation / math.sqrt(2))
    stop = chance < rule.miss
    low, high = sorted((sign * (mean - 2 * deviation), sign * (mean + 2 * deviation)))
    reason = (
        f"{'stopped at' if stop else 'passed'} {look}: {value:.4g}, expected to end at {low:.4g} to {high:.4g}; "
        f"best {sign * best:.4g} (chance to beat it {100 * chance:.2g} %)"
    )
    return Verdict(stop, reason, look, value, sign * best, len(others) + 1)
