"""Which runs are best: by the metric, with repeats by the mean of a group, with several metrics by the Pareto front.

A run dominates another one if it is at least as good in each metric and better in one. The runs that no run dominates
are the front: from one of them to another, one metric gets better and another one worse. The hypervolume is the part of
the box between the worst and the best values that the front dominates; it only grows as runs are added.

Source:
    Zitzler, Thiele. Multiobjective Optimization Using Evolutionary Algorithms: A Comparative Case Study. PPSN V, 1998.
    https://doi.org/10.1007/BFb0056872 (dominance, and the size of the space covered)

>>> front([(1.0, 9.0), (2.0, 4.0), (3.0, 5.0), (9.0, 1.0)])
[0, 1, 3]
>>> hypervolume([(1.0, 9.0), (2.0, 4.0), (9.0, 1.0)], (10.0, 10.0))
52.0
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lightsweep.controller.runs import RunEntry, SweepRun, breaks, finite
from lightsweep.sampler import RunState
from lightsweep.schema import Metric, SweepConfig
from lightsweep.text import counted, number

Point = Sequence[float]
_WITH_RESULT = (RunState.FINISHED, RunState.PRUNED)
_R = TypeVar("_R", RunEntry, SweepRun)


def best_of(values: Iterable[float], goal: str) -> float | None:
    """Return the best finite value; ``None`` if there is none."""
    counted = finite(values)
    if not counted:
        return None
    return min(counted) if goal == "minimize" else max(counted)


def best_run(runs: Iterable[_R], config: SweepConfig) -> _R | None:
    """Return the best run, by the rule of :attr:`~lightsweep.controller.sweeps.Sweep.best_run`."""
    if config.metric is None:
        return None
    sign = 1 if config.metric.goal == "minimize" else -1
    own = [run for run in runs if run.best is not None and not run.prior and not breaks(run, config)]
    valued = [(sign * (run.best or 0.0), run) for run in best_group(own, config) or own]
    ended = [each for each in valued if each[1].state in _WITH_RESULT]
    return min(ended or valued, key=lambda each: each[0], default=(0.0, None))[1]


def objectives(
    metrics: Sequence[Metric], history: Sequence[float], stats: Mapping[str, Mapping[str, float]]
) -> list[float] | None:
    """Return the values that a run is compared by, one for each metric; ``None`` if one of them is not finite.

    For a sweep with one metric it is the best value; for several metrics the last values, which belong to one model.
    """
    if len(metrics) == 1:
        best = best_of(history, metrics[0].goal)
        return None if best is None else [best]
    values = [float(stats.get(metric.name, {}).get("last", math.nan)) for metric in metrics]
    return values if values and all(map(math.isfinite, values)) else None


@dataclass(frozen=True)
class GroupScore:
    """The score of a group.

    Attributes:
        values: The best value of each finished run; of runs that were stopped early if none has finished.
        complete: Whether all repeats have finished.
    """

    values: tuple[float, ...]
    complete: bool

    @property
    def mean(self) -> float:
        """The score."""
        return math.fsum(self.values) / len(self.values)

    @property
    def deviation(self) -> float | None:
        """The standard deviation between repeats (n - 1 in the denominator); ``None`` for one value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.2g}"
        return f"{number(self.mean)}{spread} ({counted(len(self.values), 'run')})"


def scores(runs: Iterable[RunEntry | SweepRun], config: SweepConfig) -> dict[str, GroupScore]:
    """Return the score of each group that has one, by its id; in the order of the first runs."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for run in runs:
        if run.repeat is not None and run.best is not None and run.state in _WITH_RESULT:
            finished, stopped = found.setdefault(run.repeat.group, ([], []))
            (finished if run.state == RunState.FINISHED else stopped).append(run.best)
    return {
        group: GroupScore(tuple(finished or stopped), len(finished) >= config.repeats)
        for group, (finished, stopped) in found.items()
    }


def best_group(runs: Sequence[_R], config: SweepConfig) -> list[_R]:
    """Return the finished runs of the group with the best mean; empty if no group has a score.

    Groups with all repeats come first; others count only without such groups. Of equal groups the earliest is the best.
    """
    sign = -1 if config.metric is not None and config.metric.goal == "maximize" else 1
    found = scores(runs, config)
    if not found:
        return []
    best = min(found, key=lambda group: (not found[group].complete, sign * found[group].mean))
    own = [run for run in runs if run.repeat is not None and run.repeat.group == best]
    return [run for run in own if run.state == RunState.FINISHED] or own


def front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the points that no other point dominates, ascending; of equal points the first.

    Smaller is better on each axis. The points are finite and have as many values each.
    """
    kept: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: (*points[index], index)):
        if not any(_covers(points[other], points[index]) for other in kept):
            kept.append(index)
    return sorted(kept)


def joined(front: Sequence[Point], point: Point) -> list[Point] | None:
    """Return the front with a further point; ``None`` if a point of the front is at least as good on each axis."""
    if any(_covers(other, point) for other in front):
        return None
    return [*(other for other in front if not _covers(point, other)), point]


def hypervolume(points: Iterable[Point], reference: Point) -> float:
    """Return the volume that the points dominate, up to the reference point.

    Smaller is better on each axis. Points that are not better than the reference on each axis add nothing. The
    volume is cut into slabs along the last axis, so the time grows fast with the number of axes.
    """
    inside = [point for point in points if all(value < most for value, most in zip(point, reference, strict=True))]
    if len(reference) == 1:
        return max((reference[0] - point[0] for point in inside), default=0.0)
    volume, slab = 0.0, list[Point]()
    ordered = sorted(inside, key=lambda point: point[-1])
    for place, point in enumerate(ordered):
        slab = joined(slab, point[:-1]) or slab
        upper = ordered[place + 1][-1] if place + 1 < len(ordered) else reference[-1]
        if upper > point[-1]:
            volume += (upper - point[-1]) * hypervolume(slab, reference[:-1])
    return volume


def _covers(point: Point, other: Point) -> bool:
    return all(one <= another for one, another in zip(point, other, strict=True))


@dataclass(frozen=True)
class Front(Generic[_R]):
    """The runs of a sweep with several metrics, as far as they have a finite value of each.

    Attributes:
        runs: Those that finished or were stopped early, in the order in which they were given.
        values: For each of them the last value of each metric, in the order of the config; all of one model.
        members: The indices of the runs of the front, the best in the first metric first.
    """

    runs: tuple[_R, ...]
    values: tuple[tuple[float, ...], ...]
    members: tuple[int, ...]

    @property
    def best(self) -> list[_R]:
        """The runs of the front, the best in the first metric first."""
        return [self.runs[index] for index in self.members]

    @property
    def text(self) -> str:
        """``Pareto front: 5 of 30 runs``; empty before a run counts."""
        return f"Pareto front: {len(self.members):,} of {counted(len(self.runs), 'run')}" if self.runs else ""

    def documents(self, config: SweepConfig) -> list[dict[str, Any]]:
        """Return the front as plain values, a mapping for each run."""
        names = [metric.name for metric in config.metrics]
        return [
            {"run": self.runs[index].id, "values": dict(zip(names, self.values[index], strict=True))}
            for index in self.members
        ]


def pareto_front(runs: Iterable[_R], config: SweepConfig) -> Front[_R]:
    """Return the Pareto front of a sweep; not of prior runs, nor of those that break a constraint.

    Runs without a value of each metric do not count either.
    """
    chosen, values = list[_R](), list[tuple[float, ...]]()
    for run in runs:
        if not run.prior and (scores := values_on_front(run, config)):
            chosen.append(run)
            values.append(scores)
    points = costs(values, config)
    members = sorted(front(points), key=lambda index: points[index])
    return Front(tuple(chosen), tuple(values), tuple(members))


def values_on_front(run: RunEntry | SweepRun, config: SweepConfig) -> tuple[float, ...] | None:
    """Return the values by which a run is compared with the front; ``None`` if it does not count, see above."""
    if run.state not in _WITH_RESULT or breaks(run, config):
        return None
    if len(config.metrics) == 1:
        return None if run.best is None else (run.best,)
    stats = run.metrics if isinstance(run, SweepRun) else run.summary.get("metrics", {})
    scores = objectives(config.metrics, run.history, stats)
    return tuple(scores) if scores else None


def costs(values: Iterable[Point], config: SweepConfig) -> list[tuple[float, ...]]:
    """Return the values with the sign turned of each metric that is maximized, so that smaller is better."""
    signs = [1 if metric.goal == "minimize" else -1 for metric in config.metrics]
    return [tuple(sign * value for sign, value in zip(signs, row, strict=True)) for row in values]


def hypervolumes(points: Sequence[Point]) -> list[float]:
    """Return, after each point, the share of the box between the worst and the best values that is dominated so far.

    Smaller is better on each axis. Between 0 and 1; an axis on which all points are equal does not count.
    """
    if not points:
        return []
    axes = [axis for axis in zip(*points, strict=True) if min(axis) < max(axis)]
    if not axes:
        return [1.0] * len(points)
    lows, spans = [min(axis) for axis in axes], [max(axis) - min(axis) for axis in axes]
    scaled = [
        tuple((value - low) / span for value, low, span in zip(row, lows, spans, strict=True))
        for row in zip(*axes, strict=True)
    ]
    found, kept, reference = [0.0], list[Point](), (1.0,) * len(axes)
    for point in scaled:
        following = joined(kept, point)
        if following is not None:
            kept = following
        found.append(found[-1] if following is None else hypervolume(kept, reference))
    return found[1:]
