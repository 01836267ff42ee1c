"""All figures of a report, in their order, each under a name and a heading."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import plotly.graph_objects as go

from lightsweep.report.curves import curves_figure
from lightsweep.report.data import ReportData
from lightsweep.report.history import history_figure
from lightsweep.report.importance import importance_figure, weigh
from lightsweep.report.parallel import parallel_figure
from lightsweep.report.slices import slice_figures
from lightsweep.report.timeline import timeline_figure

__all__ = ["Named", "figures"]


@dataclass(frozen=True)
class Named:
    """A figure with its name, which is part of file names too, and its heading; slices share one heading."""

    name: str
    heading: str
    figure: go.Figure


def figures(view: ReportData, now: datetime) -> list[Named]:
    """Every figure; those without anything to show say why."""
    return [
        Named("parallel", "Parallel coordinates", parallel_figure(view)),
        Named("importance", "What mattered", importance_figure(weigh(view))),
        Named("history", "History", history_figure(view)),
        Named("curves", "Learning curves", curves_figure(view)),
        *(Named(f"slice-{number:02}", "Slices", figure) for number, figure in enumerate(slice_figures(view), start=1)),
        Named("timeline", "Agents", timeline_figure(view, now)),
    ]
