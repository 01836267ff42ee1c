"""The stages of a sweep, as data for the page and as marks in a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from lightsweep.controller import StageView
from lightsweep.report.text import label, number, shorten, shown
from lightsweep.report.theme import MUTED
from lightsweep.report.view import Digest

__all__ = ["mark_stages", "stage_table"]

_WIDTH = 400


def stage_table(view: Digest) -> dict[str, Any] | None:
    """What was searched in each stage, what came of it, and what was fixed; ``None`` for a sweep without stages."""
    if not view.stages:
        return None
    searched = {parameter.name for parameter in view.config.space.searched}
    return {
        "columns": ["stage", "state", "method", "runs", f"best {view.metric}", "searched", "fixed"],
        "rows": [_row(each, searched) for each in view.stages],
    }


def _row(view: StageView, searched: set[str]) -> list[str]:
    stage, best = view.stage, view.best
    fixed = {name: value for name, value in (view.fixed or {}).items() if name in searched}
    base = f"; from run {view.base}" if view.base is not None else ""
    return [
        shorten(stage.name, 60),
        view.state,
        stage.method,
        f"{view.runs:,} of {view.limit:,}" if view.limit is not None else f"{view.runs:,}",
        f"{number(best.best)} (run {best.id})" if best is not None and best.best is not None else "–",
        _values(best.values, stage.searched) if best is not None else shorten(", ".join(stage.searched), _WIDTH),
        f"{_values(fixed, sorted(fixed))}{base}" if fixed else "–",
    ]


def _values(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return shorten(", ".join(f"{name}={shown(values[name])}" for name in names if name in values), _WIDTH)


def mark_stages(figure: go.Figure, view: Digest) -> None:
    """A line before the first run of each stage, with its name, in a figure whose axis is the runs from 1 on."""
    seen: set[str] = set()
    for index, run in enumerate(view.runs):
        if run.stage is None or run.stage in seen:
            continue
        seen.add(run.stage)
        figure.add_vline(
            index + 0.5,
            line={"color": MUTED, "dash": "dot", "width": 1.5},
            annotation={"text": label(run.stage, 24), "font": {"color": MUTED}, "xanchor": "left"},
            annotation_position="top right",
        )
