"""``lightsweep runs`` and ``lightsweep show``: the runs of a sweep as a table, and one run."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from lightsweep.cli.export import run_document
from lightsweep.cli.options import Json, Storage, SweepId, read_sweep, run_of
from lightsweep.cli.output import cut, say, show_json, without_infinities
from lightsweep.controller import RunState, Sweep, SweepRun
from lightsweep.controller.ranking import Front, scores
from lightsweep.controller.runs import RunEntry, breaks
from lightsweep.errors import NotFoundError, UsageError, closest
from lightsweep.text import aligned, counted, number, paint, parameters, printable, shortened, span, value_text

STATE_STYLES = {RunState.FAILED: "red"}
"""Of the lines of runs, by their state."""

_CELL = 24
_PART_WIDTH = 60
_NAMED = 12


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
    as_json: Json = False,
    storage: Storage = None,
) -> None:
    """Show the runs of a sweep with their parameters.

    For example: lightsweep runs latest --sort best --top 10
    """
    states = [str(each) for each in RunState]
    if state is not None and state not in states:
        raise UsageError(f"no run is {state!r}{closest(state, states) or '.'} The states are {', '.join(states)}")
    sweep = read_sweep(sweep_id, storage)
    now = datetime.now(timezone.utc)
    found = sorted(
        (run for run in sweep.runs if state in (None, run.standing)), key=lambda run: rank(run, sort, sweep, now)
    )
    shown = found[:top]
    if as_json:
        show_json([run_document(run) for run in shown])
        return
    if not shown:
        say(f"sweep {sweep.id} has no run{f' that is {state}' if state else ' yet'}")
        return
    names = sweep.config.searched([run.values for run in shown])
    metrics = [metric.name for metric in sweep.config.metrics]
    heading = [
        "run",
        *sweep.config.labels,
        "state",
        *map(printable, metrics or ["best"]),
        "iterations",
        "time",
        *(["breaks"] if sweep.config.options.constraints else []),
        *map(printable, names),
    ]
    rows = [
        [
            run.id,
            *(printable(run.labels.get(name, "–")) for name in sweep.config.labels),
            str(run.standing),
            "–" if run.best is None else number(run.best),
            *(_number_cell(run.metrics.get(name, {}).get("last")) for name in metrics[1:]),
            str(run.iterations),
            time_of(run, now),
            *(["; ".join(run.breaks) or "–"] if sweep.config.options.constraints else []),
            *(printable(value_text(run.values[name])) if name in run.values else "–" for name in names),
        ]
        for run in shown
    ]
    cells = [[shortened(cell, _CELL) for cell in row] for row in [heading, *rows]]
    first, *lines = map(cut, aligned(cells))
    styles = [STATE_STYLES.get(run.standing, "") for run in shown]
    print("\n".join([paint(first, "bold"), *map(paint, lines, styles)]))
    if len(shown) < len(found):
        print(f"{len(found) - len(shown):,} more without --top")
    print(f"one of them, with its reason: lightsweep show {sweep.id} {shown[0].id}{sweep.storage.option}")


def show(
    sweep_id: SweepId,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run, such as 0001, or best.")],
    as_json: Json = False,
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
        why = without_best(sweep) or "no run has logged its metric"
        raise NotFoundError(f"sweep {sweep.id} has no best run yet: {why}")
    show_run(sweep, best, as_json)


def without_best(sweep: Sweep) -> str:
    """Return how many runs break a constraint, for a sweep without a best run; empty if none do."""
    count = sum(bool(run.breaks) for run in sweep.known_runs())
    if not count:
        return ""
    return f"{counted(count, 'run')} {'breaks' if count == 1 else 'break'} a constraint, see lightsweep runs {sweep.id}"


def rank(run: SweepRun, sort: Sort, sweep: Sweep, now: datetime) -> tuple[Any, ...]:
    """Return the key that sorts runs in the order; equal ones go by number, prior runs come last."""
    number = (len(run.id), run.id)
    if sort is Sort.iterations:
        return (run.prior, -run.iterations, number)
    if sort is Sort.time:
        return (run.prior, -(_length(run, now) or timedelta()), number)
    if sort is Sort.number:
        return (run.prior, number)
    return by_value(run, sweep)


def by_value(run: SweepRun | RunEntry, sweep: Sweep) -> tuple[Any, ...]:
    """Return the key that sorts runs by their best value; without a metric by number."""
    number, metric = (len(run.id), run.id), sweep.config.metric
    if metric is None:
        return (run.prior, number)
    sign = 1 if metric.goal == "minimize" else -1
    return (run.prior, run.best is None, bool(breaks(run, sweep.config)), sign * (run.best or 0.0), number)


def front_table(sweep: Sweep, front: Front[RunEntry] | Front[SweepRun], most: int = 20) -> list[str]:
    """Return a table of a Pareto front: each run with its value of each metric, and its parameters."""
    members = front.members[:most]
    runs = [run if isinstance(run := front.runs[index], SweepRun) else sweep.view(run) for index in members]
    names = sweep.config.searched([run.values for run in runs])
    heading = ["run", *(printable(metric.name) for metric in sweep.config.metrics), "parameters"]
    rows = [
        [run.id, *map(number, front.values[index]), parameters(run.values, names)]
        for run, index in zip(runs, members, strict=True)
    ]
    left = len(front.members) - len(members)
    first, *others = aligned([heading, *rows], right=range(1, len(heading) - 1))
    return [paint(cut(first), "bold"), *map(cut, others), *([f"and {left:,} more (all with --json)"] if left else [])]


def _length(run: SweepRun, now: datetime) -> timedelta | None:
    return None if run.started is None else (run.ended or now) - run.started


def time_of(run: SweepRun, now: datetime) -> str:
    length = _length(run, now)
    return "–" if length is None else span(length)


def show_run(sweep: Sweep, run: SweepRun, as_json: bool) -> None:
    """Print one run, as text or as JSON."""
    if as_json:
        kept = {"metrics": run.metrics, "history": _run_history(run), "parts": _run_parts(run)}
        document = {**run_document(run), "directories": list(run.directories), **kept}
        show_json(without_infinities(document))
    else:
        print(_run_text(sweep, run))


def _run_parts(run: SweepRun) -> list[dict[str, Any]]:
    """Return the parts of a run whose directory is on this machine; see :func:`~lightsweep.client.parts.read_parts`.

    The state of a part without an end is ``running`` while the run is, else ``cut off``.
    """
    from lightsweep.client.parts import read_parts

    parts: list[dict[str, Any]] = []
    for directory in run.directories:
        parts += read_parts(Path(directory))
    for part in parts:
        part["state"] = part["state"] or ("running" if run.state == RunState.RUNNING else "cut off")
    return parts


def _run_history(run: SweepRun) -> dict[str, Any]:
    """Return the number of steps in the history of a run, and of those with each name; 0 without its directory."""
    from lightsweep.client.history import read_history

    rows = read_history(run.directories)
    names = Counter(name for row in rows for name in row if name not in ("_step", "_timestamp"))
    return {"steps": len(rows), "metrics": dict(sorted(names.items()))}


def _run_text(sweep: Sweep, run: SweepRun) -> str:
    """Return the lines about a run: its state, parameters, numbers, history, parts and directory."""
    metric = sweep.config.metric
    best = f", best {printable(metric.name)} {number(run.best)}" if metric and run.best is not None else ""
    first = f"run {run.id} of sweep {sweep.id}: {run.standing}, {counted(run.iterations, 'iteration')}{best}"
    lines = [paint(first, STATE_STYLES.get(run.standing, "bold"))]
    if run.reason:
        lines.append(printable(run.reason))
    if run.state == RunState.PRUNED:
        lines.append("why runs are stopped early: lightsweep help pruned")
    if run.repeat is not None:
        score = scores(sweep.known_entries(), sweep.config).get(run.repeat.group)
        mean = f": {printable(metric.name)} {score}" if metric and score is not None else ""
        lines.append(f"repeat {run.repeat.repeat} of {sweep.config.repeats}, group {run.repeat.group}{mean}")
    lines.append(f"its id in scripts and file names: {sweep.id}-{run.id}")
    if run.directories:
        lines.append(f"what it printed: lightsweep logs {sweep.id} {run.id}{sweep.storage.option}")
    lines += [f"directory: {printable(directory)}" for directory in run.directories]
    history = _run_history(run)
    if history["steps"]:
        names = [f"{printable(name)} ({count:,})" for name, count in history["metrics"].items()]
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        lines.append(f"history.jsonl: {counted(history['steps'], 'step')} of {', '.join(names[:_NAMED])}{more}")
    if run.values:
        rows = [[printable(name), printable(value_text(value))] for name, value in run.values.items()]
        lines += ["", *aligned([["parameter", "value"], *rows])]
    if run.metrics:
        lines += ["", *_number_table("metric", run.metrics)]
    parts = _run_parts(run)
    if parts:
        name = metric.name if metric and any(metric.name in part["metrics"] for part in parts) else ""
        rows = [
            [
                str(part["part"]),
                shortened(printable(part["name"]), _PART_WIDTH),
                part["state"],
                str(part["logs"]),
                *([_number_cell(part["metrics"].get(name, {}).get("last"))] if name else []),
                shortened(printable(part.get("error", "")), _PART_WIDTH),
            ]
            for part in parts
        ]
        heading = ["part", "name", "state", "logs", *([f"last {printable(name)}"] if name else []), ""]
        counting = ", ".join(str(part["part"]) for part in parts if part.get("counts"))
        compared = f"parts, of which the sweep compares part {counting} only, as the values of the run"
        lines += [
            "",
            f"{compared if counting else 'parts, which the sweep does not compare'}:",
            *aligned([heading, *rows]),
        ]
    return "\n".join(lines)


def _number_table(heading: str, metrics: dict[str, dict[str, float]]) -> list[str]:
    keys = ("min", "max", "last")
    rows = [
        [printable(name), *(_number_cell(stats.get(key)) for key in keys)] for name, stats in sorted(metrics.items())
    ]
    return aligned([[heading, *keys], *rows])


def _number_cell(value: float | None) -> str:
    return "–" if value is None or math.isinf(value) else number(value)
