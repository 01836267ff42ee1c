"""The chance that a run ends better than the best of its sweep, learned from the curves of all runs.

A loss is seen on a scale on which the best loss of the sweep is 0: the gap to it, on a linear scale where it is small
beside the gaps of the better runs, and on a logarithmic one beyond. The progress from one look to the next is predicted
by linear regression on the progress before, from the steps of all runs, those that were stopped later included; steps
at like looks and from like losses count more. The steps of jittery metrics do not continue, and vary; the regression finds
both. Summed up to the end of training, they give a normal distribution of the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightsweep.hyperband import Verdict
from lightsweep.stopping.rules import Expected, Progress

Floats = npt.NDArray[np.float64]

# Steps of at most this many other runs are learned from: those that came furthest.
MOST = 250
# Steps whose looks differ by so many, or whose losses by so much on the scale, count 0.6 times as much.
LOOKS_WIDTH, LOSS_WIDTH = 1.5, 0.6
# What is assumed before any step was seen, and as how many steps it counts: their deviation, and the share that goes on.
DEVIATION, PERSISTENCE, PRIOR = 0.5, 0.5, 2.0
# A run is expected to go on to this look at least, before any run has ended.
FURTHEST = 16
# The scale is linear up to this quantile of the gaps.
LINEAR = 0.2


class End(NamedTuple):
    """How a run is expected to end, as a loss.

    Attributes:
        low, mean, high: The loss, and one standard deviation beside it.
        chance: The chance that it is better than the best so far.
    """

    low: float
    mean: float
    high: float
    chance: float


def expected(rule: Expected, goal: str, look: int, run: Progress, others: Sequence[Progress]) -> Verdict:
    """Judge a run that has just reached a look, the last of ``run.at``.

    Args:
        rule: The settings.
        goal: ``"minimize"`` or ``"maximize"``.
        look: The iteration.
        run: The run.
        others: All other runs of the sweep that have a value.
    """
    value = run.at[-1]
    if not others:
        return Verdict(False, f"passed {look}: no other run to compare with", look, value, None, 1)
    sign = 1.0 if goal == "minimize" else -1.0
    model = Model(goal, others)
    end = model.end(run)
    stop = end.chance < rule.miss
    low, high = sorted((sign * end.low, sign * end.high))
    reason = (
        f"{'stopped at' if stop else 'passed'} {look}: {value:.4g}, expected to end at {low:.4g} to {high:.4g}; "
        f"best {sign * model.best:.4g} (chance to beat it {100 * end.chance:.2g} %)"
    )
    return Verdict(stop, reason, look, value, sign * model.best, len(others) + 1)


@dataclass(frozen=True)
class _Steps:
    """Steps from one look to the next, each array of the same length."""

    look: Floats
    loss: Floats
    before: Floats
    size: Floats


class Model:
    """What the curves of some runs tell about others."""

    def __init__(self, goal: str, runs: Sequence[Progress]) -> None:
        self._sign = 1.0 if goal == "minimize" else -1.0
        gaps = self._sign * np.array([one.best for one in runs])
        self.best = float(gaps.min())
        gaps = np.sort(gaps - self.best)
        unit = float(gaps[max(1, math.ceil(LINEAR * (len(gaps) - 1)))]) if len(gaps) > 1 else 0.0
        self._unit = unit or float(gaps.max()) or abs(self.best) or 1.0
        chosen = sorted(runs, key=lambda one: -len(one.at))[:MOST]
        ended = [len(one.at) for one in runs if one.ended]
        self._furthest = max(len(one.at) for one in runs) if ended else max(FURTHEST, *(len(one.at) for one in runs))
        rows = [self._scaled(np.array(one.at)) for one in chosen]
        sizes = [np.diff(row) for row in rows]
        self._steps = _Steps(
            np.concatenate([np.arange(len(size), dtype=float) for size in sizes]),
            np.concatenate([row[:-1] for row in rows]),
            np.concatenate([np.concatenate([[0.0], size[:-1]]) if len(size) else size for size in sizes]),
            np.concatenate(sizes),
        )

    def _scaled(self, values: Floats) -> Floats:
        return np.arcsinh((self._sign * values - self.best) / self._unit)

    def _loss(self, scaled: float) -> float:
        return self.best + self._unit * math.sinh(min(scaled, 500.0))

    def end(self, run: Progress) -> End:
        """Predict the end of a run."""
        own = self._scaled(np.array(run.at[-2:]))
        mean = np.array([own[-1], own[-1] - own[0]])  # the loss and its last step
        spread = np.zeros((2, 2))
        for look in range(len(run.at) - 1, max(self._furthest - 1, len(run.at))):
            level, persistence, variance = self._step(look, float(own[-1]), first=look == 0)
            turn = np.array([[1.0, persistence], [0.0, persistence]])
            mean = turn @ mean + level
            spread = turn @ spread @ turn.T + variance
        deviation = math.sqrt(spread[0, 0])
        middle = min(float(mean[0]), float(own[-1]))
        chance = 0.5 * math.erfc(middle / deviation / math.sqrt(2))
        return End(self._loss(middle - deviation), self._loss(middle), self._loss(middle + deviation), chance)

    def _step(self, look: int, loss: float, *, first: bool) -> tuple[float, float, float]:
        """Return the level of a step, the share of the step before that goes on, and the variance."""
        steps = self._steps
        if not len(steps.look):
            return 0.0, PERSISTENCE, DEVIATION**2
        apart = np.abs(steps.look - look)
        apart = apart - apart.min()
        weights = np.exp(-0.5 * (apart / LOOKS_WIDTH) ** 2 - 0.5 * ((steps.loss - loss) / LOSS_WIDTH) ** 2)
        total = float(weights.sum())
        # Least squares for level and persistence, with the assumption as steps beside them.
        before = steps.before
        a = total + PRIOR
        b = float(weights @ before)
        c = float(weights @ before**2) + PRIOR * DEVIATION**2
        y = float(weights @ steps.size)
        z = float(weights @ (before * steps.size)) + PRIOR * DEVIATION**2 * PERSISTENCE
        determinant = a * c - b * b
        level, persistence = (c * y - b * z) / determinant, (a * z - b * y) / determinant
        rest = steps.size - level - persistence * before
        variance = (float(weights @ rest**2) + PRIOR * DEVIATION**2) / (total + PRIOR)
        return level, min(max(persistence, 0.0), 0.95), variance
