"""Parameter importance: importance and correlation of each parameter, as bars."""

from __future__ import annotations

import math

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lightsweep.report.axis import ACCENT, MUTED, STATES, finish, nothing
from lightsweep.report.data import ReportData, sentence


def importance_figure(data: ReportData) -> go.Figure:
    """Draw bars of importance on the left and of correlation on the right, the most important parameter on top.

    If nothing can be computed, the figure shows the warnings or the reason instead.
    """
    found = data.importance
    if isinstance(found, str):
        return nothing(found)
    ordered = [one for one in reversed(found.parameters) if one.importance is not None]
    said = " ".join(sentence(text) for text in (*found.warnings, *found.notes))
    if not ordered:
        return nothing(said or "There are too few runs to compute importance.")
    names = [data.named(one.name, 26) for one in ordered]
    places = list(range(len(names)))
    titles = (f"importance<br>R² = {found.fit:.2f} on unseen runs", "correlation")
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06, subplot_titles=titles)
    shared = {"y": places, "customdata": names}
    spread = [_finite(one.spread) or 0.0 for one in ordered]
    importances = go.Bar(
        orientation="h",
        x=[_finite(one.importance) for one in ordered],
        error_x={"type": "data", "array": spread, "color": MUTED, "thickness": 1.2, "width": 3},
        marker={"color": [MUTED if one.unread else ACCENT for one in ordered]},
        hovertemplate="%{customdata}: %{x:.3f}<extra></extra>",
        showlegend=False,
        **shared,
    )
    linear = go.Bar(
        name="linear",
        orientation="h",
        x=[_finite(one.correlation) for one in ordered],
        marker={"color": [MUTED if one.unread else STATES["finished"] for one in ordered]},
        hovertemplate="%{customdata}: linear %{x:.2f}<extra></extra>",
        **shared,
    )
    rank = go.Scatter(
        name="rank",
        mode="markers",
        x=[_finite(one.rank_correlation) for one in ordered],
        marker={"color": STATES["pruned"], "symbol": "diamond", "size": 8},
        hovertemplate="%{customdata}: rank %{x:.2f}<extra></extra>",
        **shared,
    )
    figure.add_traces([importances, linear, rank], rows=1, cols=[1, 2, 2])
    figure.update_annotations(font={"size": 12})
    figure.update_xaxes(rangemode="tozero", row=1, col=1)
    figure.update_xaxes(range=[-1.05, 1.05], tickvals=[-1, 0, 1], row=1, col=2)
    # By number, since shortened names may be alike.
    figure.update_yaxes(
        tickvals=places, ticktext=names, range=[-0.6, len(places) - 0.4], showgrid=False, zeroline=False
    )
    figure.update_layout(
        margin={"t": 44, "b": 52},
        legend={"x": 1, "xanchor": "right", "y": 0, "yanchor": "bottom", "yref": "container"},
        bargap=0.35,
    )
    return finish(figure, 144 + 26 * len(names), said)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
