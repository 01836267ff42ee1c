"""``lightsweep ls`` and ``lightsweep status``: the sweeps of a storage, and how one of them is doing."""

from __future__ import annotations

import heapq
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from lightsweep.agents.engines import AgentJob, JobState
from lightsweep.agents.launches import Launched, launched
from lightsweep.cli.export import sweep_document
from lightsweep.cli.options import Json, Storage, ids, open_read_only, read_sweep, run_of
from lightsweep.cli.output import columns, cut, parameter_count, say, show_json, wrapped
from lightsweep.cli.runs import STATE_STYLES, by_value, front_table, show_run, time_of
from lightsweep.controller import RunState, Sweep, SweepRun, SweepStatus
from lightsweep.controller.changes import sweep_and_run
from lightsweep.controller.repeats import Group
from lightsweep.controller.runs import RunEntry, values_of
from lightsweep.controller.summary import (
    PartView,
    SweepSummary,
    forecast_text,
    group_views,
    part_line,
    part_views,
    prior_suffix,
    summarize,
)
from lightsweep.errors import StorageError, UsageError
from lightsweep.text import (
    aligned,
    counted,
    in_colour,
    number,
    on_terminal,
    paint,
    parameters,
    printable,
    shortened,
    span,
    sparkline,
)

_SHOWN = 20
_WITHOUT_RESULT = 5
_SPARK = 12
_INDENT = "      "
_NO_RESULT = (RunState.FAILED, RunState.KILLED, RunState.WAITING)


def ls(as_json: Json = False, storage: Storage = None) -> None:
    """List the sweeps of a storage, the newest first.

    For example: lightsweep ls --storage sqlite:///results.db
    """
    rows, documents = [], []
    for sweep in reversed(Sweep.all(storage=open_read_only(storage))):
        sweep.read_few_values()
        try:
            sweep.refresh()
            silent = sweep.silences()
        except StorageError as error:
            say(f"{error}; it is left out", error=True)
            continue
        seen = summarize(sweep)
        standing = seen.standing(silent).removesuffix(f" ({seen.state.reason})")
        documents.append(_sweep_line(sweep, seen, standing))
        runs = f"{seen.total:,}/{seen.limit:,}" if seen.limit is not None else f"{seen.total:,}"
        created = sweep.created.astimezone().strftime("%Y-%m-%d %H:%M")
        name = sweep.config.name or (Path(sweep.source).name if sweep.source else "")
        row = [sweep.id, standing, sweep.config.method, runs + prior_suffix(seen.priors), seen.best_value or "–"]
        rows.append([*row, created, printable(name)])
    if as_json:
        show_json(documents)
    elif rows:
        heading, *lines = aligned([["id", "state", "method", "runs", "best", "created", "name or file"], *rows])
        print("\n".join([paint(cut(heading), "bold"), *map(cut, lines)]))
    else:
        print("no sweeps yet; create one with: lightsweep sweep CONFIG.yaml")


def status(
    sweep_id: Annotated[
        str, typer.Argument(metavar="ID[/RUN]", help="Id of the sweep, or of one of its runs.", autocompletion=ids)
    ],
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Show the N best runs.")] = 10,
    as_json: Json = False,
    watching: Annotated[
        bool, typer.Option("--watch", help="Follow the sweep until it has ended, or until Ctrl-C.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="Time between updates, with --watch.")] = 2.0,
    storage: Storage = None,
) -> None:
    """Show a sweep: its state and runs, and what more runs may bring.

    With ID/RUN show one run: its parameters, numbers, history, parts and directory.

    For example: lightsweep status latest --watch
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
        from rich.console import Console  # here, since other looks need no terminal

        from lightsweep.agents.displays.live_view import watch

        terminal = on_terminal(sys.stdout)
        watch(sweep, Console(highlight=False, no_color=not in_colour(sys.stdout)), every, on_terminal=terminal)
        return
    with redirect_stdout(sys.stderr):  # the library of an engine may print
        agents = launched(sweep)
    if as_json:
        show_json(sweep_document(sweep) | (agents.document() if agents.engines or agents.hosts else {}))
        if "ray" in sys.modules:
            sys.stdout = sys.stderr  # Ray prints news of its nodes until this process ends
    else:
        working = any(job.state != JobState.FAILED for _, job in agents.agents)
        print("\n".join([*_text(sweep, top, launches=working), *_agent_lines(agents)]))


def _sweep_line(sweep: Sweep, seen: SweepSummary, standing: str) -> dict[str, Any]:
    best = {"run": seen.best.id, "value": seen.best.best} if seen.best is not None and seen.best_value else None
    if best is not None and seen.score is not None:
        best["value"] = seen.score.mean
    return {
        "id": sweep.id,
        "name": sweep.config.name,
        "file": sweep.source,
        "state": seen.state.name,
        "standing": standing,
        "method": sweep.config.method,
        "metric": sweep.config.metric.name if sweep.config.metric else None,
        "runs": seen.total,
        "limit": seen.limit,
        "states": {str(state): count for state, count in seen.states.items()},
        "prior_runs": seen.priors,
        "best": best,
        "created": sweep.created.isoformat(),
    }


def _text(sweep: Sweep, top: int, *, launches: bool) -> list[str]:
    config = sweep.config
    sweep.read_few_values()
    sweep.refresh()
    seen, views, silent = summarize(sweep), part_views(sweep), sweep.silences()
    goal = "".join(f", {metric.goal} {printable(metric.name)}" for metric in config.metrics)
    method = f"in {counted(len(views), 'stage')}" if views else config.method
    standing = seen.standing(silent) if not launches else str(seen.state)
    lines = [
        f"{paint(seen.title, 'bold')}: {standing}",
        f"{method} over {parameter_count(config, seen.searched)}{goal}",
        seen.counts,
    ]
    if seen.best_line:
        lines.append(paint(wrapped(f"{seen.best_line}: {seen.best_parameters}"), "green"))
    lines += map(wrapped, seen.remarks)
    if more := forecast_text(sweep):
        lines.append(more)
    option = sweep.storage.option
    if seen.without_result:
        lines.append(f"retry them with: lightsweep retry {sweep.id} --failed{option}")
    if seen.state.name == SweepStatus.RUNNING and not seen.states[RunState.RUNNING] and not launches:
        lines.append(paint(f"waiting for an agent: lightsweep agent {sweep.id}{option}", "yellow"))
    elif seen.state.name == SweepStatus.PAUSED:
        lines.append(f"let it continue with: lightsweep resume {sweep.id}{option}")
    if views:
        lines += [part_line(views), "", *map(cut, _stage_table(views, seen.searched))]
    groups = group_views(sweep)
    if groups:
        lines += _group_table(groups[:top], seen, f"the best {top} of {len(groups):,}" if len(groups) > top else "all")
    return [*lines, *_runs(sweep, seen, silent, top)]


def _group_table(groups: Sequence[Group], seen: SweepSummary, which: str) -> list[str]:
    """Return a line for each group of repeats, and below it why it got no more repeats."""
    rows = [
        [
            group.id,
            group.state,
            f"{len(group.runs)}/{seen.config.repeats}",
            "–" if group.score is None else str(group.score),
            parameters(values_of(group.runs[0], seen.config) or {}, seen.searched),
        ]
        for group in groups
    ]
    first, *others = aligned([["group", "state", "runs", "mean ± deviation", "parameters"], *rows], right=(2,))
    lines = ["", f"groups of runs with the same values, {which}:", paint(cut(first), "bold")]
    for group, line in zip(groups, others, strict=True):
        lines += [cut(line), *(paint(each, "dim") for each in _reason(group.skipped))]
    return lines


def _runs(sweep: Sweep, seen: SweepSummary, silent: Mapping[str, timedelta], top: int) -> list[str]:
    """Return the tables of the running runs, of the best, and of those without a result, with their reasons in full."""
    now = datetime.now(timezone.utc)
    front = front_table(sweep, seen.front) if seen.front is not None and seen.front.runs else []
    with sweep.lock:
        own = [(entry, sweep.standing(entry)) for entry in sweep.known_entries() if not entry.prior]
    running = [entry for entry, state in own if state == RunState.RUNNING]
    failed = [entry for entry, state in own if state in _NO_RESULT]
    ended = [entry for entry, state in own if state not in {RunState.RUNNING, *_NO_RESULT}]
    ended = ended if sweep.config.repeats == 1 else []  # which are shown as groups

    def shown(entries: Sequence[RunEntry]) -> list[SweepRun]:
        """View no more runs than are shown, since there may be very many."""
        return list(map(sweep.view, entries))

    lines = ["", "on the Pareto front:", *front] if front else []
    if running:
        lines += _table(sweep, "running:", shown(running[:_SHOWN]), seen, now, silent)
        lines += [f"and {len(running) - _SHOWN} more"] if len(running) > _SHOWN else []
    if ended:
        more = f"best {top} of {len(ended):,} runs; all: lightsweep runs {sweep.id}{sweep.storage.option}"
        title = f"the {more}" if len(ended) > top else "ended:"
        best = heapq.nsmallest(top, ended, key=lambda entry: by_value(entry, sweep))
        lines += _table(sweep, title, shown(best), seen, now)
    if failed:
        last = failed[-_WITHOUT_RESULT:]
        count = f", the last {len(last)} of {len(failed):,}" if len(failed) > len(last) else ""
        lines += _table(sweep, f"without a result{count}:", shown(last), seen, now)
        lines.append(f"what it printed: lightsweep logs {sweep.id} {last[-1].id}{sweep.storage.option}")
    return lines


def _table(
    sweep: Sweep,
    title: str,
    runs: Sequence[SweepRun],
    seen: SweepSummary,
    now: datetime,
    silent: Mapping[str, timedelta] | None = None,
) -> list[str]:
    labels = sweep.config.labels
    heading = ["run", *labels, "state", "iterations", "time", "best", *(["curve"] if silent is not None else [])]
    rows = []
    for run in runs:
        length = seen.length_of(run)
        quiet = (silent or {}).get(run.id)
        rows.append(
            [
                run.id,
                *(shortened(printable(run.labels.get(name, "–")), 20) for name in labels),
                str(run.standing),
                f"{run.iterations}/{length}" if length and silent is not None else str(run.iterations),
                time_of(run, now),
                number(run.best) if run.best is not None else "–",
                *([sparkline(run.history, _SPARK)] if silent is not None else []),
                f"no sign of life for {span(quiet)}" if quiet else parameters(run.values, seen.searched),
            ]
        )
    first, *others = aligned([[*heading, "parameters"], *rows], right=range(2 + len(labels), 5 + len(labels)))
    lines = ["", title, paint(cut(first), "bold")]
    for run, line in zip(runs, others, strict=True):
        lines.append(paint(cut(line), STATE_STYLES.get(run.standing, "")))
        lines += [paint(each, "dim") for each in _reason(run.reason)]
    return lines


def _reason(reason: str) -> list[str]:
    """Return a reason in full, on as many lines as the terminal needs."""
    text, width = printable(reason), columns()
    if not text:
        return []
    if width is None:
        return [_INDENT + text]
    return textwrap.wrap(text, max(40, width), initial_indent=_INDENT, subsequent_indent=_INDENT)


def _agent_lines(found: Launched) -> list[str]:
    """Return the lines about the agents that `lightsweep launch` started; none without a launch."""
    notes = [f"agents on {name} cannot be listed: {printable(why)}" for name, why in found.unasked.items()]
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
