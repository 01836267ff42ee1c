"""From what the storage says of a run to what a user sees of it."""

from __future__ import annotations

import math
from typing import Any

from lightsweep.controller.keys import ATTEMPT
from lightsweep.controller.runs import RunEntry, SweepRun, best_of
from lightsweep.sampler import native_value
from lightsweep.schema import SweepConfig

__all__ = ["values_of", "view"]


def values_of(entry: RunEntry, config: SweepConfig) -> dict[str, Any]:
    """The parameters of a run under their dotted names; empty while they are being written."""
    stored = entry.record.parameters
    values = {
        parameter.name: native_value(parameter.distribution, stored[parameter.name])
        for parameter in config.space.parameters
        if parameter.name in stored
    }
    return values if len(values) == len(config.space.parameters) else {}


def view(entry: RunEntry, config: SweepConfig) -> SweepRun:
    """The run for users."""
    values = values_of(entry, config)
    history = entry.history
    reports = entry.record.reports
    summary = entry.summary
    state = entry.state
    reason = str(summary.get("reason", ""))
    if entry.waiting:
        reason = reason or "lost with its agent"
    return SweepRun(
        id=entry.id,
        state=state,
        config=config.space.nest(values),
        values=values,
        best=best_of(history, config.metric.goal) if config.metric else None,
        last=reports[-1] if reports else None,
        iterations=len(history),
        history=tuple(history),
        started=entry.record.started,
        ended=None if state == "running" else entry.record.ended,
        reason=reason,
        metrics={
            name: {key: float(value) for key, value in stats.items()}
            for name, stats in summary.get("metrics", {}).items()
        },
        unread=tuple(summary.get("unread", ())),
        attempt=entry.attempt,
        agent=str(entry.record.attributes.get(ATTEMPT, {}).get("agent", "")),
    )


def json_number(value: float | None) -> float | None:
    """``value`` for a JSON document, which has no NaN and no infinities."""
    return value if value is not None and math.isfinite(value) else None
