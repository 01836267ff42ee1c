"""Parallel coordinates: each run a line over the parameters, coloured by its metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from lightsweep.report.axis import GOOD_TO_BAD, Axis, finish, label, nothing, number_axis, quantile
from lightsweep.report.data import ReportData
from lightsweep.text import counted, one_line

# The distance below an axis of the runs that lack its parameter, as a share of its length.
_BELOW = 0.1
_ABSENT = "absent"
# The page draws still fewer, but its brushes choose from all of these.
_MOST_RUNS = 20_000
_MOST_BEST = 5_000
# Characters of a heading at most, and of all headings together.
_LONGEST = 22
_ALL_HEADINGS = 120
_UNSEEN = "\u200b\u200c"


def parallel_figure(data: ReportData) -> go.Figure:
    """Draw a line for each run that has a finite value of the metric; for every run in a sweep without a metric.

    Of very many runs the best and an even choice of the others are taken. ``meta["runs"]`` of the trace has the run of
    each line. A run that lacks a parameter passes below its axis. The worst fifth of the runs share one colour.
    """
    usable = data.valued if data.metric else list(range(len(data.runs)))
    shown, sampled = data.sample(usable, _MOST_RUNS, _MOST_BEST)
    if not shown:
        return nothing(data.without_values())
    if not data.axes:
        return nothing("No parameter has more than one value.")
    axes = data.ranked
    columns = [[axis.position_in(data.runs[index].values) for index in shown] for axis in axes]
    names = [f"{_broken(axis.name, len(axes))}{data.doubt(axis.name)}" for axis in axes]
    line: dict[str, object] = {"color": GOOD_TO_BAD[1][1]}
    if data.metric:
        values = [data.best_of(index) for index in shown]
        axes.append(number_axis(data.metric, values))
        columns.append([axes[-1].position(value) for value in values])
        names.append(f"<b>{_broken(data.metric, len(axes))}</b>")
        line = _colours(data, values)
    dimensions = [_dimension(*each) for each in zip(axes, columns, names, strict=True)]
    meta = {
        "runs": shown,
        "axes": [_described(*each, data) for each in zip(axes, columns, strict=True)],
        "best": next((place for place, index in enumerate(shown) if data.runs[index] is data.best), None),
    }
    figure = go.Figure(go.Parcoords(line=line, dimensions=dimensions, meta=meta))
    longest = max(len(text) for _, text in axes[0].ticks)
    figure.update_layout(margin={"l": max(48, 16 + 6 * longest), "r": 48, "t": 78, "b": 24})
    missing = len(data.runs) - len(usable)
    note = f"Left out: {counted(missing, 'run')} without a finite value of the metric." if missing else ""
    return finish(figure, 400, f"{sampled} {note}".strip())


def _broken(name: str, axes: int) -> str:
    """Return the heading of an axis, in two lines if it is long, so that the headings of neighbours do not meet."""
    room = max(9, min(_LONGEST, _ALL_HEADINGS // axes))
    head, dot, tail = name.rpartition(".")
    if not dot or len(name) <= room:
        return label(name, room)
    return f"{label(head + dot, room)}<br>{label(tail, room)}"


def _absent(axis: Axis) -> float:
    """The place of runs without the parameter."""
    return axis.low - _BELOW * (axis.high - axis.low)


def _described(axis: Axis, places: Sequence[float | None], data: ReportData) -> dict[str, object]:
    """Return what the page draws of an axis, in plain text."""
    ticks = [*([(_absent(axis), _ABSENT)] if None in places else []), *axis.ticks]
    return {
        "name": one_line(axis.name, 60),
        "kind": axis.kind,
        "unread": axis.name in data.unread,
        "metric": axis.name == data.metric,
        "ticks": [[float(f"{place:.8g}"), text] for place, text in ticks],
    }


def _dimension(axis: Axis, places: Sequence[float | None], name: str) -> dict[str, object]:
    absent, margin = _absent(axis), 0.01 * (axis.high - axis.low)
    some_absent = None in places
    return {
        "label": name,
        "values": [float(f"{absent if place is None else place:.8g}") for place in places],
        "range": [(absent if some_absent else axis.low) - margin, axis.high + margin],
        **_ticks(axis, [(absent, _ABSENT)] if some_absent else []),
    }


def _ticks(axis: Axis, more: list[tuple[float, str]]) -> dict[str, object]:
    """Return the ticks of an axis and some below it; a linear axis without any below has plotly's own ticks."""
    if axis.kind == "linear" and not more:
        # plotly writes very large and very small numbers as powers, with tags that these axes do not read.
        largest = max(abs(axis.low), abs(axis.high))
        return {"tickformat": "~e"} if largest >= 1e15 or 0 < largest < 1e-15 else {}
    named = sorted([*more, *axis.ticks])
    return {"tickvals": [place for place, _ in named], "ticktext": _distinct([text for _, text in named])}


def _distinct(texts: list[str]) -> list[str]:
    """Make equal texts differ by characters without width: plotly draws ticks of equal text at one place."""
    marks = ["".join(_UNSEEN[int(bit)] for bit in f"{place:b}") for place in range(len(texts))]
    return [
        text if text and text not in texts[:place] else text + mark
        for place, (text, mark) in enumerate(zip(texts, marks, strict=True))
    ]


def _colours(data: ReportData, values: list[float]) -> dict[str, object]:
    ordered = sorted(data.sign * value for value in values)
    best, rest = ordered[0], max(ordered[0], quantile(ordered, 0.8))
    ends = sorted((data.sign * best, data.sign * rest))
    if not ends[0] < ends[1]:
        ends[1] = math.nextafter(ends[0], math.inf) if abs(ends[0]) > 1e15 else ends[0] + 1.0
    return {
        "color": [float(f"{value:.8g}") for value in values],
        "cmin": ends[0],
        "cmax": ends[1],
        "colorscale": GOOD_TO_BAD,
        "reversescale": data.sign < 0,
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickfont": {"size": 11}},
    }
