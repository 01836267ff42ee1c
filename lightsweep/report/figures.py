"""The registry of the report's figures, and their files for papers.

A new figure is a function from `ReportData` to a plotly figure, in one file, and one line in `FIGURES`. The
page and the image files follow from the registry.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import plotly.graph_objects as go

from lightsweep.analysis import required
from lightsweep.errors import InputError, LightsweepError
from lightsweep.report.curves import curves_figure, timeline_figure
from lightsweep.report.data import ReportData
from lightsweep.report.importance import importance_figure
from lightsweep.report.parallel import parallel_figure
from lightsweep.report.points import front_figures, history_figure, hypervolume_figure, slice_figures

_WIDTH = 900
_SMALL_WIDTH = 420
_SCALE = 2.0  # pixels of a PNG for each pixel of the layout


@dataclass(frozen=True)
class FigureKind:
    """An entry of the registry.

    Attributes:
        heading: The heading on the page, in plain text.
        draw: Draws the figure, or one that says why there is nothing to show (`theme.nothing`). A list of figures
            becomes a grid of small ones below one heading.
        help: How to read it, in plain text.
    """

    heading: str
    draw: Callable[[ReportData], go.Figure | list[go.Figure]]
    help: str = ""


FIGURES = {
    "parallel": FigureKind(
        "Parallel coordinates",
        parallel_figure,
        "Each line is a run, in the colour of its value on the last axis. The axes begin with the most important "
        "parameter.",
    ),
    "importance": FigureKind(
        "What mattered",
        importance_figure,
        "Importance: how much R² falls if the values of the parameter are shuffled among the runs; the thin line is "
        "the spread of ten shuffles. It says how much a parameter mattered, not in which direction. R² on unseen runs "
        "says how far to trust it: 1 is perfect, 0 a mere guess. Correlation with the metric, from -1 to 1: linear "
        "(Pearson) and of ranks (Spearman); above 0 the metric grows with the parameter. Categories have no sign.",
    ),
    "front": FigureKind(
        "Pareto front",
        front_figures,
        "Each point is a run that has ended, at the last value of each metric. No run beats one of the front in all "
        "metrics.",
    ),
    "hypervolume": FigureKind(
        "Hypervolume",
        hypervolume_figure,
        "How much of the space between the worst and the best value of each metric the front covers, as runs were "
        "added. A flat line means that new runs no longer improve the front.",
    ),
    "history": FigureKind(
        "History",
        history_figure,
        "Each point is a run with its best value, in the order of their start. The line is the best value so far.",
    ),
    "curves": FigureKind(
        "Learning curves",
        curves_figure,
        "A cross marks where a run was stopped early. Runs are compared at the bands; if the rule has a threshold "
        "there, it is drawn with a dotted line, and a run beyond it is stopped.",
    ),
    "slice": FigureKind(
        "Slices",
        slice_figures,
        "Each point is a run: its value of one parameter, and its best value of the metric. Points of equal values are "
        "spread sideways, so that they do not hide each other.",
    ),
    "timeline": FigureKind(
        "Agents",
        timeline_figure,
        "Each bar is a run from its start to its end. An agent that has several runs at a time has several rows.",
    ),
}
"""All kinds of figures by name, in the order of the page."""


@dataclass(frozen=True)
class NamedFigure:
    """A figure of the report.

    Attributes:
        name: Its key in `FIGURES`, with a number if it is one of several; also the name of its file.
        heading: The heading on the page.
        figure: The plotly figure.
        small: Whether it is one of a grid.
        help: How to read it.
    """

    name: str
    heading: str
    figure: go.Figure
    small: bool = False
    help: str = ""


def figures(data: ReportData) -> list[NamedFigure]:
    """Draw every figure; those that have nothing to show say why."""
    drawn: list[NamedFigure] = []
    for name, kind in FIGURES.items():
        made = kind.draw(data)
        if isinstance(made, go.Figure):
            drawn.append(NamedFigure(name, kind.heading, made, help=kind.help))
        else:
            several = enumerate(made, 1)
            drawn += [NamedFigure(f"{name}-{place:02}", kind.heading, one, True, kind.help) for place, one in several]
    return drawn


def write_images(named: Sequence[NamedFigure], directory: Path, format_: Literal["png", "svg"]) -> list[Path]:
    """Write each figure that has something to show as ``<name>.<format>``, by a Chromium or Chrome on this machine.

    Args:
        named: The figures.
        directory: Created if it is missing; files of the same names are replaced.
        format_: ``png``, with two pixels for each pixel of the layout, or ``svg``.

    Returns:
        The paths of the files.

    Raises:
        InputError: kaleido, or a browser for it, is not installed.
        LightsweepError: The browser did not draw a figure.
    """
    kaleido = required("kaleido", "images")
    from kaleido.errors import ChromeNotFoundError

    wanted = [one for one in named if not (one.figure.layout.meta or {}).get("empty")]
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{one.name}.{format_}" for one in wanted]
    with tempfile.TemporaryDirectory(dir=directory, prefix=".images-") as made:
        drafts = [Path(made) / path.name for path in paths]
        shared = {"format": format_, "scale": _SCALE if format_ == "png" else 1.0}
        work = []
        for one, draft in zip(wanted, drafts, strict=True):
            size = {"width": _SMALL_WIDTH if one.small else _WIDTH, "height": one.figure.layout.height}
            work.append({"fig": one.figure, "path": draft, "opts": {**shared, **size}})
        try:
            # Without MathJax, which would be fetched from the network.
            kaleido.write_fig_from_object_sync(work, kopts={"page_generator": kaleido.PageGenerator(mathjax=False)})
        except ChromeNotFoundError:
            raise InputError(
                "images are drawn by Chromium or Chrome, and neither is installed; the page needs none: "
                "leave out --format and open it in any browser"
            ) from None
        missing = [draft.name for draft in drafts if not draft.exists()]
        if missing:
            raise LightsweepError(f"the browser did not draw {', '.join(missing)}")
        for draft, path in zip(drafts, paths, strict=True):
            draft.replace(path)
    return paths
