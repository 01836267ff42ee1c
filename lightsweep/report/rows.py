"""The table of runs, as data for the page."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

from lightsweep.controller import SweepRun
from lightsweep.report.text import shorten, shown
from lightsweep.report.view import Digest

__all__ = ["columns", "rows"]

_MOST_METRICS = 8
_REASON_WIDTH = 160
_VALUE_WIDTH = 80


def columns(view: Digest) -> list[dict[str, str]]:
    """Name and kind (``text``, ``number``, ``time``, ``duration``, ``value``) of each column."""
    metric = [{"name": view.metric, "kind": "number"}] if view.metric else []
    return [
        {"name": "run", "kind": "text"},
        {"name": "state", "kind": "text"},
        *metric,
        *([{"name": "stage", "kind": "text"}] if view.config.stages else []),
        {"name": "iterations", "kind": "number"},
        *({"name": axis.name, "kind": "value"} for axis in view.axes),
        *({"name": f"last {name}", "kind": "number"} for name in _others(view)),
        {"name": "started (UTC)", "kind": "time"},
        {"name": "took", "kind": "duration"},
        {"name": "reason", "kind": "text"},
    ]


def rows(view: Digest, now: datetime) -> list[list[Any]]:
    """One row a run in the order of the columns; numbers as numbers, ``None`` where there is nothing."""
    others = _others(view)
    return [
        [
            run.id,
            run.state,
            *([_number(run.best)] if view.metric else []),
            *([shorten(run.stage, _VALUE_WIDTH) if run.stage is not None else None] if view.config.stages else []),
            run.iterations,
            *(_cell(run.values[axis.name]) if axis.name in run.values else None for axis in view.axes),
            *(_number(run.metrics.get(name, {}).get("last")) for name in others),
            _time(run.started),
            _took(run, now),
            shorten(run.reason, _REASON_WIDTH),
        ]
        for run in view.runs
    ]


def _others(view: Digest) -> list[str]:
    """The other numbers that runs logged, by name; the first of very many."""
    names = sorted({name for run in view.runs for name in run.metrics} - {view.metric})
    return names[:_MOST_METRICS]


def _number(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _cell(value: Any) -> Any:
    """A number that JSON and JavaScript hold as it is, else text."""
    if isinstance(value, float):
        return _number(value) if math.isfinite(value) else str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return value
    return shown(value, _VALUE_WIDTH)


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S") if moment else None


def _took(run: SweepRun, now: datetime) -> float | None:
    return round(((run.ended or now) - run.started).total_seconds(), 1) if run.started else None
