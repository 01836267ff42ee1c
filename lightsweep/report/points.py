"""Each run as a point: in the order of runs (history), over a parameter (slices), over two metrics (front)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import plotly.graph_objects as go

from lightsweep.controller.ranking import Front, costs, hypervolumes, pareto_front
from lightsweep.controller.runs import SweepRun
from lightsweep.report.axis import ACCENT, MUTED, STATES, Axis, finish, label, metric_axis, nothing
from lightsweep.report.data import ReportData, spread

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


_MOST_OF_FRONT = 3_000
_MOST_MEMBERS = 500
_NOTHING = "No run has ended with a finite value of each metric yet."


def front_figures(data: ReportData) -> go.Figure | list[go.Figure]:
    """Draw the runs over each pair of metrics, with the front as a line; no figure for a sweep with fewer than two.

    A run counts with the last value of each metric. With three metrics or more, a run of the front may lie behind
    others in the two that a figure shows. Of very many runs the front and an even choice of the others are drawn.
    """
    if len(data.config.metrics) < 2:
        return []
    front = pareto_front(data.runs, data.config)
    if not front.runs:
        return nothing(_NOTHING)
    pairs = list(combinations(range(len(data.config.metrics)), 2))
    drawn = [_pair(data, front, *pair, 420 if len(pairs) == 1 else 300) for pair in pairs]
    return drawn[0] if len(drawn) == 1 else drawn


def _pair(data: ReportData, front: Front[SweepRun], first: int, second: int, height: int) -> go.Figure:
    rows = {run.id: index for index, run in enumerate(data.runs)}
    members = spread(front.members, _MOST_MEMBERS)
    kept = set(front.members)
    others = spread([index for index in range(len(front.runs)) if index not in kept], _MOST_OF_FRONT)
    names = [label(data.config.metrics[axis].name, 36) for axis in (first, second)]

    def points(indices: list[int], name: str, **look: object) -> go.Scatter:
        return go.Scatter(
            name=name,
            x=[front.values[index][first] for index in indices],
            y=[front.values[index][second] for index in indices],
            customdata=[front.runs[index].id for index in indices],
            hovertemplate="run %{customdata}: %{x:.5g}, %{y:.5g}",
            meta={"runs": [rows[front.runs[index].id] for index in indices]},
            **look,
        )

    figure = go.Figure()
    by_state = data.by_state([rows[front.runs[index].id] for index in others])
    place = {rows[run.id]: index for index, run in enumerate(front.runs)}
    for state, found in by_state.items():
        look = {"color": STATES[state], "size": 6, "opacity": 0.5}
        figure.add_trace(points([place[row] for row in found], state, mode="markers", marker=look))
    ordered = sorted(members, key=lambda index: front.values[index][first])
    several = len(data.config.metrics) > 2  # a line cannot show a front of three axes
    figure.add_trace(
        points(
            ordered,
            "Pareto front",
            mode="markers" if several else "lines+markers",
            marker={"color": ACCENT, "size": 9},
            line={"color": ACCENT, "width": 2, "shape": _steps(data)},
        )
    )
    titles = [f"{name} ({_better(data, axis)})" for name, axis in zip(names, (first, second), strict=True)]
    figure.update_layout(
        xaxis={"title": {"text": titles[0]}}, yaxis={"title": {"text": titles[1]}}, hovermode="closest"
    )
    left = len(front.runs) - len(members) - len(others)
    return finish(figure, height, f"{left:,} of {len(front.runs):,} runs are not drawn." if left else "")


def _steps(data: ReportData) -> str:
    """Return the form of the line: between two runs of the front nothing better than the worse of both is known."""
    return "hv" if data.config.metrics[0].goal == "minimize" else "vh"


def _better(data: ReportData, axis: int) -> str:
    return "smaller is better" if data.config.metrics[axis].goal == "minimize" else "greater is better"


def hypervolume_figure(data: ReportData) -> go.Figure | list[go.Figure]:
    """Draw the share of the box between worst and best values that the front covers; no figure with one metric."""
    if len(data.config.metrics) < 2:
        return []
    front = pareto_front(data.runs, data.config)
    if not front.runs:
        return nothing(_NOTHING)
    number = {run.id: index + 1 for index, run in enumerate(data.runs)}
    grown = hypervolumes(costs(front.values, data.config))
    corners = [place for place, share in enumerate(grown) if not place or share > grown[place - 1]]
    corners += [len(grown) - 1] * (corners[-1] < len(grown) - 1)
    figure = go.Figure()
    figure.add_scatter(
        mode="lines+markers",
        x=[number[front.runs[place].id] for place in corners],
        y=[float(f"{grown[place]:.6g}") for place in corners],
        line={"shape": "hv", "color": ACCENT, "width": 2.5},
        hovertemplate="run %{x}: %{y:.1%}",
        showlegend=False,
    )
    figure.update_layout(
        xaxis={"title": {"text": "run"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "hypervolume"}, "tickformat": ".0%", "rangemode": "tozero"},
    )
    return finish(figure, 300)
