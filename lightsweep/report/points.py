"""The best value of each run as a point: in the order of the runs (history), and over each parameter (slices)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from lightsweep.report.axis import Axis, metric_axis
from lightsweep.report.data import ReportData
from lightsweep.report.theme import ACCENT, MUTED, STATES, finish, label, nothing

# From this number of runs on, the history is drawn by WebGL.
_MANY = 2000
_MOST_RUNS = 800
_MOST_BEST = 200
_MOST_OF_HISTORY = 20_000
_MOST_BEST_OF_HISTORY = 5_000
# How far choices are spread around their place, so that runs do not hide each other.
_JITTER = 0.28


def history_figure(data: ReportData) -> go.Figure:
    """Draw the runs in the order of their start, by state, with the best so far, the target and the stages.

    Of very many runs the best and an even choice of the others are drawn; the line is that of all runs.
    """
    shown, sampled = data.sample(data.valued, _MOST_OF_HISTORY, _MOST_BEST_OF_HISTORY)
    if not shown:
        return nothing(data.without_values())
    figure = go.Figure(_points(data, [(index, index + 1) for index in shown], 7, 0.75))
    corners = _best_so_far(data, [index for index in data.valued if not data.runs[index].breaks])
    figure.add_scatter(
        name="best so far",
        visible=bool(corners),
        mode="lines",
        x=list(corners),
        y=list(corners.values()),
        line={"shape": "hv", "color": ACCENT, "width": 2.5},
        hoverinfo="skip",  # the runs below it answer
    )
    axis, note = metric_axis([data.best_of(index) for index in shown], data.sign, data.title)
    target = data.config.metric.target if data.config.metric else None
    if target is not None:
        figure.add_hline(
            target,
            line={"color": MUTED, "dash": "dash", "width": 1.5},
            annotation={"text": label(f"target {target:g}"), "font": {"color": MUTED}},
        )
    first: dict[str, int] = {}
    named = {text for texts in data.config.labels.values() for text in texts}
    for index, run in enumerate(data.runs):
        for text in named.intersection(run.labels.values()):
            first.setdefault(text, index)
    for text, index in first.items():
        figure.add_vline(
            index + 0.5,
            line={"color": MUTED, "dash": "dot", "width": 1.5},
            annotation={"text": label(text, 24), "font": {"color": MUTED}, "xanchor": "left"},
            annotation_position="top right",
        )
    figure.update_layout(yaxis=axis, xaxis={"title": {"text": "run"}, "rangemode": "tozero"}, hovermode="closest")
    return finish(figure, 380, f"{sampled} {note}".strip())


def slice_figures(data: ReportData) -> list[go.Figure]:
    """Draw the metric over one parameter at a time; no figure if no run has a finite value.

    Of very many runs the best and an even choice of the others are drawn.
    """
    shown = data.chosen(data.valued, _MOST_RUNS, _MOST_BEST)
    return [_slice(data, axis, shown) for axis in data.ranked] if shown else []


def _slice(data: ReportData, axis: Axis, shown: Sequence[int]) -> go.Figure:
    places = []
    for index in shown:
        place = axis.position_in(data.runs[index].values)
        if place is not None:
            places.append((index, float(f"{place + (_jitter(index) if axis.kind == 'ordinal' else 0.0):.6g}")))
    figure = go.Figure(_points(data, places, 6, 0.7))
    vertical, note = metric_axis([data.best_of(index) for index in shown], data.sign, "")
    margin = 0.5 if axis.kind == "ordinal" else 0.04 * (axis.high - axis.low)
    figure.update_layout(
        yaxis=vertical,
        xaxis={
            "title": {"text": data.named(axis.name, 36)},
            "range": [axis.low - margin, axis.high + margin],
            "tickvals": [place for place, _ in axis.ticks],
            "ticktext": [label(text, 12) for _, text in axis.ticks],
            "zeroline": False,
        },
        showlegend=False,
        hovermode="closest",
        margin={"l": 12, "r": 8, "t": 12, "b": 12},
    )
    if len(shown) < len(data.valued):
        note = f"{len(shown):,} of {len(data.valued):,} runs. {note}".strip()
    return finish(figure, 240, note)


def _points(data: ReportData, places: Sequence[tuple[int, float]], size: int, opacity: float) -> list[go.Scatter]:
    """One trace for each state that a run has; ``places`` are the index of each run and its place.

    A run that breaks a constraint is a cross.
    """
    many, where = len(places) > _MANY, dict(places)
    broken = any(data.runs[index].breaks for index, _ in places)
    return [
        (go.Scattergl if many else go.Scatter)(
            name=state,
            mode="markers",
            x=[where[index] for index in chosen],
            y=[data.runs[index].best for index in chosen],
            customdata=[data.runs[index].id for index in chosen],
            hovertemplate="run %{customdata}: %{y:.5g}",
            marker={
                "color": STATES[state],
                "size": 5 if many else size,
                "opacity": opacity,
                **({"symbol": ["x" if data.runs[index].breaks else "circle" for index in chosen]} if broken else {}),
            },
            meta={"runs": chosen},
        )
        for state, chosen in data.by_state(where).items()
    ]


def _best_so_far(data: ReportData, shown: Sequence[int]) -> dict[int, float]:
    """The corners of the line, by their places: each improvement, and the end."""
    corners: dict[int, float] = {}
    best = data.sign * math.inf
    for index in shown:
        value = data.best_of(index)
        if data.sign * value < data.sign * best:
            best = corners[index + 1] = value
    if corners:
        corners.setdefault(len(data.runs), best)
    return corners


def _jitter(index: int) -> float:
    """The same for a run at every look, and even over all runs: multiples of the golden ratio."""
    return _JITTER * (2 * (index * 0.6180339887498949 % 1) - 1)
