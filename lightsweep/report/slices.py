"""Slices: the metric over one parameter at a time."""

from __future__ import annotations

import plotly.graph_objects as go

from lightsweep.report.data import Axis, ReportData, spread
from lightsweep.report.theme import STATES, finish, label, metric_axis, nothing

__all__ = ["slice_figure", "slice_figures"]

_MOST_RUNS = 800
_MOST_BEST = 200
# How far choices are spread around their place, so that runs do not hide each other.
_JITTER = 0.28


def slice_figures(view: ReportData) -> list[go.Figure]:
    """A figure for each axis; empty where no run has a finite value."""
    return [slice_figure(view, axis) for axis in view.axes] if view.valued else []


def slice_figure(view: ReportData, axis: Axis) -> go.Figure:
    """The best value of each run over one parameter; of very many runs the best and an even choice of the others."""
    shown = _chosen(view)
    if not shown:
        return nothing(view.without_values())
    figure = go.Figure()
    for state, colour in STATES.items():
        chosen = []
        places = []
        for index in shown:
            run = view.runs[index]
            place = axis.position(run.values[axis.name]) if axis.name in run.values else None
            if run.state == state and place is not None:
                chosen.append(index)
                places.append(place + (_spread(index) if axis.kind == "ordinal" else 0.0))
        if chosen:
            figure.add_trace(
                go.Scatter(
                    name=state,
                    mode="markers",
                    x=[float(f"{place:.6g}") for place in places],
                    y=[view.runs[index].best for index in chosen],
                    customdata=[view.runs[index].id for index in chosen],
                    hovertemplate="run %{customdata}: %{y:.5g}",
                    marker={"color": colour, "size": 6, "opacity": 0.7},
                    meta={"runs": chosen},
                )
            )
    vertical, note = metric_axis([view.runs[index].best or 0.0 for index in shown], view.sign, "")
    margin = 0.5 if axis.kind == "ordinal" else 0.04 * (axis.high - axis.low)
    figure.update_layout(
        yaxis=vertical,
        xaxis={
            "title": {"text": label(axis.name, 36)},
            "range": [axis.low - margin, axis.high + margin],
            "tickvals": [place for place, _ in axis.ticks],
            "ticktext": [label(text, 12) for _, text in axis.ticks],
            "zeroline": False,
        },
        showlegend=False,
        hovermode="closest",
        margin={"l": 12, "r": 8, "t": 12, "b": 12},
    )
    if len(shown) < len(view.valued):
        note = f"{len(shown):,} of {len(view.valued):,} runs. {note}".strip()
    return finish(figure, 240, note)


def _chosen(view: ReportData) -> list[int]:
    valued = view.valued
    if len(valued) <= _MOST_RUNS:
        return valued
    best = sorted(valued, key=lambda index: view.sign * (view.runs[index].best or 0.0))[:_MOST_BEST]
    others = [index for index in valued if index not in set(best)]
    return sorted([*best, *spread(others, _MOST_RUNS - _MOST_BEST)])


def _spread(index: int) -> float:
    """The same for the same run at every look, and even over all of them: multiples of the golden ratio."""
    return _JITTER * (2 * (index * 0.6180339887498949 % 1) - 1)
