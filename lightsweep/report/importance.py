"""What mattered: importance and correlation of each parameter, as bars."""

from __future__ import annotations

import math

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lightsweep.analysis import Importance, importance
from lightsweep.errors import UsageError
from lightsweep.report.data import ReportData
from lightsweep.report.theme import ACCENT, MUTED, STATES, finish, label, nothing

__all__ = ["importance_figure", "weigh"]


def weigh(view: ReportData) -> Importance | str:
    """What mattered for the sweep's metric; where that cannot be asked, why, in a sentence."""
    try:
        return importance([*view.runs, *view.priors], view.config)
    except UsageError as error:  # no metric, or scikit-learn is not installed
        return _sentence(str(error))


def importance_figure(found: Importance | str) -> go.Figure:
    """Bars of importance on the left and of correlation on the right, the most important parameter on top.

    Args:
        found: What mattered, or why that is not known. Where nothing was computed, its warnings are shown instead.
    """
    if isinstance(found, str):
        return nothing(found)
    ordered = [one for one in reversed(found.parameters) if one.importance is not None]
    sentence = " ".join(_sentence(text) for text in (*found.warnings, *found.notes))
    if not ordered:
        return nothing(sentence or "There are too few runs to say what mattered.")
    names = [label(one.name, 26) for one in ordered]
    places = list(range(len(names)))
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.06, subplot_titles=("importance", "correlation")
    )
    figure.add_trace(
        go.Bar(
            orientation="h",
            y=places,
            customdata=names,
            x=[_finite(one.importance) for one in ordered],
            error_x={
                "type": "data",
                "array": [_finite(one.spread) or 0.0 for one in ordered],
                "color": MUTED,
                "thickness": 1.2,
                "width": 3,
            },
            marker={"color": ACCENT},
            hovertemplate="%{customdata}: %{x:.3f}<extra></extra>",
            showlegend=False,
        ),
        row=1,
        col=1,
    )
    figure.add_trace(
        go.Bar(
            name="linear",
            orientation="h",
            y=places,
            customdata=names,
            x=[_finite(one.correlation) for one in ordered],
            marker={"color": STATES["finished"]},
            hovertemplate="%{customdata}: linear %{x:.2f}<extra></extra>",
        ),
        row=1,
        col=2,
    )
    figure.add_trace(
        go.Scatter(
            name="rank",
            mode="markers",
            y=places,
            customdata=names,
            x=[_finite(one.rank_correlation) for one in ordered],
            marker={"color": STATES["pruned"], "symbol": "diamond", "size": 8},
            hovertemplate="%{customdata}: rank %{x:.2f}<extra></extra>",
        ),
        row=1,
        col=2,
    )
    figure.update_annotations(font={"size": 12})
    figure.update_xaxes(rangemode="tozero", row=1, col=1)
    figure.update_xaxes(range=[-1.05, 1.05], tickvals=[-1, 0, 1], row=1, col=2)
    # By number, since names that were cut short may be alike.
    figure.update_yaxes(
        tickvals=places, ticktext=names, range=[-0.6, len(places) - 0.4], showgrid=False, zeroline=False
    )
    figure.update_layout(
        margin={"t": 30, "b": 52},
        legend={"x": 1, "xanchor": "right", "y": 0, "yanchor": "bottom", "yref": "container"},
        bargap=0.35,
    )
    return finish(figure, 130 + 26 * len(names), sentence)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
