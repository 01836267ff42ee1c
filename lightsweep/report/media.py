"""Images, tables and charts that the best runs have logged, for the page: few, small, and as plain data.

The files are those of `lightsweep.wandb.files`, as ``media/index.json`` of a run's directory names them. Scripts write
them, so nothing in them is trusted: a path that leads out of the folder, a file of an unknown kind, and an index that
is broken or too large are left out.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from lightsweep.report.axis import ACCENT, label
from lightsweep.report.data import ReportData, directories_of
from lightsweep.text import one_line

RUNS = 3
"""So many of the best runs are shown."""

_MOST_NAMES = 12
_MOST_IMAGES = 8
_MOST_ROWS = 20
_MOST_COLUMNS = 12
_MOST_POINTS = 5000
_MOST_GROUPS = 20
_MOST_CLASSES = 60
_IMAGE_BYTES = 2**20
_PAGE_BYTES = 8 * 2**20
_INDEX_BYTES = 4 * 2**20
_TABLE_BYTES = 4 * 2**20
_CELL_WIDTH = 60

_IMAGES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif"}


def run_media(home: Path, data: ReportData) -> list[dict[str, Any]]:
    """Return what the page shows of the best runs with media: of each name what was logged last.

    Args:
        home: The folder that has the runs' directories if a run names none; it need not exist.
        data: The sweep.
    """
    found: list[dict[str, Any]] = []
    room = _PAGE_BYTES
    for place in sorted(data.valued, key=lambda index: data.sign * data.best_of(index)):
        if len(found) == RUNS:
            break
        run = data.runs[place]
        folder = directories_of(run, home)[-1] / "media"
        items, size = media_of(folder, str(len(found)), room)
        room -= size
        if items:
            found.append({"run": run.id, "items": items})
    return found


def media_of(folder: Path, key: str, room: int = _PAGE_BYTES) -> tuple[list[dict[str, Any]], int]:
    """Return what the page shows of a folder of media, and its size in bytes.

    Args:
        folder: ``media`` in the directory of a run; it need not exist.
        key: Tells the figures of this run from those of others.
        room: The most bytes.
    """
    items: list[dict[str, Any]] = []
    left = room
    for entries in list(_latest(folder))[:_MOST_NAMES]:
        item, size = _item(folder, entries, f"{key}-{len(items)}", left)
        items.append(item)
        left -= size
    return items, room - left


def _latest(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the entries of each name that were logged last, together."""
    try:
        index = folder / "index.json"
        entries = json.loads(index.read_text())["files"] if index.stat().st_size <= _INDEX_BYTES else []
        by_name: dict[str, list[dict[str, Any]]] = {}
        for entry in [each for each in entries if each["files"]]:
            known = by_name.setdefault(str(entry["name"]), [])
            if known and int(known[0]["step"]) != int(entry["step"]):
                known.clear()
            known.append({**entry, "step": int(entry["step"]), "files": [str(file) for file in entry["files"]]})
    except (OSError, ValueError, KeyError, TypeError):
        return
    yield from by_name.values()


def _item(folder: Path, entries: Sequence[Mapping[str, Any]], key: str, room: int) -> tuple[dict[str, Any], int]:
    """Return what the page shows of entries of one name, and its size in bytes."""
    first = entries[0]
    kind = str(first.get("kind"))
    item: dict[str, Any] = {"name": one_line(str(first["name"]), 80), "step": first["step"], "kind": one_line(kind, 20)}
    if kind in ("image", "video"):
        size, images = 0, []
        for entry in entries[:_MOST_IMAGES]:
            content = _content(folder, entry["files"][0], min(_IMAGE_BYTES, room - size))
            if content is not None and (source := _source(content)) is not None:
                size += len(source)
                images.append({"source": source, "caption": one_line(str(entry.get("caption") or ""), 120)})
        if images:
            return {**item, "images": images, "more": len(entries) - len(images)}, size
    elif kind in ("table", "histogram"):
        wanted = [file for file in first["files"] if file.endswith(".json")]
        content = _content(folder, wanted[0], min(_TABLE_BYTES, room)) if wanted else None
        try:
            whole = json.loads(content) if content else None
            shown = None if whole is None else _histogram(whole) if kind == "histogram" else _table(whole)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            shown = None
        if shown is not None:
            if "figure" in shown:
                shown["figure"]["name"] = f"media-{key}"
            return {**item, **shown}, len(json.dumps(shown))
    return {**item, "file": one_line(f"media/{first['files'][0]}", 160)}, 200


def _content(folder: Path, file: str, most: int) -> bytes | None:
    """Return the bytes of a file below the folder; ``None`` if it is elsewhere, too large or gone."""
    path = folder / file
    try:
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file() or path.stat().st_size > most:
            return None
        return path.read_bytes()
    except OSError:
        return None


def _source(content: bytes) -> str | None:
    """Return the address of an image, with its content; ``None`` for a file that no browser shows as a plain image."""
    kind = next((kind for begin, kind in _IMAGES.items() if content.startswith(begin)), None)
    if kind is None and content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "webp"
    return None if kind is None else f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


# --- tables and charts


def _table(whole: Mapping[str, Any]) -> dict[str, Any]:
    columns, rows = list(whole["columns"]), list(whole["data"])
    chart = whole.get("chart")
    if chart and (figure := _figure(chart, columns, rows)) is not None:
        return {"figure": figure}
    return {
        "columns": [one_line(str(name), _CELL_WIDTH) for name in columns[:_MOST_COLUMNS]],
        "rows": [
            ["" if cell is None else one_line(str(cell), _CELL_WIDTH) for cell in row[:_MOST_COLUMNS]]
            for row in rows[:_MOST_ROWS]
        ],
        "count": len(rows),
    }


def _histogram(whole: Mapping[str, Any]) -> dict[str, Any]:
    edges, counts = [float(edge) for edge in whole["edges"]], [float(count) for count in whole["counts"]]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    widths = [high - low for low, high in pairwise(edges)]
    trace = {"type": "bar", "x": _all(middles), "y": _all(counts), "width": _all(widths), "marker": {"color": ACCENT}}
    return {"figure": _drawn([trace], "", "value", "count")}


def _figure(chart: Mapping[str, Any], columns: Sequence[Any], rows: Sequence[Any]) -> dict[str, Any] | None:
    """Return the figure of a chart of `lightsweep.wandb.plot`; ``None`` for one that is only a table."""
    kind, title = chart["kind"], str(chart.get("title") or "")

    def column(role: str) -> list[Any]:
        place = list(columns).index(chart[role])
        return _all([row[place] for row in rows[:_MOST_POINTS]])

    if kind == "matrix":
        return _matrix(column("x"), column("y"), column("value"), title)
    if kind == "histogram":
        trace = {"type": "histogram", "x": column("x"), "marker": {"color": ACCENT}}
        return _drawn([trace], title, chart["x"], "count")
    if kind == "bar":
        trace = {"type": "bar", "x": column("x"), "y": column("y"), "marker": {"color": ACCENT}}
        return _drawn([trace], title, chart["x"], chart["y"])
    if kind not in ("line", "scatter"):
        return None
    xs, ys = column("x"), column("y")
    groups = column("group") if "group" in chart else [""] * len(xs)
    traces = []
    for group in list(dict.fromkeys(groups))[:_MOST_GROUPS]:
        points = [(x, y) for x, y, of in zip(xs, ys, groups, strict=True) if of == group]
        mode = {"mode": "lines" if kind == "line" and len(points) > 1 else "markers", "name": str(group)}
        traces.append({"type": "scatter", "x": [x for x, _ in points], "y": [y for _, y in points], **mode})
    return _drawn(traces, title, chart["x"], chart["y"], legend="group" in chart)


def _matrix(predicted: list[Any], actual: list[Any], counts: list[Any], title: str) -> dict[str, Any]:
    names = [str(name) for name in list(dict.fromkeys(actual))[:_MOST_CLASSES]]
    cells = {(str(row), str(column)): count for row, column, count in zip(actual, predicted, counts, strict=True)}
    trace = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": [[cells.get((row, column)) for column in names] for row in names],
        "colorscale": [[0, "rgba(47,158,88,0)"], [1, ACCENT]],
        "showscale": False,
        "texttemplate": "%{z}" if len(names) <= 20 else "",
    }
    figure = _drawn([trace], title, "predicted", "actual")
    figure["layout"]["xaxis"]["type"] = figure["layout"]["yaxis"]["type"] = "category"
    figure["layout"]["yaxis"]["autorange"] = "reversed"
    return figure


def _drawn(traces: list[dict[str, Any]], title: str, x: str, y: str, *, legend: bool = False) -> dict[str, Any]:
    layout = {
        "height": 320,
        "title": {"text": label(title, 60)},
        "xaxis": {"title": {"text": label(str(x))}},
        "yaxis": {"title": {"text": label(str(y))}},
        "showlegend": legend,
    }
    return {"data": traces, "layout": layout}


def _all(values: Sequence[Any]) -> list[Any]:
    """Return values for a figure: finite numbers as they are, ``None`` for other numbers, texts escaped."""
    return [_one(value) for value in values]


def _one(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value)
    if isinstance(value, (int, float)):
        return value if math.isfinite(value) and abs(value) < 1e300 else None
    return label(str(value))
