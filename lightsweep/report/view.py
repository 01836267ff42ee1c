"""A sweep as figures and page look at it: its runs, the axes of what varied, the metric that they are compared by."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightsweep.controller import StageView, SweepRun, best_run
from lightsweep.report.axes import MOST, Axis, make_axis
from lightsweep.report.text import label, shown
from lightsweep.schema import SweepConfig

__all__ = ["Digest", "digest", "spread"]


@dataclass(frozen=True)
class Digest:
    """What every figure is made from.

    Attributes:
        config: The sweep's config.
        runs: Those that the sweep began, in the order of their ids; a run's index here is its row on the page.
        axes: One for each parameter that is searched or that differed between runs, by name.
        best: The best run; ``None`` where no run has a finite value.
        stages: Its stages, where it has some and they were given.
        priors: The runs of other sweeps that it began with. They have no curve and no time of their own here, so that
            they are in no figure, except that what mattered is asked of them too.
    """

    config: SweepConfig
    runs: tuple[SweepRun, ...]
    axes: tuple[Axis, ...]
    best: SweepRun | None
    stages: tuple[StageView, ...] = ()
    priors: tuple[SweepRun, ...] = ()

    @property
    def metric(self) -> str | None:
        """The name of the metric; ``None`` for a sweep without one."""
        return self.config.metric.name if self.config.metric else None

    @property
    def title(self) -> str:
        """The metric as a figure's label."""
        return label(self.metric or "", 40)

    @property
    def sign(self) -> int:
        """1 where smaller is better, -1 where greater is."""
        return -1 if self.config.metric and self.config.metric.goal == "maximize" else 1

    @property
    def valued(self) -> list[int]:
        """The indices of the runs with a finite value of the metric."""
        return [index for index, run in enumerate(self.runs) if run.best is not None and math.isfinite(run.best)]

    def without_values(self) -> str:
        """Why there is nothing to compare, in a sentence; empty where there is."""
        if self.metric is None:
            return "The sweep has no metric, so its runs cannot be compared."
        if not self.runs:
            return "No run has started yet."
        return "" if self.valued else "No run has logged a finite value of the metric yet."


def digest(config: SweepConfig, runs: Sequence[SweepRun], stages: Sequence[StageView] = ()) -> Digest:
    """Look at a sweep; ``runs`` in the order of their ids, as ``Sweep.runs`` gives them.

    Values of the metric beyond 1e300 in size are drawn in to that. A run that waits to be started again has that state.
    """
    everything = [replace(_drawn_in(run), state=run.standing) for run in runs]
    runs = [run for run in everything if not run.prior]
    declared = {parameter.name: parameter.distribution for parameter in config.space.parameters}
    searched = {parameter.name for parameter in config.space.searched}
    names = sorted(searched | {name for run in runs for name in run.values} - (declared.keys() - searched))
    axes = []
    for name in names:
        values = [run.values[name] for run in runs if name in run.values]
        if name in declared or len({_same(value) for value in values}) > 1:
            axes.append(make_axis(name, values, declared.get(name)))
    return Digest(
        config,
        tuple(runs),
        tuple(axes),
        best_run(runs, config),
        tuple(stages),
        tuple(run for run in everything if run.prior),
    )


def spread(items: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the items, evenly over their order, the first and the last included."""
    if len(items) <= most:
        return list(items)
    if most < 2:
        return list(items[:most])
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def _drawn_in(run: SweepRun) -> SweepRun:
    sizes = [abs(value) for value in (run.best, *run.history) if value is not None]
    if max(sizes, default=0.0) <= MOST:
        return run
    history = tuple(max(-MOST, min(MOST, value)) for value in run.history)
    best = run.best if run.best is None else max(-MOST, min(MOST, run.best))
    return replace(run, best=best, history=history)


def _same(value: Any) -> Hashable:
    return (type(value).__name__, shown(value, 10_000))
