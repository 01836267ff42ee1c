"""Learning curves: the metric of each run over its iterations, the bands, and where runs were stopped."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from lightsweep.hyperband import threshold
from lightsweep.report.data import ReportData, spread
from lightsweep.report.theme import ACCENT, MUTED, STATES, finish, label, metric_axis, nothing

__all__ = ["curves_figure", "thinned"]

_MOST_CURVES = 240
_MOST_BEST = 40
_MOST_POINTS = 120
_MOST_BANDS = 12


def curves_figure(view: ReportData) -> go.Figure:
    """One curve a run, by state, the best one in front; crosses where runs were stopped, thresholds at the bands.

    Of very many runs the best and an even choice of the others are drawn, of very long ones an even choice of their
    points. Values that are not finite are no iterations and leave no gap.
    """
    curved = [index for index, run in enumerate(view.runs) if run.history]
    if not curved:
        return nothing(view.without_values() or "No run has logged a finite value of the metric yet.")
    shown = _chosen(view, curved)
    figure = go.Figure()
    for state, colour in STATES.items():
        chosen = [index for index in shown if view.runs[index].state == state]
        if chosen:
            figure.add_trace(_lines(view, chosen, state, colour, 0.55 if len(shown) < 60 else 0.35))
    stopped = [index for index in shown if view.runs[index].state == "pruned"]
    if stopped:
        figure.add_trace(
            go.Scatter(
                name="stopped early",
                mode="markers",
                x=[len(view.runs[index].history) for index in stopped],
                y=[view.runs[index].history[-1] for index in stopped],
                customdata=[view.runs[index].id for index in stopped],
                hovertemplate="run %{customdata} stopped at iteration %{x}: %{y:.5g}",
                marker={"symbol": "x-thin", "size": 7, "line": {"color": STATES["pruned"], "width": 1.5}},
                meta={"runs": stopped},
            )
        )
    if view.best is not None and view.best.history:
        index = view.runs.index(view.best)
        figure.add_trace(_lines(view, [index], "best run", ACCENT, 1.0, width=3.0))
    _bands(figure, view)
    values = [value for index in shown for value in view.runs[index].history]
    axis, note = metric_axis(values, view.sign, view.title)
    figure.update_layout(yaxis=axis, xaxis={"title": {"text": "iteration"}}, hovermode="closest")
    if len(shown) < len(curved):
        note = f"The best and an even choice of the others: {len(shown):,} of {len(curved):,} runs. {note}".strip()
    return finish(figure, 420, note)


def thinned(history: Sequence[float], most: int = _MOST_POINTS) -> list[int]:
    """The indices of at most ``most`` points of a curve, its ends included."""
    return spread(range(len(history)), most)


def _chosen(view: ReportData, curved: list[int]) -> list[int]:
    if len(curved) <= _MOST_CURVES:
        return curved
    ranked = sorted(curved, key=lambda index: view.sign * _best(view, index))
    best = ranked[:_MOST_BEST]
    return sorted({*best, *spread([index for index in curved if index not in set(best)], _MOST_CURVES - _MOST_BEST)})


def _best(view: ReportData, index: int) -> float:
    best = view.runs[index].best
    return view.sign * math.inf if best is None else best


def _lines(
    view: ReportData, chosen: list[int], name: str, colour: str, opacity: float, width: float = 1.3
) -> go.Scatter:
    """The curves of several runs as one trace, with gaps between them."""
    x: list[int | None] = []
    y: list[float | None] = []
    owners: list[int] = []
    for index in chosen:
        history = view.runs[index].history
        points = thinned(history)
        x += [point + 1 for point in points] + [None]
        y += [float(f"{history[point]:.6g}") for point in points] + [None]
        owners += [index] * (len(points) + 1)
    return go.Scatter(
        name=name,
        mode="lines" if len(x) > 2 * len(chosen) else "lines+markers",
        x=x,
        y=y,
        customdata=[view.runs[index].id for index in owners],
        hovertemplate="run %{customdata}, iteration %{x}: %{y:.5g}",
        line={"color": colour, "width": width},
        opacity=opacity,
        connectgaps=False,
        meta={"runs": owners},
    )


def _bands(figure: go.Figure, view: ReportData) -> None:
    """The bands, and at each what a run had to have; with stages each has bands and thresholds of its own."""
    metric = view.config.metric
    if metric is None:
        return
    stages: list[str | None] = [stage.name for stage in view.config.stages]
    places: list[int] = []
    limits: list[float] = []
    whose: list[str] = []
    for stage in stages or [None]:
        hyperband = view.config.stopping(stage)
        runs = [run for run in view.runs if run.stage == stage]
        if hyperband is None or not runs:
            continue
        for band in hyperband.bands(upto=max(len(run.history) for run in runs))[:_MOST_BANDS]:
            at = [run.history[band - 1] for run in runs if len(run.history) >= band]
            places.append(band)
            limits.append(threshold(at, hyperband.eta, metric.goal))
            whose.append(f"{label(stage)}, " if stage is not None else "")
    for band in sorted(set(places)):
        figure.add_vline(band, line={"color": MUTED, "dash": "dot", "width": 1}, opacity=0.7)
    if places:
        figure.add_trace(
            go.Scatter(
                name="bands and thresholds",
                mode="markers",
                x=places,
                y=limits,
                customdata=whose,
                hovertemplate="%{customdata}band %{x}: threshold %{y:.5g}",
                marker={"symbol": "line-ew", "size": 16, "line": {"color": MUTED, "width": 2.5}},
            )
        )
