"""Decide by ``stop_when`` whether a sweep starts further runs; all of it follows from the runs and the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from lightsweep.controller.pareto import costs, joins, values_on_front
from lightsweep.controller.runs import RunEntry, breaks
from lightsweep.sampler import RunState
from lightsweep.schema import Metric, SweepConfig
from lightsweep.text import counted, number

PROPOSALS = 3
"""So many proposals one after the other must promise too little, since the model may err once."""


def ended_by(config: SweepConfig, entries: Iterable[RunEntry], now: datetime) -> str:
    """Return the condition of ``stop_when`` that holds, with its numbers; empty if none does.

    A condition that has held once holds from then on, whatever runs that were running find later. So agents can leave.

    Args:
        config: The config in force.
        entries: Every run, by id.
        now: The time, with its zone.
    """
    stop = config.options.stop_when
    if stop is None:
        return ""
    own = [entry for entry in entries if not entry.prior]
    first = min((begun for entry in own if (begun := entry.began or entry.record.started)), default=None)
    if stop.hours is not None and first is not None and now - first >= timedelta(hours=stop.hours):
        return f"stop_when: {number(stop.hours)} hours have passed since the first run started"
    # All reports, for the trainings that count no more were paid for, too.
    iterations = sum(len(entry.record.reports) for entry in own) if stop.epochs is not None else 0
    if stop.epochs is not None and iterations >= stop.epochs:
        return f"stop_when: all runs together have {counted(iterations, 'iteration')}, of {stop.epochs:,} allowed"
    stuck = _no_better(own, config, config.metric, stop.no_better_in) if config.metric and stop.no_better_in else ""
    if stuck:
        return f"stop_when: {stuck}"
    if stop.expected_gain is not None and (gain := _gain_below(own, stop.expected_gain)) is not None:
        return f"stop_when: a further run is expected to gain {number(gain)}, less than {number(stop.expected_gain)}"
    return ""


def _no_better(own: Sequence[RunEntry], config: SweepConfig, metric: Metric, most: int) -> str:
    """Return why the sweep ends if so many runs have ended in turn without a new best; empty if not.

    With several metrics a run that enters the Pareto front is a new best.
    """
    ended = [entry for entry in own if entry.record.ended is not None and counts(entry, config)]
    ended.sort(key=lambda entry: (entry.record.ended, entry.ticket or 0))
    runs = f"the last {most:,} runs" if most > 1 else "the last run"
    if len(config.metrics) > 1:
        scores = [values_on_front(entry, config) for entry in ended]
        points = (None if each is None else costs([each], config)[0] for each in scores)
        since = 0
        for joined in joins(points):
            since = 0 if joined else since + 1
            if since >= most:
                return f"no run has entered the Pareto front in {runs}"
        return ""
    best, since = None, 0
    for entry in ended:
        value = entry.best if entry.state != RunState.FAILED and not breaks(entry, config) else None
        better = value is not None and (best is None or (value < best if metric.goal == "minimize" else value > best))
        best, since = (value, 0) if better else (best, since + 1)
        if since >= most:
            none = "no run within the constraints" if config.options.constraints else "no value"
            return f"{none if best is None else f'no better than {number(best)}'} in {runs}"
    return ""


def counts(entry: RunEntry, config: SweepConfig) -> bool:
    """Return whether a run has ended for good; one that the user or its agent ended says nothing about its values."""
    ended = not entry.running and not wants_retry(entry, config)
    return ended and entry.state in {RunState.FINISHED, RunState.PRUNED, RunState.FAILED}


def _gain_below(own: Sequence[RunEntry], least: float) -> float | None:
    """Return the expected gain of the proposal that ends the sweep; ``None`` if none does."""
    low = 0
    for entry in own:
        gain = entry.gain
        if gain is not None:
            low = low + 1 if gain < least else 0
            if low == PROPOSALS:
                return gain
    return None


def wants_retry(entry: RunEntry, config: SweepConfig) -> bool:
    """Return whether the run waits for an agent to retry it."""
    if entry.running:
        return False
    if entry.waiting:
        return entry.asked or entry.starts <= config.options.max_preemptions
    return entry.state == RunState.FAILED and entry.starts <= config.options.max_retries
