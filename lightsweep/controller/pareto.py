"""The Pareto front of a sweep with several metrics: the runs that no other run beats in all of them.

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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lightsweep.controller.outcome import objectives
from lightsweep.controller.runs import RunEntry, SweepRun, breaks
from lightsweep.sampler import RunState
from lightsweep.schema import SweepConfig
from lightsweep.text import counted

Point = Sequence[float]
_R = TypeVar("_R", RunEntry, SweepRun)


def front(points: Sequence[Point]) -> list[int]:
    """Return the indices of the points that no other point dominates, ascending; of equal points the first.

    Smaller is better on each axis. The points are finite and have as many values each.
    """
    kept: list[int] = []
    best = math.inf  # of the second value; with two, a point that does not better it is dominated
    for index in sorted(range(len(points)), key=lambda index: (*points[index], index)):
        point = points[index]
        if len(point) == 2:
            if point[1] < best:
                best = point[1]
                kept.append(index)
        elif not any(_covers(points[other], point) for other in kept):
            kept.append(index)
    return sorted(kept)


def joins(points: Iterable[Point | None]) -> Iterator[bool]:
    """Yield for each point whether it is on the front of those so far; of equal points the first is.

    Smaller is better on each axis. ``None`` never is. A point stays one that was on the front, whatever follows.
    """
    kept: list[Point] = []
    for point in points:
        joined = point is not None and not any(_covers(other, point) for other in kept)
        if joined and point is not None:
            kept = [*(other for other in kept if not _covers(point, other)), point]
        yield joined


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
        slab = [*(other for other in slab if not _covers(point[:-1], other)), point[:-1]]
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
    if run.state not in {RunState.FINISHED, RunState.PRUNED} or breaks(run, config):
        return None
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
    found, kept, reference = list[float](), list[Point](), (1.0,) * len(axes)
    for point in scaled:
        if not any(_covers(other, point) for other in kept):
            kept = [*(other for other in kept if not _covers(point, other)), point]
            found.append(hypervolume(kept, reference))
        else:
            found.append(found[-1])
    return found
