"""From what the storage says of a run to what a user sees of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightsweep.controller.keys import ATTEMPT, VALUES
from lightsweep.controller.runs import RunEntry, SweepRun
from lightsweep.errors import InputError
from lightsweep.sampler import native_value
from lightsweep.schema import SweepConfig
from lightsweep.space import Constant, Parameter, Space

__all__ = ["by_run", "json_number", "nested", "values_of", "view"]


def by_run(config: SweepConfig) -> bool:
    """Whether a function of the user's defines the parameters of each run, beside those of the config."""
    scheduler = config.scheduler
    return bool(scheduler and scheduler.engine == "optuna" and scheduler.source and scheduler.search_space)


def values_of(entry: RunEntry, config: SweepConfig) -> dict[str, Any] | None:
    """The parameters of a run under their dotted names; ``None`` while they are not written yet.

    Read from the trial's parameters; from ``VALUES`` where the config does not know all of them, or some are missing
    since the agent died while it wrote.
    """
    kept = entry.record.attributes.get(VALUES)
    if not by_run(config):
        stored = entry.record.parameters
        values = {
            parameter.name: _native(parameter, stored[parameter.name])
            for parameter in config.space.parameters
            if parameter.name in stored
        }
        if len(values) == len(config.space.parameters):
            return values
    return dict(kept) if isinstance(kept, dict) else None


def _native(parameter: Parameter, stored: Any) -> Any:
    try:
        return native_value(parameter.distribution, stored)
    except ValueError:
        return stored  # of a run from before an update that took the value away


def nested(values: Mapping[str, Any], config: SweepConfig) -> dict[str, Any]:
    """The parameters of a run as the script sees them; those that the config does not know nest by their dots.

    Raises:
        InputError: One of those is a parameter and also the group that holds another.
    """
    known = {parameter.name for parameter in config.space.parameters}
    if known.issuperset(values):
        return config.space.nest(values)
    others = [Parameter(name, _path(name), Constant(value)) for name, value in values.items() if name not in known]
    try:
        return Space([*config.space.parameters, *others]).nest(values)
    except ValueError as error:
        raise InputError(f"scheduler.search_space: {error}") from None


def _path(name: str) -> tuple[str, ...]:
    parts = tuple(name.split("."))
    return parts if all(parts) else (name,)


def view(entry: RunEntry, config: SweepConfig, stage: str | None = None, *, waiting: bool = False) -> SweepRun:
    """The run for users, of the stage with this name."""
    values = _had(entry, config) if entry.prior else values_of(entry, config) or {}
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
        config=nested(values, config),
        values=values,
        best=entry.best(config.metric.goal) if config.metric else None,
        last=reports[-1] if reports else None,
        iterations=entry.iterations,
        history=tuple(history),
        started=entry.record.started,
        ended=None if state == "running" else entry.record.ended,
        reason=reason,
        metrics={
            name: {key: float(value) for key, value in stats.items()}
            for name, stats in summary.get("metrics", {}).items()
        },
        unread=tuple(summary.get("unread", ())),
        attempt=entry.starts,
        agent=str(entry.record.attributes.get(ATTEMPT, {}).get("agent", "")),
        stage=stage,
        prior=entry.prior,
        waiting=waiting,
    )


def _had(entry: RunEntry, config: SweepConfig) -> dict[str, Any]:
    """What a prior run really had of the parameters; its trial has a value for each, as the sampler needs one."""
    kept = entry.record.attributes.get(ATTEMPT, {}).get("values")
    return dict(kept) if isinstance(kept, dict) else values_of(entry, config) or {}


def json_number(value: float | None) -> float | None:
    """``value`` for a JSON document, which has no NaN and no infinities."""
    return value if value is not None and math.isfinite(value) else None
