"""``lightsweep ls``, ``status`` and ``export``: the sweeps of a storage and their runs."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lightsweep.agents.displays.live_view import BARS, Frame, Screen
from lightsweep.agents.engines import AgentJob, JobState
from lightsweep.agents.launches import Launched, launched
from lightsweep.cli.options import Storage, SweepId, ids, open_read_only, read_sweep, run_of, storage_option
from lightsweep.cli.output import say
from lightsweep.cli.sweep import parameter_count
from lightsweep.client.history import read_history
from lightsweep.client.parts import read_parts
from lightsweep.controller import RunState, Sweep, SweepRun, SweepStatus
from lightsweep.controller.runs import sweep_and_run
from lightsweep.controller.summary import PartView, part_line, part_views, prior_suffix, summarize
from lightsweep.errors import StorageError, StorageUnavailableError, UsageError
from lightsweep.text import aligned, counted, number, parameters, printable, shortened, value_text

_SHOWN = 20
_REASON_WIDTH = 80
_PART_WIDTH = 60
_NAMED = 12
_FORMULA = re.compile(r"[=@\t]|[+-](?!(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\Z|inf\Z)", re.IGNORECASE)
"""The beginning of a text that a spreadsheet takes for a formula; a signed number is none."""


class Format(str, Enum):
    """The kinds of export."""

    csv = "csv"
    json = "json"


def ls(storage: Storage = None) -> None:
    """List the sweeps of a storage."""
    rows = []
    for sweep in Sweep.all(storage=open_read_only(storage)):
        try:
            state = sweep.state
        except StorageError as error:
            say(f"{error}; it is left out", error=True)
            continue
        seen = summarize(sweep)
        runs = counted(seen.total, "run") + prior_suffix(seen.priors)
        created = sweep.created.astimezone().strftime("%Y-%m-%d %H:%M")
        name = printable(sweep.config.name or "")
        rows.append([sweep.id, state.name, sweep.config.method, runs, seen.best_value or "–", created, name])
    if rows:
        print("\n".join(aligned([["id", "state", "method", "runs", "best", "created", "name"], *rows])))
    else:
        print("no sweeps yet; create one with: lightsweep sweep CONFIG.yaml")


def status(
    sweep_id: Annotated[
        str, typer.Argument(metavar="ID[/RUN]", help="Id of the sweep, or of one of its runs.", autocompletion=ids)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    watching: Annotated[
        bool, typer.Option("--watch", help="Follow the sweep until it has ended, or until Ctrl-C.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Time between updates, with --watch.")] = 2.0,
    storage: Storage = None,
) -> None:
    """Show the state of a sweep, its runs and its best run.

    With ID/RUN show one run: its parameters, numbers, history, parts and directory.
    """
    if watching and as_json:
        raise UsageError("--watch is for people and --json is for programs; give one of them")
    of, run_id = sweep_and_run(sweep_id)
    sweep = read_sweep(of, storage)
    if run_id:
        if watching:
            raise UsageError("--watch follows a sweep; leave out the run")
        show_run(sweep, run_of(sweep, run_id), as_json)
        return
    if watching:
        watch(sweep, Console(highlight=False), every)
    else:
        with redirect_stdout(sys.stderr):  # the library of an engine may print
            agents = launched(sweep)
        if as_json:
            document = _document(sweep) | (agents.document() if agents.engines or agents.hosts else {})
            print(json.dumps(document, indent=2, allow_nan=False), flush=True)
            if "ray" in sys.modules:
                sys.stdout = sys.stderr  # Ray prints news of its nodes until this process ends
        else:
            print("\n".join([_text(sweep), *_agent_lines(agents)]))


def show_run(sweep: Sweep, run: SweepRun, as_json: bool) -> None:
    """Print one run, as text or as JSON."""
    if as_json:
        kept = {"metrics": run.metrics, "history": _run_history(run), "parts": _run_parts(run)}
        document = {**run_document(run), "directories": list(run.directories), **kept}
        print(json.dumps(without_infinities(document), indent=2, allow_nan=False))
    else:
        print(_run_text(sweep, run))


def export(
    sweep_id: SweepId,
    format_: Annotated[
        Format, typer.Option("--format", help="csv: one row per run; json: as `status --json`.")
    ] = Format.csv,
    storage: Storage = None,
) -> None:
    """Print all runs of a sweep as CSV or JSON.

    Prior runs are among them.
    """
    sweep = read_sweep(sweep_id, storage)
    if format_ is Format.json:
        print(json.dumps(_document(sweep), indent=2, allow_nan=False))
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


def _document(sweep: Sweep) -> dict[str, Any]:
    """Return the JSON document of a sweep; metrics that are not finite are null, such parameters text (``"inf"``).

    Only a sweep with stages has the keys ``stages`` and, in its runs, ``stage``; only a prior run has ``prior``.
    """
    state = sweep.state
    metric = sweep.config.metric
    views = part_views(sweep)
    stages = {"stages": [without_infinities(view.document()) for view in views]} if views else {}
    return {
        "id": sweep.id,
        "name": sweep.config.name,
        "state": state.name,
        "reason": state.reason,
        "method": sweep.config.method,
        "metric": {"name": metric.name, "goal": metric.goal} if metric else None,
        "storage": str(sweep.storage),
        **stages,
        "runs": [run_document(run) for run in sweep.known_runs()],
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
        **run.labels,
        **({"prior": True} if run.prior else {}),
    }


def without_infinities(value: Any) -> Any:
    """Return ``value`` for JSON, which has no infinities: they become text, ``"inf"``."""
    if isinstance(value, dict):
        return {key: without_infinities(below) for key, below in value.items()}
    if isinstance(value, list):
        return [without_infinities(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(sweep: Sweep) -> str:
    config = sweep.config
    sweep.refresh()
    seen, views = summarize(sweep, _SHOWN), part_views(sweep)
    goal = f", {config.metric.goal} {printable(config.metric.name)}" if config.metric else ""
    method = f"in {counted(len(views), 'stage')}" if views else config.method
    lines = [seen.title, f"{method} over {parameter_count(config, seen.searched)}{goal}", seen.counts]
    if seen.best_line:
        lines.append(f"{seen.best_line}: {seen.best_parameters}")
    lines += seen.remarks
    if seen.without_result:
        lines.append(f"retry them with: lightsweep retry {sweep.id} --failed{storage_option(sweep)}")
    if views:
        lines += [part_line(views), "", *_stage_table(views, seen.searched)]
    if seen.last:
        lines.append("")
        if seen.total > _SHOWN:
            lines.append(f"the last {_SHOWN} of {seen.total:,} runs (all with `lightsweep runs {sweep.id}`):")
        heading = ["run", *config.labels, "state", "iterations", "best", "reason or parameters"]
        rows = [
            [
                run.id,
                *(shortened(printable(run.labels.get(name, "–")), 20) for name in config.labels),
                run.standing,
                str(run.iterations),
                number(run.best) if run.best is not None else "–",
                shortened(printable(run.reason or parameters(run.values, seen.searched)), _REASON_WIDTH),
            ]
            for run in seen.last
        ]
        lines += aligned([heading, *rows])
    return "\n".join(lines)


def _agent_lines(found: Launched) -> list[str]:
    """Return the lines about the agents that `lightsweep launch` started; none without a launch."""
    notes = [f"agents on {name} are not known here: {printable(why)}" for name, why in found.unasked.items()]
    if found.hosts:
        notes.append(f"agents were launched on {' and '.join(found.hosts)}; `lightsweep status` there shows them")
    if found.storage:
        notes.append(f"storage: {printable(str(found.storage))}")
    if not found.agents:
        lines = [found.line] if found.engines and not found.unasked else []
        return ["", *lines, *notes] if lines or notes else []
    rows = [
        [name, job.id, str(job.state), job.node or "–", printable(_news(job)) or "–"]
        for name, job in found.agents[:_SHOWN]
    ]
    left = len(found.agents) - len(rows)
    more = [f"and {left:,} more (all with --json)"] if left else []
    heading = ["engine", "agent", "state", "node", "why it waits or failed, or its output"]
    return ["", found.line, *aligned([heading, *rows]), *more, *notes]


def _news(job: AgentJob) -> str:
    """Return why an agent waits, or why it failed and how to see its output, or else where its output is."""
    if job.state == JobState.FAILED:
        return "; ".join(filter(None, (job.reason, job.output)))
    return job.reason or job.output


def _stage_table(views: Sequence[PartView], names: list[str]) -> list[str]:
    """Return a line per stage, with what its best run has of the parameters ``names`` that the stage searches."""
    rows = [
        [
            printable(view.part.name),
            view.state,
            view.part.method,
            view.progress,
            view.base or "–",
            f"{number(view.best.best)} ({view.best.id})" if view.best and view.best.best is not None else "–",
            parameters(view.best.values, [name for name in names if name in view.part.searched])
            if view.best
            else printable(", ".join(view.part.searched)),
        ]
        for view in views
    ]
    return aligned([["stage", "state", "method", "runs ended", "from run", "best (run)", "searched"], *rows])


def _run_parts(run: SweepRun) -> list[dict[str, Any]]:
    """Return the parts of a run whose directory is on this machine; see :func:`~lightsweep.client.parts.read_parts`.

    The state of a part without an end is ``running`` while the run is, else ``cut off``.
    """
    parts: list[dict[str, Any]] = []
    for directory in run.directories:
        parts += read_parts(Path(directory))
    for part in parts:
        part["state"] = part["state"] or ("running" if run.state == RunState.RUNNING else "cut off")
    return parts


def _run_history(run: SweepRun) -> dict[str, Any]:
    """Return the number of steps in the history of a run, and of those with each name; 0 without its directory."""
    rows = read_history(run.directories)
    names = Counter(name for row in rows for name in row if name not in ("_step", "_timestamp"))
    return {"steps": len(rows), "metrics": dict(sorted(names.items()))}


def _run_text(sweep: Sweep, run: SweepRun) -> str:
    """Return the lines about a run: its state, parameters, numbers, history, parts and directory."""
    metric = sweep.config.metric
    best = f", best {printable(metric.name)} {number(run.best)}" if metric and run.best is not None else ""
    lines = [f"run {run.id} of sweep {sweep.id}: {run.standing}, {counted(run.iterations, 'iteration')}{best}"]
    if run.reason:
        lines.append(printable(run.reason))
    lines.append(f"its id in scripts and file names: {sweep.id}-{run.id}")
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


def watch(
    sweep: Sweep,
    console: Console,
    every: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> None:
    """Show a sweep until it has ended or the user presses Ctrl-C: on a terminal in place, else one line per update.

    A stopped sweep has ended when all of its runs have ended. While the database does not answer, a message says so.

    Args:
        sweep: The sweep.
        console: Where to show it.
        every: Seconds between two updates.
        sleep: Waits.
        clock: Tells the time.

    Raises:
        NotFoundError: The sweep was deleted.
    """
    screen = Screen(console) if console.is_terminal else None
    lines: list[str] = []
    try:
        while True:
            ended = False
            try:
                sweep.refresh()
                running = [run for run in sweep.known_runs() if run.state == RunState.RUNNING]
                marks = screen.marks if screen else BARS
                frame = Frame(summarize(sweep), running, clock(), part_views(sweep), marks)
            except StorageUnavailableError as error:
                line = f"{error}; trying again"
                shown = [*lines, line]
            else:
                line = frame.line()
                lines = shown = frame.lines(console.width, console.height)
                state = frame.summary.state.name
                ended = state in (SweepStatus.FINISHED, SweepStatus.CANCELLED)
                ended |= state == SweepStatus.STOPPED and not running
            if screen:
                screen.show(shown)
            else:
                print(line, file=console.file, flush=True)
            if ended:
                return
            sleep(every)
    except KeyboardInterrupt:
        return
    finally:
        if screen:
            screen.close()
