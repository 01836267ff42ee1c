"""What each run counts for in bayes: its own objectives, an imputed value, or nothing yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lightsweep.sampler.observation import Observation

if TYPE_CHECKING:
    from lightsweep.schema import Metric

__all__ = ["LARGEST", "counted_objectives", "is_pending"]

Objectives = tuple[float, ...]

# Larger numbers overflow when a sampler squares them, so they are cut off here; their order below is kept.
LARGEST = 1e100


def is_pending(observation: Observation, metrics: Sequence[Metric]) -> bool:
    """Whether the run counts as still running: a point to keep away from, without a value."""
    return observation.state == "running" and not any(metric.impute_while_running for metric in metrics)


def counted_objectives(known: Sequence[Observation], metrics: Sequence[Metric]) -> list[Objectives | None]:
    """For each run the objectives that it counts with, one per metric; ``None``: it does not count.

    Finished and pruned runs count with the best of their history. Failed and killed runs, runs that logged nothing
    finite and, with ``impute_while_running``, running ones count with the imputed value of each metric: ``worst`` and
    ``best`` are those of all runs of the sweep, ``latest`` is the run's own objective, or the worst where it has none.
    Runs that only pend, and imputed ones while no run has a finite value to impute from, do not count.
    """
    spans = [_span(known, axis, metric) for axis, metric in enumerate(metrics)]
    return [_objectives(observation, metrics, spans) for observation in known]


def _objectives(
    observation: Observation, metrics: Sequence[Metric], spans: Sequence[tuple[float, float] | None]
) -> Objectives | None:
    if not metrics or is_pending(observation, metrics):
        return None
    values: list[float] = []
    for axis, (metric, span) in enumerate(zip(metrics, spans, strict=True)):
        own = _finite(observation, axis)
        if span is None:
            return None
        best, worst = span
        if own is not None and (metric.impute == "latest" or observation.state in ("finished", "pruned")):
            values.append(own)
        else:
            values.append(best if metric.impute == "best" else worst)
    return tuple(values)


def _span(known: Sequence[Observation], axis: int, metric: Metric) -> tuple[float, float] | None:
    """Best and worst finite value of one metric over all runs; ``None`` where there is none."""
    values = [value for value in (_finite(observation, axis) for observation in known) if value is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    return (high, low) if metric.goal == "maximize" else (low, high)


def _finite(observation: Observation, axis: int) -> float | None:
    if observation.objectives is None or axis >= len(observation.objectives):
        return None
    value = observation.objectives[axis]
    return max(-LARGEST, min(LARGEST, float(value))) if value is not None and math.isfinite(value) else None
