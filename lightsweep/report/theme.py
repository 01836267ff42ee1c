"""How figures look: one template for light pages, one for dark ones, and colours that can be seen on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from lightsweep.text import one_line

__all__ = [
    "ACCENT",
    "DARK",
    "FONT",
    "GOOD_TO_BAD",
    "LIGHT",
    "MUTED",
    "STATES",
    "finish",
    "label",
    "metric_axis",
    "nothing",
    "quantile",
]


def label(text: str, width: int = 40) -> str:
    """``text`` for those places where plotly reads a kind of HTML, placeholders (``%{x}``) and TeX (``$x$``)."""
    line = one_line(text, width)
    for character in "&<>{}$":  # the ampersand first, since what it becomes holds none of the others
        line = line.replace(character, f"&#{ord(character)};")
    return line


_LOG_RATIO = 30.0


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which the share of an ascending sequence lies; the sequence has one item or more."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def metric_axis(values: Sequence[float], sign: int, title: str) -> tuple[dict[str, Any], str]:
    """Settings of a plotly axis, and a sentence where it leaves values out.

    The worst values are left out where they lie further from the middle eight tenths than three times their width; a
    double click shows them. The best are always within.

    Args:
        values: Those to be shown; those that are not finite are passed over.
        sign: 1 where smaller is better, -1 where greater is.
        title: The axis' title, as plotly reads it.
    """
    ordered = sorted(value for value in values if math.isfinite(value))
    axis: dict[str, Any] = {"title": {"text": title}}
    if not ordered:
        return axis, ""
    low, high = ordered[0], ordered[-1]
    log = low > 0 and quantile(ordered, 0.95) / max(quantile(ordered, 0.05), low) > _LOG_RATIO
    if log:
        axis.update(type="log", exponentformat="power", dtick=1 if math.log10(high / low) > 2 else None)
        ordered = [math.log10(value) for value in ordered]
        low, high = ordered[0], ordered[-1]
    lower, upper = quantile(ordered, 0.1), quantile(ordered, 0.9)
    width = upper - lower
    first, last = low, high
    if width > 0 and sign > 0 and high > upper + 3 * width:
        last = upper + width
    elif width > 0 and sign < 0 and low < lower - 3 * width:
        first = lower - width
    left_out = sum(not first <= value <= last for value in ordered)
    if not left_out:
        return axis, ""
    margin = 0.04 * (last - first)
    axis["range"] = [first - margin, last + margin]
    what = (
        "1 far-off value; a double click shows it"
        if left_out == 1
        else f"{left_out:,} far-off values; a double click shows them"
    )
    return axis, f"The scale leaves out {what}."


FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"
ACCENT = "#2f9e58"
MUTED = "#8a929e"
STATES = {
    "finished": "#3f83c9",
    "pruned": "#d9902f",
    "running": "#1fa3b3",
    "waiting": "#8c8f45",
    "failed": "#d64a5e",
    "killed": "#9270ab",
}
GOOD_TO_BAD = [[0.0, "#e8590c"], [0.3, "#c2418f"], [0.65, "#7d6bbd"], [1.0, "#7ba7cf"]]


def _template(paper: str, ink: str, soft: str, grid: str, unselected: str) -> go.layout.Template:
    axis = {
        "gridcolor": grid,
        "linecolor": grid,
        "zerolinecolor": grid,
        "zerolinewidth": 1,
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 12, "color": soft}},
        "tickfont": {"size": 11, "color": soft},
    }
    return go.layout.Template(
        layout={
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "font": {"family": FONT, "size": 12, "color": ink},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"font": {"family": FONT, "size": 12}, "align": "left"},
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1.0,
                "yanchor": "bottom",
                "font": {"size": 11, "color": soft},
                "bgcolor": "rgba(0,0,0,0)",
            },
            "margin": {"l": 16, "r": 16, "t": 36, "b": 16},
            "annotationdefaults": {"font": {"size": 11, "color": soft}, "showarrow": False},
        },
        data={
            "parcoords": [
                {
                    "labelfont": {"size": 12, "color": ink},
                    "tickfont": {"size": 11, "color": ink},
                    "rangefont": {"size": 11, "color": "rgba(0,0,0,0)"},  # the ends, beside the ticks
                    "unselected": {"line": {"color": unselected, "opacity": 0.15}},
                }
            ]
        },
    )


LIGHT = _template("#ffffff", "#1c2128", "#57606a", "#e7eaee", "#9aa3ad")
DARK = _template("#1d2026", "#e6e8eb", "#a3abb6", "#33383f", "#6b7480")


def finish(figure: go.Figure, height: int, note: str = "") -> go.Figure:
    """Give a figure the light template, its height in pixels, and a sentence in plain text to be read beside it."""
    figure.update_layout(template=LIGHT, height=height, meta={"note": note} if note else None)
    return figure


def nothing(sentence: str) -> go.Figure:
    """A figure that says why there is nothing to see, in plain text; ``layout.meta["empty"]`` has the sentence too."""
    figure = go.Figure()
    figure.add_annotation(text=label(sentence, 200), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    figure.update_layout(template=LIGHT, height=120, meta={"empty": sentence})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure
