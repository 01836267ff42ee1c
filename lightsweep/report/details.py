"""All that is known of one run, for the page: as plain data, from the run and its directories on this machine.

Scripts write the output and the histories, so nothing in them is trusted: text is shown as text, without control
characters, and only finite numbers become points.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightsweep.controller import SweepRun
from lightsweep.report.data import ReportData, directories_of
from lightsweep.report.logged import Known, Series, run_series, sampled
from lightsweep.report.media import media_of
from lightsweep.text import number, one_line, printable, value_text

OUTPUT = "output.log"
"""The file with the output of a run, in its directory."""

_MOST_RUNS = 5_000
_MOST_BEST = 1_000
_MOST_NUMBERS = 40
_MOST_POINTS = 500
_NAME_WIDTH = 80
_VALUE_WIDTH = 400
_REASON_WIDTH = 2_000
_LINE_WIDTH = 500
_TAIL_BYTES = 2**16
_STATIC_LINES = 20
_LIVE_LINES = 200
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def all_details(sweep_id: str, data: ReportData, home: Path | None = None) -> dict[str, Any]:
    """Return what is known of each run by its id, for a page without a server; of very many the best and a choice.

    Args:
        sweep_id: The sweep's id.
        data: The sweep.
        home: Given to show the last lines of the output of each run whose directory is on this machine; the folder that
            has the runs' directories if a run names none.
    """
    chosen = data.chosen(range(len(data.runs)), _MOST_RUNS, _MOST_BEST)
    found = {}
    for run in (data.runs[index] for index in chosen):
        found[run.id] = run_details(sweep_id, run, data)
        if home is not None:
            found[run.id]["log"] = log_tail(directories_of(run, home), _STATIC_LINES)
    return found


def live_details(
    sweep_id: str, run: SweepRun, data: ReportData, home: Path, known: Known | None = None
) -> dict[str, Any]:
    """Return what is known of a run now, with its curves, its media and the end of its output."""
    folders = directories_of(run, home)
    series = run_series(folders, known)
    curves: dict[str, Any] = {}
    if data.metric and run.history:
        steps, values = sampled(range(1, len(run.history) + 1), run.history, _MOST_POINTS)
        curves[f"{one_line(data.metric, _NAME_WIDTH)}, by iteration"] = [steps, values]
    for name in list(series)[:_MOST_NUMBERS]:
        curves[one_line(name, _NAME_WIDTH)] = sampled(*series[name], _MOST_POINTS)
    return {
        **run_details(sweep_id, run, data, series),
        "curves": curves,
        "media": media_of(folders[-1] / "media", "run")[0],
        "log": log_tail(folders, _LIVE_LINES),
    }


def run_details(sweep_id: str, run: SweepRun, data: ReportData, series: Series | None = None) -> dict[str, Any]:
    """Return what the storage has of a run.

    Args:
        sweep_id: The sweep's id.
        run: The run.
        data: The sweep.
        series: The numbers that it has logged, for one that runs: the storage has the others at its end only.
    """
    searched = data.config.searched([run.values])
    names = [*searched, *(name for name in run.values if name not in searched)]
    return {
        "id": run.id,
        "facts": _facts(run, data),
        "parameters": [
            [one_line(name, _NAME_WIDTH), one_line(value_text(run.values[name]), _VALUE_WIDTH)]
            for name in names
            if name in run.values
        ],
        "unread": [one_line(name, _NAME_WIDTH) for name in run.unread],
        "metrics": [
            [one_line(name, _NAME_WIDTH), *(_finite(numbers.get(key)) for key in ("last", "min", "max"))]
            for name, numbers in _numbers(run, data.metric, series or {}).items()
        ],
        "logs": f"lightsweep logs {sweep_id} {run.id}",
        "files": _files(run),
    }


def _files(run: SweepRun) -> list[list[str]]:
    """Return names and addresses of the run's directory and its output, if they are on this machine."""
    folder = Path(run.directories[-1]) if run.directories else None
    if folder is None or not folder.is_absolute() or not folder.is_dir():
        return []
    output = folder / OUTPUT
    return [["directory", folder.as_uri()], *([[OUTPUT, output.as_uri()]] if output.is_file() else [])]


def _facts(run: SweepRun, data: ReportData) -> list[list[str]]:
    host, _, agent = run.agent.partition(":")
    end = run.ended or (data.now if run.state == "running" else None)
    facts = {
        "state": str(run.standing),
        "reason": one_line(run.reason, _REASON_WIDTH),
        **{name: one_line(text, _NAME_WIDTH) for name, text in run.labels.items()},
        f"best {data.metric}": "" if run.best is None else number(run.best),
        "iterations": f"{run.iterations:,}",
        "started": _time(run.started),
        "ended": _time(run.ended),
        "took": str(end - run.started).partition(".")[0] if run.started and end else "",
        "attempt": "" if run.attempt == 1 else str(run.attempt),
        "host": printable(host),
        "agent": printable(agent),
        "directory": printable(run.directories[-1]) if run.directories else "",
    }
    return [[name, text] for name, text in facts.items() if text]


def _numbers(run: SweepRun, metric: str | None, series: Series) -> Mapping[str, Mapping[str, float]]:
    """Return the last, the least and the greatest value of each number, the sweep's metric first."""
    found = {name: {"last": values[-1], "min": min(values), "max": max(values)} for name, (_, values) in series.items()}
    if metric and run.history:
        found[metric] = {"last": run.history[-1], "min": min(run.history), "max": max(run.history)}
    found.update(run.metrics)
    return {name: found[name] for name in sorted(found, key=lambda name: (name != metric, name))[:_MOST_NUMBERS]}


def _finite(value: float | None) -> float | None:
    return float(f"{value:.8g}") if value is not None and math.isfinite(value) else None


def _time(moment: datetime | None) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""


def log_tail(folders: Sequence[Path], most: int) -> list[str] | None:
    """Return the last lines of the output of a run; ``None`` if it is not on this machine.

    Of a line that was written over, as by a progress bar, the last state is shown.
    """
    for folder in reversed(folders):
        path = folder / OUTPUT
        try:
            if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
                continue
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _TAIL_BYTES))
                text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
        except OSError:
            continue
        lines = [_ANSI.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in text.rstrip("\n").split("\n")]
        return [one_line(line.expandtabs(), _LINE_WIDTH) for line in lines[-most:]]
    return None
