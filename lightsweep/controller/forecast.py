"""Forecast what more runs may bring, from the runs so far; the same for every method.

The gain of the best value from half of the runs to all of them is extrapolated with the root of the number of runs.
If runs learn from each other, their order decides. If they do not, any order is as likely, and the mean over all orders
is taken.

On made problems of benchmarks/search the forecasts of 10 runs, in all, were 0.7 (random), 0.9 (TPE) and 1.2 (the
Gaussian process) times what these runs brought; ten times the gain that the process itself expects of a run was 5 times
as much. A single forecast errs by about its own size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lightsweep.controller.ending import counts
from lightsweep.controller.outcome import learns
from lightsweep.controller.reader import SweepReader
from lightsweep.controller.runs import RunEntry, breaks
from lightsweep.controller.scores import scores
from lightsweep.sampler import RunState
from lightsweep.text import number

LEAST, MOST = 10, 10_000
"""The least and the most ended runs of a forecast. More would take time, and another run then brings little."""

AHEAD = 10
"""A forecast is of so many more runs."""


@dataclass(frozen=True)
class Forecast:
    """What more runs may be expected to bring.

    Attributes:
        runs: The number of these runs, or of groups in a sweep with repeats.
        gain: The improvement of the best value, in units of the metric, at least 0.
        best: The best value now.
        last: The number of runs that the forecast follows from: the later half.
        thing: ``run`` or ``group``.
    """

    runs: int
    gain: float
    best: float
    last: int
    thing: str = "run"

    @property
    def text(self) -> str:
        """``10 more runs: about 0.003 better (now 0.812)``."""
        what = f"{self.runs} more {self.thing}{'s' if self.runs != 1 else ''}"
        if self.gain <= 0:
            return f"{what}: no gain expected, since the last {self.last} were no better than {number(self.best)}"
        return f"{what}: about {number(float(f'{self.gain:.1g}'))} better (now {number(self.best)})"

    def document(self) -> dict[str, Any]:
        """Return the numbers as plain values."""
        return {key: value for key, value in asdict(self).items() if key in ("runs", "gain", "best")}


def forecast(sweep: SweepReader) -> Forecast | None:
    """Forecast the best value after ten more runs, as of the last look, of its current part.

    ``None`` without a single metric, from fewer than ten runs that have ended, or if all points have been tried.
    """
    config, plan = sweep.config, sweep.plan
    metric = config.metric
    if metric is None or len(config.metrics) > 1 or len(sweep.book.entries) > MOST:
        return None
    sign = 1.0 if metric.goal == "minimize" else -1.0
    with sweep.lock:
        own = [each for each in sweep.known_entries() if not each.prior and plan.part_of(each.ticket) is plan.current]
        left = plan.left(sweep.book.next_ticket) / config.repeats
        if config.repeats > 1:
            losses = [sign * each.mean for each in scores(own, config).values() if each.complete]
        else:
            losses = [_loss(each, sign, sweep) for each in sorted(own, key=_end) if counts(each, config)]
    if len(losses) < LEAST or left <= 0:
        return None
    runs = min(AHEAD, math.ceil(left)) if left < AHEAD else AHEAD
    gain = expected_gain(losses, runs, in_order=learns(config))
    if gain is None:
        return None
    thing = "run" if config.repeats == 1 else "group"
    return Forecast(runs, gain, sign * min(losses), len(losses) - len(losses) // 2, thing)


def forecast_text(sweep: SweepReader) -> str:
    """Return the forecast in words, see :func:`forecast`; empty if there is none."""
    found = forecast(sweep)
    return found.text if found is not None else ""


def expected_gain(losses: Sequence[float], runs: int, *, in_order: bool) -> float | None:
    """Return by how much the least of some losses may fall with so many more; ``None`` if too few are finite.

    If none is below 0, as of most losses and errors, it does not fall below 0; if all are from -1 to 0, as of an
    accuracy or a score that is to be large, not below -1.

    Args:
        losses: At least two, in the order of their runs; infinity for a run without a value.
        runs: The number of further ones.
        in_order: Whether later runs follow from earlier ones.
    """
    count, best = len(losses), min(losses)
    half = count // 2
    before = min(losses[:half]) if in_order else mean_least(losses, half)
    if not math.isfinite(before):
        return None
    gain = (before - best) * (1 - math.sqrt(count / (count + runs))) / (math.sqrt(2) - 1)
    if best >= 0:
        return min(gain, best)
    scores = best >= -1 and all(loss <= 0 for loss in losses if math.isfinite(loss))
    return min(gain, best + 1) if scores else gain


def mean_least(losses: Sequence[float], count: int) -> float:
    """Return the least of ``count`` of the losses, as the mean over all choices of them.

    >>> mean_least([1.0, 2.0, 4.0], 2)  # the least of 1 and 2, of 1 and 4, of 2 and 4
    1.3333333333333333
    """
    ordered = sorted(loss for loss in losses if math.isfinite(loss))
    ordered += ordered[-1:] * (len(losses) - len(ordered))  # a run without a value is as bad as the worst
    total, share = 0.0, count / len(losses)
    for place, loss in enumerate(ordered[: len(losses) - count + 1]):
        total += share * loss
        rest = len(losses) - place - 1
        share *= (rest - count + 1) / rest if rest else 0.0
    return total if ordered else math.inf


def _loss(entry: RunEntry, sign: float, sweep: SweepReader) -> float:
    if entry.best is None or entry.state == RunState.FAILED or breaks(entry, sweep.config):
        return math.inf
    return sign * entry.best


def _end(entry: RunEntry) -> tuple[float, int]:
    return (entry.record.ended.timestamp() if entry.record.ended else math.inf, entry.ticket or 0)
