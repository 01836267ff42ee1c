"""The timeline: which agent had which run in hand, and when."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import plotly.graph_objects as go

from lightsweep.report.data import ReportData
from lightsweep.report.theme import STATES, finish, label, nothing

__all__ = ["lanes", "timeline_figure"]

_MOST_LANES = 200


def timeline_figure(view: ReportData, now: datetime) -> go.Figure:
    """A bar for each run from its start to its end, by state, in the lane of its agent.

    Args:
        view: The sweep.
        now: Where the bars of running runs end, with a time zone.
    """
    placed = lanes(view, now)
    if not placed:
        return nothing("No run has started yet.")
    names = sorted(placed)[:_MOST_LANES]
    height = {lane: len(names) - 1 - place for place, lane in enumerate(names)}
    figure = go.Figure()
    for state, colour in STATES.items():
        bars = [(index, lane) for lane in names for index in placed[lane] if view.runs[index].state == state]
        if not bars:
            continue
        runs = [view.runs[index] for index, _ in bars]
        starts = [run.started for run in runs if run.started is not None]
        lengths = [((run.ended or now) - start).total_seconds() for run, start in zip(runs, starts, strict=True)]
        figure.add_trace(
            go.Bar(
                name=state,
                orientation="h",
                base=[start.isoformat(timespec="milliseconds").removesuffix("+00:00") for start in starts],
                x=[max(0, round(1000 * length)) for length in lengths],
                y=[height[lane] for _, lane in bars],
                customdata=[[run.id, _duration(length)] for run, length in zip(runs, lengths, strict=True)],
                hovertemplate="run %{customdata[0]}: %{customdata[1]}",
                marker={"color": colour, "line": {"width": 0}},
                width=0.7,
                meta={"runs": [index for index, _ in bars]},
            )
        )
    figure.update_layout(
        barmode="overlay",
        xaxis={"type": "date", "title": {"text": "UTC"}, "nticks": 5, "tickangle": 0},
        yaxis={
            "tickvals": list(height.values()),
            "ticktext": [_lane(lane) for lane in names],
            "range": [-0.6, len(names) - 0.4],
            "showgrid": False,
            "zeroline": False,
        },
        hovermode="closest",
    )
    left_out = len(placed) - len(names)
    note = f"{left_out:,} more agents are not shown." if left_out else ""
    return finish(figure, min(900, 130 + 26 * len(names)), note)


def lanes(view: ReportData, now: datetime) -> dict[tuple[str, int], list[int]]:
    """Indices of the runs by agent and slot: runs of one agent that overlap are put into slots of their own."""
    by_agent: dict[str, list[int]] = defaultdict(list)
    for index, run in enumerate(view.runs):
        if run.started is not None:
            by_agent[run.agent].append(index)
    placed: dict[tuple[str, int], list[int]] = {}
    for agent, indices in by_agent.items():
        free: list[datetime] = []
        for index in sorted(indices, key=lambda index: (view.runs[index].started or now, index)):
            run = view.runs[index]
            start, end = run.started or now, run.ended or now
            slot = next((slot for slot, until in enumerate(free) if until <= start), len(free))
            free[slot : slot + 1] = [end]
            placed.setdefault((agent, slot), []).append(index)
    return placed


def _lane(lane: tuple[str, int]) -> str:
    agent, slot = lane
    name = label(agent or "unknown agent", 28)
    return f"{name} · {slot + 1}" if slot else name


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
