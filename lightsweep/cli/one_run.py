"""``lightsweep status SWEEP/RUN``: one run, with its parts and its directory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightsweep.client.parts import read_parts
from lightsweep.controller import RunState, Sweep, SweepRun
from lightsweep.text import aligned, counted, number, printable, shortened, value_text

_WIDTH = 60


def run_parts(run: SweepRun) -> list[dict[str, Any]]:
    """Return the parts of a run whose directory is on this machine; see :func:`~lightsweep.client.parts.read_parts`.

    The state of a part without an end is ``running`` while the run is, else ``cut off``.
    """
    parts: list[dict[str, Any]] = []
    for directory in run.directories:
        parts += read_parts(Path(directory))
    for part in parts:
        part["state"] = part["state"] or ("running" if run.state == RunState.RUNNING else "cut off")
    return parts


def run_text(sweep: Sweep, run: SweepRun) -> str:
    """Return the lines about a run: its state, parameters, numbers, parts and directory."""
    metric = sweep.config.metric
    best = f", best {printable(metric.name)} {number(run.best)}" if metric and run.best is not None else ""
    lines = [f"run {run.id} of sweep {sweep.id}: {run.standing}, {counted(run.iterations, 'iteration')}{best}"]
    if run.reason:
        lines.append(printable(run.reason))
    lines.append(f"its id in scripts and file names: {sweep.id}-{run.id}")
    lines += [f"directory: {printable(directory)}" for directory in run.directories]
    if run.values:
        rows = [[printable(name), printable(value_text(value))] for name, value in run.values.items()]
        lines += ["", *aligned([["parameter", "value"], *rows])]
    if run.metrics:
        lines += ["", *_numbers("metric", run.metrics)]
    parts = run_parts(run)
    if parts:
        name = metric.name if metric and any(metric.name in part["metrics"] for part in parts) else ""
        rows = [
            [
                str(part["part"]),
                shortened(printable(part["name"]), _WIDTH),
                part["state"],
                str(part["logs"]),
                *([_cell(part["metrics"].get(name, {}).get("last"))] if name else []),
                shortened(printable(part.get("error", "")), _WIDTH),
            ]
            for part in parts
        ]
        heading = ["part", "name", "state", "logs", *([f"last {printable(name)}"] if name else []), ""]
        lines += ["", "parts, which the sweep does not compare:", *aligned([heading, *rows])]
    return "\n".join(lines)


def _numbers(heading: str, metrics: dict[str, dict[str, float]]) -> list[str]:
    keys = ("min", "max", "last")
    rows = [[printable(name), *(_cell(stats.get(key)) for key in keys)] for name, stats in sorted(metrics.items())]
    return aligned([[heading, *keys], *rows])


def _cell(value: float | None) -> str:
    return "–" if value is None or math.isinf(value) else number(value)
