"""Parallel coordinates: each run a line over the parameters, coloured by its metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from lightsweep.report.axis import Axis, apart, log_places, make_axis, quantile
from lightsweep.report.data import ReportData
from lightsweep.report.theme import GOOD_TO_BAD, finish, label, nothing
from lightsweep.text import counted

# The distance below an axis of the runs that lack its parameter, as a share of its length.
_BELOW = 0.1
_ABSENT = "–"
# The page draws still fewer, but its brushes choose from all of these.
_MOST_RUNS = 20_000
_MOST_BEST = 5_000
_FINE = 100
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
    dimensions = [
        _dimension(axis, [axis.position_in(data.runs[index].values) for index in shown], data.named(axis.name, 22))
        for axis in data.axes
    ]
    line: dict[str, object] = {"color": GOOD_TO_BAD[1][1]}
    if data.metric:
        values = [data.best_of(index) for index in shown]
        axis = make_axis(data.metric, values)
        if axis.kind == "ordinal":  # few distinct values, which are numbers still
            axis = Axis(data.metric, "linear", *apart(min(values), max(values)), ())
        name = f"<b>{label(data.metric, 22)}</b>"
        dimensions.append(_dimension(axis, [axis.position(value) for value in values], name))
        line = _colours(data, values)
    figure = go.Figure(go.Parcoords(line=line, dimensions=dimensions, meta={"runs": shown}))
    longest = max(len(text) for axis in data.axes[:1] for _, text in axis.ticks)
    left, right = max(48, 16 + 6 * longest), max(48, 12 + 4 * min(22, len(data.metric or "")))
    figure.update_layout(margin={"l": left, "r": right, "t": 56, "b": 24})
    missing = len(data.runs) - len(usable)
    note = f"{counted(missing, 'run')} without a finite value of the metric left out." if missing else ""
    return finish(figure, 400, f"{sampled} {note}".strip())


def _dimension(axis: Axis, places: Sequence[float | None], name: str) -> dict[str, object]:
    width = axis.high - axis.low
    absent = axis.low - _BELOW * width
    some_absent = None in places
    return {
        "label": name,
        "values": [float(f"{absent if place is None else place:.8g}") for place in places],
        "range": [(absent if some_absent else axis.low) - 0.01 * width, axis.high + 0.01 * width],
        **_ticks(axis, [(absent, _ABSENT)] if some_absent else []),
    }


def _ticks(axis: Axis, more: list[tuple[float, str]]) -> dict[str, object]:
    """Return the ticks of an axis and some below it.

    In plotly, brushes snap to given ticks. So a linear axis gets none, unless it needs some below it, and every axis
    except an ordinal one gets many, few of which have a text.
    """
    if axis.kind == "linear" and not more:
        # plotly writes very large and very small numbers as powers, with tags that these axes do not read.
        largest = max(abs(axis.low), abs(axis.high))
        return {"tickformat": "~e"} if largest >= 1e15 or 0 < largest < 1e-15 else {}
    named = [*more, *axis.ticks]
    if axis.kind != "ordinal":
        known = {place for place, _ in named}
        fine = [axis.low + part * (axis.high - axis.low) / _FINE for part in range(_FINE + 1)]
        if axis.kind == "log":
            fine = log_places(axis.low, axis.high, [step / 2 for step in range(2, 20)])
        named += [(place, "") for place in fine if place not in known]
    named.sort()
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
        "showscale": False,
    }
