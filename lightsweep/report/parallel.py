"""Parallel coordinates: each run a line over the parameters, coloured by its metric."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from lightsweep.report.axes import Axis, make_axis
from lightsweep.report.digest import Digest
from lightsweep.report.scale import quantile
from lightsweep.report.text import label, number
from lightsweep.report.theme import GOOD_TO_BAD, finish, nothing

__all__ = ["parallel_figure"]

# Of the scale's length, how far below an axis the runs stand that lack its parameter.
_BELOW = 0.1
_ABSENT = "–"


def parallel_figure(view: Digest) -> go.Figure:
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
    figure.update_layout(margin={"l": max(48, 16 + 6 * longest), "r": 64, "t": 56, "b": 24})
    missing = len(view.runs) - len(shown)
    what = "1 run" if missing == 1 else f"{missing:,} runs"
    return finish(figure, 400, f"{what} without a finite value of the metric left out." if missing else "")


def _dimension(axis: Axis, view: Digest, shown: list[int]) -> dict[str, object]:
    width = axis.high - axis.low
    absent = axis.low - _BELOW * width
    places = [
        axis.position(run.values[axis.name]) if axis.name in run.values else None
        for run in (view.runs[index] for index in shown)
    ]
    ticks = list(axis.ticks)
    low = axis.low
    if None in places:
        ticks.insert(0, (absent, _ABSENT))
        low = absent
    return {
        "label": label(axis.name, 22),
        "values": [absent if place is None else _short(place) for place in places],
        "range": [low - 0.01 * width, axis.high + 0.01 * width],
        "tickvals": [place for place, _ in ticks],
        "ticktext": [text for _, text in ticks],
    }


def _metric_dimension(view: Digest, values: list[float]) -> dict[str, object]:
    axis = make_axis("", values)
    places = [axis.position(value) for value in values]
    if axis.kind == "ordinal":  # few distinct values: an axis of numbers all the same
        axis = Axis(
            "", "linear", min(values), max(values), tuple((value, number(value)) for value in sorted({*values}))
        )
        places = list(values)
    low, high = axis.low, axis.high
    if not low < high:
        low, high = low - 0.5, high + 0.5
    margin = 0.01 * (high - low)
    return {
        "label": f"<b>{label(view.metric or '', 22)}</b>",
        "values": [_short(place) for place in places if place is not None],
        "range": [low - margin, high + margin],
        "tickvals": [place for place, _ in axis.ticks],
        "ticktext": [text for _, text in axis.ticks],
    }


def _colours(view: Digest, values: list[float]) -> dict[str, object]:
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
