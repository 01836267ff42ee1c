"""``lightsweep export``: all runs of a sweep as a table or as JSON."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from enum import Enum
from typing import Annotated, Any

import typer

from lightsweep.cli.options import Storage, SweepId, read_sweep
from lightsweep.cli.output import show_json, without_infinities
from lightsweep.controller import Sweep, SweepRun
from lightsweep.controller.ranking import pareto_front
from lightsweep.controller.summary import forecast, part_documents

_FORMULA = re.compile(r"[=@\t]|[+-](?!(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\Z|inf\Z)", re.IGNORECASE)
"""The beginning of a text that a spreadsheet takes for a formula; a signed number is none."""


class Format(str, Enum):
    """The kinds of export."""

    csv = "csv"
    json = "json"


def export(
    sweep_id: SweepId,
    format_: Annotated[
        Format, typer.Option("--format", help="csv: one row per run; json: as `status --json`.")
    ] = Format.csv,
    storage: Storage = None,
) -> None:
    """Print all runs of a sweep as CSV or JSON.

    Prior runs are among them.

    For example: lightsweep export latest > runs.csv
    """
    sweep = read_sweep(sweep_id, storage)
    if format_ is Format.json:
        show_json(sweep_document(sweep))
        return
    runs = sweep.runs
    names = sweep.config.names(run.values for run in runs)
    metrics = sorted({name for run in runs for name in run.metrics})
    writer = csv.writer(sys.stdout, lineterminator="\n")
    fields = ["id", "state", "best", "last", "iterations", "started", "ended", "reason"]
    fields[1:1] = sweep.config.labels
    fields[1:1] = ["prior"] if any(run.prior for run in runs) else []
    columns = [*(f"config.{name}" for name in names), *(f"last.{name}" for name in metrics)]
    writer.writerow([*fields, *map(_cell, columns)])
    for run in runs:
        writer.writerow(
            [_cell(getattr(run, field)) for field in fields]
            + [_cell(run.values.get(name)) for name in names]
            + [_cell(run.metrics.get(name, {}).get("last")) for name in metrics]
        )


def _cell(value: Any) -> Any:
    """Return a cell of a CSV file: no text is a formula to a spreadsheet or a control sequence to a terminal."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    text = json.dumps(value) if isinstance(value, (list, dict)) else value
    if not isinstance(text, str):
        return text
    visible = "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)
    return f"'{visible}" if _FORMULA.match(visible) else visible


def sweep_document(sweep: Sweep) -> dict[str, Any]:
    """Return the JSON document of a sweep; metrics that are not finite are null, such parameters text (``"inf"``).

    Only a sweep with several metrics has the keys ``metrics`` and ``front``, its Pareto front. Only a sweep with stages
    has the keys ``stages`` and, in its runs, ``stage``; only a prior run has ``prior``. The key
    ``forecast`` is there once enough runs have ended.
    """
    state = sweep.state
    metric, runs = sweep.config.metric, sweep.known_runs()
    several = len(sweep.config.metrics) > 1
    metrics = [{"name": each.name, "goal": each.goal} for each in sweep.config.metrics]
    front = pareto_front(runs, sweep.config).documents(sweep.config) if several else None
    more = forecast(sweep)
    return {
        "id": sweep.id,
        "name": sweep.config.name,
        "state": state.name,
        "reason": state.reason,
        "method": sweep.config.method,
        "metric": {"name": metric.name, "goal": metric.goal} if metric else None,
        "storage": str(sweep.storage),
        **without_infinities(part_documents(sweep)),
        **({"metrics": metrics, "front": front} if front is not None else {}),
        **({"forecast": more.document()} if more is not None else {}),
        "runs": [run_document(run) for run in runs],
    }


def run_document(run: SweepRun) -> dict[str, Any]:
    """Return what `--json` says of a run in a list."""
    return {
        "id": run.id,
        "state": run.state,
        "config": without_infinities(run.config),
        "best": run.best,
        "last": run.last if run.last is not None and math.isfinite(run.last) else None,
        "iterations": run.iterations,
        "started": run.started.isoformat() if run.started else None,
        "ended": run.ended.isoformat() if run.ended else None,
        "reason": run.reason,
        "unread": list(run.unread),
        **({"breaks": list(run.breaks)} if run.breaks else {}),
        **run.labels,
        **({"prior": True} if run.prior else {}),
    }
