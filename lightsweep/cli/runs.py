"""``lightsweep runs`` and ``lightsweep show``: the runs of a sweep as a table, and one run."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Annotated, Any

import typer

from lightsweep.agents.displays.live_view import span
from lightsweep.cli.options import Storage, SweepId, read_sweep, run_of, storage_option
from lightsweep.cli.output import say
from lightsweep.cli.status import run_document, show_run
from lightsweep.controller import RunState, Sweep, SweepRun
from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.text import aligned, number, printable, shortened, value_text

_CELL = 24


class Sort(str, Enum):
    """The orders of runs."""

    best = "best"
    number = "number"
    iterations = "iterations"
    time = "time"


def runs(
    sweep_id: SweepId,
    sort: Annotated[
        Sort, typer.Option(help="The order: the best metric first, by number, or the most iterations or time first.")
    ] = Sort.best,
    top: Annotated[int | None, typer.Option(min=1, metavar="N", help="Show the first N of this order.")] = None,
    state: Annotated[str | None, typer.Option(metavar="STATE", help="Only runs in this state, such as failed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    storage: Storage = None,
) -> None:
    """Show the runs of a sweep with their parameters.

    For example: lightsweep runs latest --sort best --top 10
    """
    states = [str(each) for each in RunState]
    if state is not None and state not in states:
        raise UsageError(f"no run is {state!r}{closest(state, states)}; the states are {', '.join(states)}")
    sweep = read_sweep(sweep_id, storage)
    now = datetime.now(timezone.utc)
    found = sorted(
        (run for run in sweep.runs if state in (None, run.standing)), key=lambda run: _rank(run, sort, sweep, now)
    )
    shown = found[:top]
    if as_json:
        print(json.dumps([run_document(run) for run in shown], indent=2, allow_nan=False))
        return
    if not shown:
        say(f"sweep {sweep.id} has no run{f' that is {state}' if state else ' yet'}")
        return
    names = sweep.config.searched([run.values for run in shown])
    metric = printable(sweep.config.metric.name) if sweep.config.metric else "best"
    heading = ["run", *sweep.config.labels, "state", metric, "iterations", "time", *map(printable, names)]
    rows = [
        [
            run.id,
            *(printable(run.labels.get(name, "–")) for name in sweep.config.labels),
            str(run.standing),
            "–" if run.best is None else number(run.best),
            str(run.iterations),
            _time(run, now),
            *(printable(value_text(run.values[name])) if name in run.values else "–" for name in names),
        ]
        for run in shown
    ]
    cells = [[shortened(cell, _CELL) for cell in row] for row in [heading, *rows]]
    lines = aligned(cells)
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        lines = [shortened(line, width) for line in lines]
    print("\n".join(lines))
    if len(shown) < len(found):
        print(f"{len(found) - len(shown):,} more without --top")
    print(f"one of them: lightsweep show {sweep.id} {shown[0].id}{storage_option(sweep)}")


def show(
    sweep_id: SweepId,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, such as 0001, or best.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    storage: Storage = None,
) -> None:
    """Show one run: its parameters, numbers, parts and directory.

    For example: lightsweep show latest best
    """
    sweep = read_sweep(sweep_id, storage)
    if run != "best":
        show_run(sweep, run_of(sweep, run), as_json)
        return
    best = sweep.best_run
    if best is None:
        raise NotFoundError(f"sweep {sweep.id} has no best run yet: no run has logged its metric")
    show_run(sweep, best, as_json)


def _rank(run: SweepRun, sort: Sort, sweep: Sweep, now: datetime) -> tuple[Any, ...]:
    """Return the key that sorts runs in the order; equal ones go by number, prior runs come last."""
    number = (len(run.id), run.id)
    if sort is Sort.iterations:
        return (run.prior, -run.iterations, number)
    if sort is Sort.time:
        return (run.prior, -(_length(run, now) or timedelta()), number)
    if sort is Sort.number or sweep.config.metric is None:
        return (run.prior, number)
    sign = 1 if sweep.config.metric.goal == "minimize" else -1
    return (run.prior, run.best is None, sign * (run.best or 0.0), number)


def _length(run: SweepRun, now: datetime) -> timedelta | None:
    return None if run.started is None else (run.ended or now) - run.started


def _time(run: SweepRun, now: datetime) -> str:
    length = _length(run, now)
    return "–" if length is None else span(length)
