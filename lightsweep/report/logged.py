"""What the page shows of runs and their directories: curves of all logged numbers, parts, and the details of each run.

The directories are those on this machine. Scripts write them, so nothing in them is trusted: text is shown as text,
without control characters, and only finite numbers become points.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightsweep.client.history import FILE, read_history
from lightsweep.client.parts import PARTS, read_parts
from lightsweep.controller import SweepRun
from lightsweep.report.axis import clamped, label
from lightsweep.report.data import ReportData, directories_of, spread
from lightsweep.report.media import media_of
from lightsweep.text import counted, number, one_line, printable, value_text

_MOST_RUNS = 40
_MOST_BEST = 30
_MOST_NAMES = 40
_MOST_POINTS = 120
_MOST_NUMBERS = 150_000  # points of all curves: about 3 MB of the page
_FEWEST_POINTS = 12
_MOST_BYTES = 64 * 2**20
_MOST_PARTS = 200
_NAME_WIDTH = 80
_OURS = ("_step", "_timestamp")

_HELD_OUT = re.compile(r"^(validation|valid|val|eval|test|dev)(?=[_/.\- ])", re.IGNORECASE)


Series = dict[str, tuple[list[int], list[float]]]
"""For each number that a run has logged its steps and its finite values."""

Known = dict[tuple[Path, ...], tuple[list[tuple[int, int]], Series]]
"""The series of directories that were read before, with the sizes and times of their files."""


def logged_curves(data: ReportData, home: Path, known: Known | None = None) -> dict[str, Any] | None:
    """Return the curves of all logged numbers for the page; ``None`` if no run has a history on this machine.

    Of very many runs the best and an even choice of the others are taken, of very many names those of the most runs,
    and of long curves an even choice of their points; ``note`` says so.

    Args:
        data: The sweep.
        home: The folder that has the runs' directories if a run names none; it need not exist.
        known: What earlier calls have read, which is read again only if it has changed; this call adds to it.

    Returns:
        ``names`` of the numbers, the sweep's metric first, each as ``{"name", "label", "beside"}``: as text, as text
        for plotly, and the place of the number that is compared with it, as of training with validation; ``runs``, each
        as ``{"row", "curves"}``: its place in the data, and ``[place of the name, steps, values]``; and ``note``.
    """
    kept = {index: directories_of(run, home) for index, run in enumerate(data.runs)}
    here = [index for index, folders in kept.items() if any((folder / FILE).is_file() for folder in folders)]
    if not here:
        return None
    chosen: list[int] = []
    room = _MOST_BYTES
    histories: dict[int, Series] = {}
    for index in sorted(data.chosen(here, _MOST_RUNS, _MOST_BEST), key=lambda index: data.sign * data.best_of(index)):
        room -= sum((folder / FILE).stat().st_size for folder in kept[index] if (folder / FILE).is_file())
        if room < 0 and chosen:
            break
        histories[index] = run_series(kept[index], known)
        chosen.append(index)
    counts = Counter(name for series in histories.values() for name in series)
    names = sorted(counts, key=lambda name: (name != data.metric, -counts[name], name))
    shown = names[:_MOST_NAMES]
    curves = sum(len(series.keys() & set(shown)) for series in histories.values())
    points = max(_FEWEST_POINTS, min(_MOST_POINTS, _MOST_NUMBERS // max(curves, 1)))
    longest = max((len(steps) for series in histories.values() for steps, _ in series.values()), default=0)
    return {
        "names": [
            {"name": one_line(name, _NAME_WIDTH), "label": label(name, _NAME_WIDTH), "beside": _beside(name, shown)}
            for name in shown
        ],
        "runs": [
            {
                "row": index,
                "curves": [
                    [place, *sampled(*histories[index][name], points)]
                    for place, name in enumerate(shown)
                    if name in histories[index]
                ],
            }
            for index in sorted(chosen)
        ],
        "note": " ".join(
            [
                *_left_out(len(chosen), len(here), "run", "the best and an even choice of the others"),
                *_left_out(len(shown), len(names), "number", "those of the most runs"),
                *([f"Long curves have {points} of their points."] if longest > points else []),
            ]
        ),
    }


def run_parts(data: ReportData, home: Path) -> dict[str, Any] | None:
    """Return a table of the parts of runs, such as folds; ``None`` if no run has parts on this machine.

    Args:
        data: The sweep.
        home: See `logged_curves`.
    """
    rows: list[list[str]] = []
    count = 0
    best_first = sorted(range(len(data.runs)), key=lambda index: data.sign * data.best_of(index))
    for run in (data.runs[index] for index in best_first):
        for folder in [each for each in directories_of(run, home) if (each / PARTS).is_dir()]:
            parts = read_parts(folder)
            count += len(parts)
            rows += [_part_row(run, part, data.metric) for part in parts[: max(0, _MOST_PARTS - len(rows))]]
    if not rows:
        return None
    note = " ".join(_left_out(len(rows), count, "part", "those of the best runs"))
    metric = [f"last {one_line(data.metric, _NAME_WIDTH)}"] if data.metric else []
    return {"columns": ["run", "part", "name", "group", "state", "logs", *metric], "rows": rows, "note": note}


def _part_row(run: SweepRun, part: dict[str, Any], metric: str | None) -> list[str]:
    state = part["state"] or ("running" if run.state == "running" else "cut off")
    state += ", counts" if part.get("counts") else ""
    error = f": {part['error']}" if part.get("error") else ""
    last = part["metrics"].get(metric, {}).get("last")
    return [
        run.id,
        str(part["part"]),
        one_line(part["name"], _NAME_WIDTH),
        one_line(part.get("group", "–"), _NAME_WIDTH),
        one_line(f"{state}{error}", 2 * _NAME_WIDTH),
        f"{part['logs']:,}",
        *([] if metric is None else ["–" if last is None else number(last)]),
    ]


def run_series(folders: Sequence[Path], known: Known | None = None) -> Series:
    """Return the steps and the finite values of each number that a run has logged in these directories.

    ``known`` is that of :func:`logged_curves`.
    """
    key, stamps = tuple(folders), stamps_of(folders)
    if known is not None and key in known and known[key][0] == stamps:
        return known[key][1]
    found: Series = {}
    for row in read_history(folders):
        for name, value in row.items():
            if name not in _OURS and math.isfinite(value):
                steps, values = found.setdefault(name, ([], []))
                steps.append(row["_step"])
                values.append(value)
    if known is not None:
        known[key] = stamps, found
    return found


def stamps_of(folders: Sequence[Path]) -> list[tuple[int, int]]:
    """Return the size and the time of the last change of each history in these directories."""
    stats = [(folder / FILE).stat() for folder in folders if (folder / FILE).is_file()]
    return [(stat.st_size, stat.st_mtime_ns) for stat in stats]


def sampled(steps: Sequence[int], values: Sequence[float], most: int) -> tuple[list[int], list[float]]:
    """Return an even choice of at most ``most`` points of a curve."""
    places = spread(range(len(steps)), most)
    return [steps[place] for place in places], [float(f"{clamped(values[place]):.6g}") for place in places]


def _beside(name: str, names: Sequence[str]) -> int | None:
    """Return the place of the number of training for one of held-out data: ``train_loss`` or ``loss`` for ``val_loss``.

    ``None`` if there is none.
    """
    held = _HELD_OUT.match(name)
    if held is None:
        return None
    rest = name[held.end() :]
    wanted = [f"train{rest}", f"training{rest}", f"Train{rest}", rest[1:], f"train_{rest[1:]}", f"train/{rest[1:]}"]
    return next((names.index(each) for each in wanted if each in names), None)


def _left_out(shown: int, count: int, word: str, which: str) -> list[str]:
    return [f"{shown:,} of {counted(count, word)}, {which}."] if shown < count else []


OUTPUT = "output.log"
"""The file with the output of a run, in its directory."""

_DETAILED_RUNS = 5_000
_DETAILED_BEST = 1_000
_DETAIL_NUMBERS = 40
_DETAIL_POINTS = 500
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
    chosen = data.chosen(range(len(data.runs)), _DETAILED_RUNS, _DETAILED_BEST)
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
        steps, values = sampled(range(1, len(run.history) + 1), run.history, _DETAIL_POINTS)
        curves[f"{one_line(data.metric, _NAME_WIDTH)}, by iteration"] = [steps, values]
    for name in list(series)[:_DETAIL_NUMBERS]:
        curves[one_line(name, _NAME_WIDTH)] = sampled(*series[name], _DETAIL_POINTS)
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
    return {name: found[name] for name in sorted(found, key=lambda name: (name != metric, name))[:_DETAIL_NUMBERS]}


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
