"""Which run of a sweep is the best."""

from __future__ import annotations

from collections.abc import Iterable

from lightsweep.controller.runs import RunEntry, SweepRun
from lightsweep.schema import SweepConfig

__all__ = ["best_entry", "best_run"]


def best_run(runs: Iterable[SweepRun], config: SweepConfig) -> SweepRun | None:
    """See :attr:`~lightsweep.controller.sweep.Sweep.best_run`."""
    metric = config.metric
    if metric is None:
        return None
    sign = 1 if metric.goal == "minimize" else -1
    valued = [run for run in runs if run.best is not None and not run.prior]
    ended = [run for run in valued if run.state in {"finished", "pruned"}]
    return min(ended or valued, key=lambda run: sign * (run.best or 0.0), default=None)


def best_entry(entries: Iterable[RunEntry], config: SweepConfig) -> RunEntry | None:
    """The same from what the storage says of the runs, without making a view of each."""
    metric = config.metric
    if metric is None:
        return None
    sign = 1 if metric.goal == "minimize" else -1
    valued = [entry for entry in entries if entry.best(metric.goal) is not None and not entry.prior]
    ended = [entry for entry in valued if entry.record.state in {"COMPLETE", "PRUNED"}]
    return min(ended or valued, key=lambda entry: sign * (entry.best(metric.goal) or 0.0), default=None)
