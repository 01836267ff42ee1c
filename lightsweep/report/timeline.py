"""The timeline: the runs of each agent, from start to end."""

from __future__ import annotations

import heapq
from datetime import datetime

import plotly.graph_objects as go

from lightsweep.report.axis import STATES, finish, label, nothing
from lightsweep.report.data import ReportData, spread

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
