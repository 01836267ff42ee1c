"""A sweep with several metrics: its runs over pairs of metrics with the Pareto front, and the growth of the front."""

from __future__ import annotations

from itertools import combinations

import plotly.graph_objects as go

from lightsweep.controller.pareto import Front, costs, hypervolumes, pareto_front
from lightsweep.controller.runs import SweepRun
from lightsweep.report.data import ReportData, spread
from lightsweep.report.theme import ACCENT, STATES, finish, label, nothing

_MOST_RUNS = 3_000
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
    others = spread([index for index in range(len(front.runs)) if index not in kept], _MOST_RUNS)
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
