"""``lightsweep export``: every run of a sweep as a table or as JSON."""

from __future__ import annotations

import csv
import json
import sys
from enum import Enum
from typing import Annotated, Any

import typer

from lightsweep.cli.options import Storage, SweepId

__all__ = ["Format", "export"]


class Format(str, Enum):
    """The kinds of file."""

    csv = "csv"
    json = "json"


def export(
    sweep_id: SweepId,
    format_: Annotated[
        Format, typer.Option("--format", help="csv: one row a run; json: as `status --json`.")
    ] = Format.csv,
    storage: Storage = None,
) -> None:
    """Print every run of a sweep on stdout, with those that it began with."""
    from lightsweep.cli.output import looking
    from lightsweep.cli.status import document
    from lightsweep.controller import Sweep

    sweep = Sweep.load(sweep_id, storage=looking(storage))
    if format_ is Format.json:
        print(json.dumps(document(sweep), indent=2, allow_nan=False))
        return
    runs = sweep.runs
    parameters = sweep.config.names(run.values for run in runs)
    metrics = sorted({name for run in runs for name in run.metrics})
    writer = csv.writer(sys.stdout, lineterminator="\n")
    fields = ["id", "state", "best", "last", "iterations", "started", "ended", "reason"]
    fields[1:1] = sweep.config.labels
    fields[1:1] = ["prior"] if any(run.prior for run in runs) else []
    names = [*(f"config.{name}" for name in parameters), *(f"last.{name}" for name in metrics)]
    writer.writerow([*fields, *map(_cell, names)])
    for run in runs:
        writer.writerow(
            [_cell(getattr(run, field)) for field in fields]
            + [_cell(run.values.get(name)) for name in parameters]
            + [_cell(run.metrics.get(name, {}).get("last")) for name in metrics]
        )


def _cell(value: Any) -> Any:
    """A cell of the table: numbers as they are, text so that neither a spreadsheet nor a terminal acts on it."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    text = json.dumps(value) if isinstance(value, (list, dict)) else value
    if not isinstance(text, str):
        return text
    visible = "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)
    return f"'{visible}" if visible.startswith(("=", "+", "-", "@", "\t")) and not _is_number(visible) else visible


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
