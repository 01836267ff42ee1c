"""How a run ended, and what of it goes into the storage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState

from lightsweep.controller.live import LiveRun
from lightsweep.controller.runs import best_of
from lightsweep.schema import Metric

__all__ = ["Outcome", "objectives", "plain_metrics", "summary", "trial_end"]

_TRIAL_STATE = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED}


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: ``finished``, ``pruned``, ``failed``, ``killed`` (by the user), or ``lost`` (to be started again).
        reason: Why, in words and numbers.
        unread: Swept parameters that the run never read.
    """

    state: str
    reason: str = ""
    unread: Sequence[str] = ()


def objectives(
    metrics: Sequence[Metric], history: Sequence[float], stats: Mapping[str, Mapping[str, float]]
) -> list[float] | None:
    """What the run counts with, one value for each metric; ``None`` where one of them has no finite value.

    The best of the history for the one metric of a sweep; of several the last values, which belong to one model.
    """
    if len(metrics) == 1:
        best = best_of(history, metrics[0].goal)
        return None if best is None else [best]
    values = [float(stats.get(metric.name, {}).get("last", math.nan)) for metric in metrics]
    return values if values and all(map(math.isfinite, values)) else None


def trial_end(metrics: Sequence[Metric], run: LiveRun, outcome: Outcome) -> tuple[TrialState, list[float] | None]:
    """State and values of the run's trial in Optuna.

    A finished run whose values were never finite counts with infinity on the bad side. A sweep without a metric has
    nothing to compare, so its finished runs have the value 0.
    """
    state = _TRIAL_STATE.get(outcome.state, TrialState.FAIL)
    if state == TrialState.FAIL:
        return state, None
    if not metrics:
        return state, [0.0] if state == TrialState.COMPLETE else None
    values = objectives(metrics, run.history, run.metrics)
    if values is None and state == TrialState.COMPLETE:
        values = [math.inf if metric.goal == "minimize" else -math.inf for metric in metrics]
    return state, values


def summary(run: LiveRun, outcome: Outcome) -> dict[str, Any]:
    """What is kept of a run beside its reports; JSON without NaN, which not every database takes."""
    return {
        "state": outcome.state,
        "reason": outcome.reason,
        "metrics": plain_metrics(run.metrics),
        "unread": list(outcome.unread),
    }


def plain_metrics(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | str]]:
    """The statistics of each number as a summary keeps them, those that are not finite as text."""
    return {
        name: {key: value if math.isfinite(value) else str(value) for key, value in stats.items()}
        for name, stats in metrics.items()
    }
