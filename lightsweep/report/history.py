"""Optimisation history: the value of every run, and the best so far."""

from __future__ import annotations

import plotly.graph_objects as go

from lightsweep.report.data import ReportData, mark_stages
from lightsweep.report.theme import ACCENT, MUTED, STATES, finish, label, metric_axis, nothing

__all__ = ["history_figure"]

# From here on points are drawn by WebGL.
_MANY = 2000


def history_figure(view: ReportData) -> go.Figure:
    """Runs in the order in which they were handed out, by state, with the best so far, the target and the stages."""
    shown = view.valued
    if not shown:
        return nothing(view.without_values())
    trace = go.Scattergl if len(shown) > _MANY else go.Scatter
    figure = go.Figure()
    for state, colour in STATES.items():
        chosen = [index for index in shown if view.runs[index].state == state]
        if chosen:
            figure.add_trace(
                trace(
                    name=state,
                    mode="markers",
                    x=[index + 1 for index in chosen],
                    y=[view.runs[index].best for index in chosen],
                    customdata=[view.runs[index].id for index in chosen],
                    hovertemplate="run %{customdata}: %{y:.5g}",
                    marker={"color": colour, "size": 5 if len(shown) > _MANY else 7, "opacity": 0.75},
                    meta={"runs": chosen},
                )
            )
    places, values = _best_so_far(view, shown)
    figure.add_trace(
        go.Scatter(
            name="best so far",
            mode="lines",
            x=places,
            y=values,
            line={"shape": "hv", "color": ACCENT, "width": 2.5},
            hovertemplate="best so far: %{y:.5g}",
        )
    )
    axis, note = metric_axis([view.runs[index].best or 0.0 for index in shown], view.sign, view.title)
    if view.config.metric is not None and view.config.metric.target is not None:
        figure.add_hline(
            view.config.metric.target,
            line={"color": MUTED, "dash": "dash", "width": 1.5},
            annotation={"text": label(f"target {view.config.metric.target:g}"), "font": {"color": MUTED}},
        )
    mark_stages(figure, view)
    figure.update_layout(yaxis=axis, xaxis={"title": {"text": "run"}, "rangemode": "tozero"}, hovermode="closest")
    return finish(figure, 380, note)


def _best_so_far(view: ReportData, shown: list[int]) -> tuple[list[int], list[float]]:
    """The corners of the line: where it gets better, and its end."""
    places: list[int] = []
    values: list[float] = []
    for index in shown:
        value = view.runs[index].best or 0.0
        if not values or view.sign * value < view.sign * values[-1]:
            places.append(index + 1)
            values.append(value)
    if places[-1] != len(view.runs):
        places.append(len(view.runs))
        values.append(values[-1])
    return places, values
