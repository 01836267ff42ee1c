"""Every number that runs have logged, as curves over their steps, and the parts of runs: for the page, as plain data.

Both are read from the directories of runs that are on this machine. Scripts write them, so nothing in them is trusted:
names are shown as text, and only finite numbers become points.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightsweep.client.history import FILE, read_history
from lightsweep.client.parts import PARTS, read_parts
from lightsweep.controller import SweepRun
from lightsweep.report.axis import clamped
from lightsweep.report.data import ReportData, directories_of, spread
from lightsweep.report.theme import label
from lightsweep.text import counted, number, one_line

_MOST_RUNS = 40
_MOST_BEST = 30
_MOST_NAMES = 40
_MOST_POINTS = 120
_MOST_NUMBERS = 150_000  # points of all curves: about 3 MB of the page
_FEWEST_POINTS = 12
_MOST_BYTES = 64 * 2**20
_MOST_PARTS = 200
_NAME_WIDTH = 60
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
