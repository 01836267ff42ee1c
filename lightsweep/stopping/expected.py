"""The chance that a run ends better than the best of its sweep, learned from the curves of all runs.

A loss is seen on a scale on which the best loss of the sweep is 0: the gap to it, on a linear scale where it is small
beside the gaps of the better runs, and on a logarithmic one beyond. The progress from one look to the next is predicted
by linear regression on the progress before, from the steps of all runs, those that were stopped later included; steps
at like looks and from like losses count more. The steps of jittery metrics do not continue, and vary; the regression
finds both. Summed up to the end of training, they give a normal distribution of the end.

The best value of a noisy metric is partly luck, and a run that still trains may be as lucky. So its end is expected to
be lower by twice the noise: the standard deviation that explains how much the better runs rise at a step.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lightsweep.hyperband import Verdict, bands_text, distinct
from lightsweep.stopping.curves import Curves, Progress
from lightsweep.stopping.rules import Rule

Floats = npt.NDArray[np.float64]

# Steps of at most this many other runs are learned from: those that came furthest.
MOST = 250
# Steps whose looks differ by so many, or whose losses by so much on the scale, count 0.6 times as much.
LOOKS_WIDTH, LOSS_WIDTH = 2.0, 1.5
# Assumed before any step was seen, and counted as PRIOR steps: their deviation, and the share that goes on.
DEVIATION, PERSISTENCE, PRIOR = 0.5, 0.5, 5.0
# A run is expected to go on to this look at least, before any run has ended.
FURTHEST = 16
# So many standard deviations of the noise may a run still gain by luck.
LUCK = 2.0
# The mean rise from a value to the next is this many standard deviations of independent normal noise.
RISE = 1 / math.sqrt(math.pi)
# By the normal distribution, stopping below a chance of 0.1 stopped the best run in about 1 of 100 replays of the
# problems that the rule was chosen on (benchmarks/search). This power of the chance makes 0.02 of 0.1.
CAUTION = 1.7
# The scale is linear up to this quantile of the gaps.
LINEAR = 0.2
# How a run that was stopped would have ended is predicted once so many others have trained to their end.
LEAST_FINISHED = 3


class End(NamedTuple):
    """How a run is expected to end, as a loss.

    Attributes:
        low, mean, high: The loss, and one standard deviation beside it; no worse than it is.
        chance: The chance that it is better than the best so far.
    """

    low: float
    mean: float
    high: float
    chance: float


@dataclass(frozen=True)
class Expected(Rule):
    """A run stops if it is nearly certain to end worse than the best of the sweep.

    Attributes:
        min_iter: The first band.
        miss: The least chance to end as the best with which a run goes on, between 0 and 1.
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
            f"expected after {bands_text(self)} reports of the metric. A run stops if its chance to end better than "
            f"the best so far is below {100 * self.miss:.3g} %, as the curves of all runs show"
        )

    def judge(self, goal: str, band: int, run: Progress, others: Sequence[Progress]) -> Verdict:
        """Judge a run by its chance to end better than the best so far."""
        value, sign = run.at[-1], 1.0 if goal == "minimize" else -1.0
        if all(one.excluded for one in others):
            return Verdict(False, f"passed band {band}: no other run to compare with", band, value, None, 1)
        model = Model(goal, others)
        end = model.end(run)
        stop = end.chance < self.miss
        low, high = sorted((sign * end.low, sign * end.high))
        shown, best = distinct(value, sign * model.best)
        reason = (
            f"{'stopped at' if stop else 'passed'} band {band}: best so far {shown}, chance of {100 * end.chance:.2g} %"
            f" to beat {best} (expected to end from {low:.4g} to {high:.4g}, by the curves of {len(others) + 1} runs)"
        )
        return Verdict(stop, reason, band, value, None, len(others) + 1)


class Model:
    """What the curves of some runs tell about others."""

    def __init__(self, goal: str, runs: Sequence[Progress]) -> None:
        self._sign = 1.0 if goal == "minimize" else -1.0
        valid = [one for one in runs if not one.excluded]
        losses = self._sign * np.array([one.best for one in valid])
        self.best = float(losses.min())
        gaps = np.sort(losses - self.best)
        unit = float(gaps[max(1, math.ceil(LINEAR * (len(gaps) - 1)))]) if len(gaps) > 1 else 0.0
        self._unit = unit or float(gaps[-1]) or abs(self.best) or 1.0
        better = losses <= np.median(losses)
        rises = [
            one.rises / (one.iterations - 1)
            for one, is_better in zip(valid, better, strict=True)
            if is_better and one.iterations > 2
        ]
        self._luck = LUCK * statistics.median(rises) / RISE / self._unit if rises else 0.0
        self._furthest = max(len(one.at) for one in runs)
        if not any(one.ended for one in runs):
            self._furthest = max(FURTHEST, self._furthest)
        stepped = sorted((one for one in runs if len(one.at) > 1), key=lambda one: -len(one.at))[:MOST]
        lengths = np.array([len(one.at) for one in stepped], dtype=int)
        scaled = self._scaled(np.fromiter(chain.from_iterable(one.at for one in stepped), dtype=float))
        begins = np.cumsum(lengths) - lengths
        looks = np.arange(len(scaled)) - np.repeat(begins, lengths)
        sizes = np.diff(scaled, append=0.0)
        before = np.concatenate([[0.0], sizes[:-1]]) if len(sizes) else sizes
        before[begins] = 0.0
        last = np.zeros(len(scaled), dtype=bool)
        last[begins + lengths - 1] = True
        self._looks, self._losses, self._before, self._sizes = looks[~last], scaled[~last], before[~last], sizes[~last]

    def _scaled(self, values: Floats) -> Floats:
        return np.arcsinh((self._sign * values - self.best) / self._unit)

    def _loss(self, scaled: float) -> float:
        return self.best + self._unit * math.sinh(max(-500.0, min(scaled, 500.0)))

    def end(self, run: Progress, *, luck: bool = True) -> End:
        """Predict the end of a run; with ``luck`` as low as noise may still lift it, which is right for a chance."""
        own = self._scaled(np.array([*run.at[-2:-1], run.best]))
        loss, step = float(own[-1]), float(own[-1] - own[0])
        looks = np.arange(len(run.at) - 1, max(self._furthest - 1, len(run.at)))
        variance = by_step = both = 0.0  # of the loss, of the last step, and of the two together
        for level, persistence, noise in self._predicted(looks, loss):
            step = level + persistence * step
            loss += step
            variance += 2 * persistence * both + persistence**2 * by_step + noise
            both = persistence * both + persistence**2 * by_step + noise
            by_step = persistence**2 * by_step + noise
        deviation = math.sqrt(variance)
        middle = min(loss, float(own[-1])) - luck * self._luck
        chance = (0.5 * math.erfc(middle / deviation / math.sqrt(2))) ** CAUTION
        high = min(self._loss(middle + deviation), self._sign * run.best)
        return End(self._loss(middle - deviation), self._loss(middle), high, chance)

    def _predicted(self, looks: npt.NDArray[np.int64], loss: float) -> list[tuple[float, float, float]]:
        """Return for the step after each look: level, share of the step before that goes on, variance."""
        weights = np.exp(-0.5 * ((self._losses - loss) / LOSS_WIDTH) ** 2)
        before, sizes = self._before, self._sizes
        moments = (np.ones_like(sizes), before, before**2, sizes, before * sizes, sizes**2)
        known = int(self._looks.max()) + 1 if len(self._looks) else 1
        sums = np.array([np.bincount(self._looks, weights * one, known) for one in moments])
        apart = np.abs(np.arange(known)[:, None] - np.minimum(looks, known - 1)[None, :])
        n, p, pp, y, py, yy = sums @ np.exp(-0.5 * (apart / LOOKS_WIDTH) ** 2)
        # Least squares for level and persistence, with the assumption as steps beside them.
        n, pp, py = n + PRIOR, pp + PRIOR * DEVIATION**2, py + PRIOR * DEVIATION**2 * PERSISTENCE
        yy = yy + PRIOR * DEVIATION**2 * (1 + PERSISTENCE**2)
        persistence = np.clip((n * py - p * y) / (n * pp - p * p), 0.0, 0.95)
        level = (y - persistence * p) / n
        squares = yy + level**2 * n + persistence**2 * pp + 2 * (level * persistence * p - level * y - persistence * py)
        return list(zip(level.tolist(), persistence.tolist(), np.maximum(squares / n, 1e-12).tolist(), strict=True))


class StoppedEnd(NamedTuple):
    """How a run that was stopped early would have ended.

    Attributes:
        value: The best value that is expected of it, in units of the metric; no better than the best of the sweep.
        deviation: The standard deviation of that.
    """

    value: float
    deviation: float


def ended_curve(goal: str, history: Sequence[float], *, finished: bool, excluded: bool = False) -> Progress | None:
    """Return the curve of a run that has ended, at the bands of `Expected`; ``None`` without a finite value.

    Args:
        goal: ``"minimize"`` or ``"maximize"``.
        history: The finite values of the run, in order.
        finished: Whether it trained to its end, and was not stopped early.
        excluded: Whether it breaks a constraint, so that it is never the best.
    """
    curves = Curves(Expected(), goal)
    curves.note("", history)
    if finished:
        curves.end("")
    if excluded:
        curves.exclude("")
    return curves.progress("")


def stopped_ends(goal: str, runs: Mapping[str, Progress]) -> dict[str, StoppedEnd]:
    """Return how those of some runs that were stopped early would have ended, by the curves of all of them.

    The rule that stopped them may be any. Empty while fewer than three of the runs have trained to their end and may
    be the best. A run whose numbers are too large to calculate with is left out.

    Args:
        goal: ``"minimize"`` or ``"maximize"``.
        runs: The curves of runs that have ended, see :func:`ended_curve`, by id.
    """
    stopped = {name: run for name, run in runs.items() if not run.ended}
    if not stopped or sum(run.ended and not run.excluded for run in runs.values()) < LEAST_FINISHED:
        return {}
    model, sign = Model(goal, list(runs.values())), 1.0 if goal == "minimize" else -1.0
    ends: dict[str, StoppedEnd] = {}
    for name, run in stopped.items():
        end = model.end(run, luck=False)
        loss, deviation = max(end.mean, min(model.best, sign * run.best)), 0.5 * (end.high - end.low)
        if not math.isnan(loss + deviation):
            ends[name] = StoppedEnd(sign * loss, deviation)
    return ends
