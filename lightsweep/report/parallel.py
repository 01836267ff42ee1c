"""Parallel coordinates: each run a line over the parameters, coloured by its metric."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from lightsweep.report.data import Axis, ReportData, make_axis
from lightsweep.report.theme import GOOD_TO_BAD, finish, label, nothing, quantile

__all__ = ["parallel_figure"]

# Of the scale's length, how far below an axis the runs stand that lack its parameter.
_BELOW = 0.1
_ABSENT = "–"
_FINE = 100
_UNSEEN = "\u200b\u200c"


def parallel_figure(view: ReportData) -> go.Figure:
    """One line for each run that has a finite value of the metric; every run in a sweep without a metric.

    ``meta["runs"]`` of the trace says which run each line is. A run that lacks a parameter passes below its axis. The
    colours end where the worst fifth of the runs begins.
    """
    shown = view.valued if view.metric else list(range(len(view.runs)))
    if not shown:
        return nothing(view.without_values())
    if not view.axes:
        return nothing("No parameter has more than one value.")
    dimensions = [_dimension(axis, view, shown) for axis in view.axes]
    line: dict[str, object] = {"color": GOOD_TO_BAD[1][1]}
    if view.metric:
        values = [view.runs[index].best or 0.0 for index in shown]
        dimensions.append(_metric_dimension(view, values))
        line = _colours(view, values)
    figure = go.Figure(go.Parcoords(line=line, dimensions=dimensions, meta={"runs": shown}))
    longest = max(len(text) for axis in view.axes[:1] for _, text in axis.ticks)
    figure.update_layout(
        margin={
            "l": max(48, 16 + 6 * longest),
            "r": max(48, 12 + 4 * min(22, len(view.metric or ""))),
            "t": 56,
            "b": 24,
        }
    )
    missing = len(view.runs) - len(shown)
    what = "1 run" if missing == 1 else f"{missing:,} runs"
    return finish(figure, 400, f"{what} without a finite value of the metric left out." if missing else "")


def _dimension(axis: Axis, view: ReportData, shown: list[int]) -> dict[str, object]:
    width = axis.high - axis.low
    absent = axis.low - _BELOW * width
    places = [
        axis.position(run.values[axis.name]) if axis.name in run.values else None
        for run in (view.runs[index] for index in shown)
    ]
    some_absent = None in places
    return {
        "label": label(axis.name, 22),
        "values": [absent if place is None else _short(place) for place in places],
        "range": [(absent if some_absent else axis.low) - 0.01 * width, axis.high + 0.01 * width],
        **_ticks(axis, [(absent, _ABSENT)] if some_absent else []),
    }


def _ticks(axis: Axis, more: list[tuple[float, str]]) -> dict[str, object]:
    """Ticks of an axis and some below it.

    plotly lets brushes snap to ticks that it is given. So a linear axis gets none, unless it needs some below it, and
    every axis but an ordinal one has many, of which few bear a text.
    """
    if axis.kind == "linear" and not more:
        # plotly writes the largest and the smallest as powers, with tags that these axes do not read.
        largest = max(abs(axis.low), abs(axis.high))
        return {"tickformat": "~e"} if largest >= 1e15 or 0 < largest < 1e-15 else {}
    named = [*more, *axis.ticks]
    if axis.kind != "ordinal":
        known = {place for place, _ in named}
        fine = [axis.low + part * (axis.high - axis.low) / _FINE for part in range(_FINE + 1)]
        if axis.kind == "log":
            decades = range(math.floor(axis.low), math.ceil(axis.high) + 1)
            fine = [decade + math.log10(step / 2) for decade in decades for step in range(2, 20)]
        named += [(place, "") for place in fine if axis.low <= place <= axis.high and place not in known]
    named.sort()
    return {"tickvals": [place for place, _ in named], "ticktext": _distinct([text for _, text in named])}


def _distinct(texts: list[str]) -> list[str]:
    """The same to look at, but each another: plotly puts ticks of equal text at one place."""
    seen: set[str] = set()
    found = []
    for place, text in enumerate(texts):
        mark = "".join(_UNSEEN[int(bit)] for bit in f"{place:b}")  # characters without width
        found.append(text if text and text not in seen else text + mark)
        seen.add(text)
    return found


def _metric_dimension(view: ReportData, values: list[float]) -> dict[str, object]:
    axis = make_axis("", values)
    places = [axis.position(value) for value in values]
    if axis.kind == "ordinal":  # few distinct values: an axis of numbers all the same
        axis = Axis("", "linear", min(values), max(values), ())
        places = list(values)
    low, high = axis.low, axis.high
    if not low < high:
        low, high = low - 0.5, high + 0.5
    margin = 0.01 * (high - low)
    return {
        "label": f"<b>{label(view.metric or '', 22)}</b>",
        "values": [_short(place) for place in places if place is not None],
        "range": [low - margin, high + margin],
        **_ticks(axis, []),
    }


def _colours(view: ReportData, values: list[float]) -> dict[str, object]:
    ordered = sorted(view.sign * value for value in values)
    best, rest = ordered[0], max(ordered[0], quantile(ordered, 0.8))
    ends = sorted((view.sign * best, view.sign * rest))
    if not ends[0] < ends[1]:
        ends[1] = math.nextafter(ends[0], math.inf) if abs(ends[0]) > 1e15 else ends[0] + 1.0
    return {
        "color": [_short(value) for value in values],
        "cmin": ends[0],
        "cmax": ends[1],
        "colorscale": GOOD_TO_BAD,
        "reversescale": view.sign < 0,
        "showscale": False,
    }


def _short(value: float) -> float:
    return float(f"{value:.8g}")
