"""Runs over their iterations, with the bands and the stopped runs (learning curves), and over time (agents)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime

import plotly.graph_objects as go

from lightsweep.report.axis import ACCENT, MUTED, STATES, finish, label, metric_axis, nothing
from lightsweep.report.data import ReportData, spread

_MOST_CURVES = 240
_MOST_BEST = 40
_MOST_POINTS = 120
_MOST_BANDS = 12


def curves_figure(data: ReportData) -> go.Figure:
    """Draw one curve for each run, by state, the best in front; crosses for stopped runs, thresholds at the bands.

    Of very many runs the best and an even choice of the others are drawn, of very long curves an even choice of their
    points. Values that are not finite are left out and leave no gap.
    """
    curved = [index for index, run in enumerate(data.runs) if run.history]
    if not curved:
        return nothing(data.without_values() or "No run has logged a finite value of the metric yet.")
    shown, sampled = data.sample(curved, _MOST_CURVES, _MOST_BEST)
    states = data.by_state(shown)
    opacity = 0.55 if len(shown) < 60 else 0.35
    figure = go.Figure([_lines(data, chosen, state, STATES[state], opacity) for state, chosen in states.items()])
    stopped = states.get("pruned")
    if stopped:
        runs = [data.runs[index] for index in stopped]
        figure.add_scatter(
            name="stopped early",
            mode="markers",
            x=[len(run.history) for run in runs],
            y=[run.history[-1] for run in runs],
            customdata=[run.id for run in runs],
            hovertemplate="run %{customdata} stopped at iteration %{x}: %{y:.5g}",
            marker={"symbol": "x-thin", "size": 7, "line": {"color": STATES["pruned"], "width": 1.5}},
            meta={"runs": stopped},
        )
    if data.best is not None and data.best.history:
        index = data.runs.index(data.best)
        figure.add_trace(_lines(data, [index], "best run", ACCENT, 1.0, width=3.0))
    _bands(figure, data)
    values = [value for index in shown for value in data.runs[index].history]
    axis, note = metric_axis(values, data.sign, data.title)
    figure.update_layout(yaxis=axis, xaxis={"title": {"text": "iteration"}}, hovermode="closest")
    return finish(figure, 420, f"{sampled} {note}".strip())


def _lines(
    data: ReportData, chosen: Sequence[int], name: str, colour: str, opacity: float, width: float = 1.3
) -> go.Scatter:
    """Draw the curves of several runs as one trace, with gaps between them."""
    x: list[int | None] = []
    y: list[float | None] = []
    owners: list[int] = []
    for index in chosen:
        history = data.runs[index].history
        points = spread(range(len(history)), _MOST_POINTS)
        x += [point + 1 for point in points] + [None]
        y += [float(f"{history[point]:.6g}") for point in points] + [None]
        owners += [index] * (len(points) + 1)
    return go.Scatter(
        name=name,
        mode="lines" if len(x) > 2 * len(chosen) else "lines+markers",
        x=x,
        y=y,
        customdata=[data.runs[index].id for index in owners],
        hovertemplate="run %{customdata}, iteration %{x}: %{y:.5g}",
        line={"color": colour, "width": width},
        opacity=opacity,
        connectgaps=False,
        meta={"runs": owners},
    )


def _bands(figure: go.Figure, data: ReportData) -> None:
    """Draw the bands and the threshold at each; a sweep with stages has bands and thresholds for each stage."""
    metric = data.config.metric
    if metric is None:
        return
    marks: list[tuple[int, float, str]] = []
    for part in data.config.parts:
        rule = part.rule
        histories = [run.history for run in data.runs if not part.name or part.name in run.labels.values()]
        if rule is None or not histories:
            continue
        whose = f"{label(part.name)}, " if part.name else ""
        bands = spread(rule.bands(upto=max(map(len, histories))), _MOST_BANDS)
        limits = [(band, rule.cut_off(histories, band, metric.goal)) for band in bands]
        marks += [(band, limit, whose) for band, limit in limits if limit is not None]
    for band in sorted({band for band, _, _ in marks}):
        figure.add_vline(band, line={"color": MUTED, "dash": "dot", "width": 1}, opacity=0.7)
    if marks:
        places, heights, owners = zip(*marks, strict=True)
        figure.add_scatter(
            name="bands and thresholds",
            mode="markers",
            x=places,
            y=heights,
            customdata=owners,
            hovertemplate="%{customdata}band %{x}: threshold %{y:.5g}",
            marker={"symbol": "line-ew", "size": 16, "line": {"color": MUTED, "width": 2.5}},
        )


_MOST_LANES = 200
_MOST_BARS = 1_500


def timeline_figure(data: ReportData) -> go.Figure:
    """Draw a bar for each run from its start to its end, by state, in the lane of its agent; a running run ends now.

    Of very many runs an even choice is drawn.
    """
    placed = lanes(data)
    if not placed:
        return nothing("No run has started yet.")
    names = sorted(placed)[:_MOST_LANES]
    height = {lane: len(names) - 1 - place for place, lane in enumerate(names)}
    figure = go.Figure()
    every = {index: lane for lane in names for index in placed[lane]}
    lane_of = {index: every[index] for index in spread(list(every), _MOST_BARS)}
    for state, bars in data.by_state(lane_of).items():
        runs = [data.runs[index] for index in bars]
        starts = [run.started for run in runs if run.started is not None]
        lengths = [((run.ended or data.now) - start).total_seconds() for run, start in zip(runs, starts, strict=True)]
        figure.add_bar(
            name=state,
            orientation="h",
            base=[start.isoformat(timespec="milliseconds").removesuffix("+00:00") for start in starts],
            x=[max(0, round(1000 * length)) for length in lengths],
            y=[height[lane_of[index]] for index in bars],
            customdata=[[run.id, _duration(length)] for run, length in zip(runs, lengths, strict=True)],
            hovertemplate="run %{customdata[0]}: %{customdata[1]}",
            marker={"color": STATES[state], "line": {"width": 0}},
            width=0.7,
            meta={"runs": bars},
        )
    figure.update_layout(
        barmode="overlay",
        xaxis={"type": "date", "title": {"text": "UTC"}, "nticks": 5, "tickangle": 0},
        yaxis={
            "tickvals": list(height.values()),
            "ticktext": [_lane(*lane) for lane in names],
            "range": [-0.6, len(names) - 0.4],
            "showgrid": False,
            "zeroline": False,
        },
        hovermode="closest",
    )
    left_out = len(placed) - len(names)
    sampled = f"An even choice of the runs: {len(lane_of):,} of {len(every):,}. " if len(lane_of) < len(every) else ""
    note = f"{left_out:,} more agents are not shown." if left_out else ""
    return finish(figure, min(900, 130 + 26 * len(names)), f"{sampled}{note}".strip())


def lanes(data: ReportData) -> dict[tuple[str, int], list[int]]:
    """Return the indices of the runs by agent and slot; runs of one agent that overlap have different slots."""
    placed: dict[tuple[str, int], list[int]] = {}
    busy: dict[str, list[tuple[datetime, int]]] = {}
    free: dict[str, list[int]] = {}
    spans = [(run.started, run.ended or data.now, index) for index, run in enumerate(data.runs) if run.started]
    for start, end, index in sorted(spans, key=lambda span: span[0]):
        agent = data.runs[index].agent
        ends, slots = busy.setdefault(agent, []), free.setdefault(agent, [])
        while ends and ends[0][0] <= start:
            heapq.heappush(slots, heapq.heappop(ends)[1])
        slot = heapq.heappop(slots) if slots else len(ends)  # the lowest one
        heapq.heappush(ends, (end, slot))
        placed.setdefault((agent, slot), []).append(index)
    return placed


def _lane(agent: str, slot: int) -> str:
    name = label(agent or "unknown agent", 28)
    return f"{name} · {slot + 1}" if slot else name


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
