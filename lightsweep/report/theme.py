"""The look of figures: a template for light pages, one for dark pages, and colours for both."""

from __future__ import annotations

import plotly.graph_objects as go

from lightsweep.text import one_line


def label(text: str, width: int = 40) -> str:
    """Shorten and escape a text for plotly, which reads some HTML, placeholders (``%{x}``) and TeX (``$x$``)."""
    line = one_line(text, width)
    for character in "&<>{}$":  # the ampersand first, since the escapes of the others begin with it
        line = line.replace(character, f"&#{ord(character)};")
    return line


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
        "ticklabeloverflow": "allow",  # room is made by automargin; without a visible label the title has no place
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
    """Give a figure the light template, its height in pixels, and a sentence in plain text beside it."""
    figure.update_layout(template=LIGHT, height=height, meta={"note": note} if note else None)
    return figure


def nothing(sentence: str) -> go.Figure:
    """Return a figure that shows only a sentence in plain text, which is also its ``layout.meta["empty"]``."""
    figure = go.Figure()
    figure.add_annotation(text=label(sentence, 200), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    hidden = {"visible": False}
    figure.update_layout(template=LIGHT, height=120, meta={"empty": sentence}, xaxis=hidden, yaxis=hidden)
    return figure
