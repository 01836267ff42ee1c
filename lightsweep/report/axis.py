"""The axes of figures, of a parameter and of the metric, and their look on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import plotly.graph_objects as go

from lightsweep.space import Distribution, identity
from lightsweep.space.base import is_number
from lightsweep.text import counted, number, one_line, value_text

MOST = 1e300
"""No number on an axis is greater in size, so that a few times the width of an axis is finite too."""

_TICK_WIDTH = 18
_MOST_TICKS = 12
_MOST_CHOICES = 50
_FEW = 10
_LEAST_WIDTH = 1e-300
# Without a distribution, a range is shown in log scale if its ends differ by this factor.
_WIDE = 1000.0
_LOG_RATIO = 30.0


@dataclass(frozen=True)
class Axis:
    """One parameter's axis.

    Attributes:
        name: The parameter's dotted name.
        kind: ``linear``; ``log``, whose positions are decimal logarithms; ``ordinal``, one position for each value.
        low, high: The ends, as positions; ``low < high``.
        ticks: Position and plain text of each tick, ascending.
    """

    name: str
    kind: Literal["linear", "log", "ordinal"]
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    _places: Mapping[Hashable, int] = field(default_factory=dict, repr=False)

    def position(self, value: Any) -> float | None:
        """Return the position of a value; ``None`` for one that is not on this axis, such as text among numbers."""
        if self.kind == "ordinal":
            place = self._places.get(identity(value))
            return None if place is None else float(place)
        found = _real(value)
        if found is None or self.kind == "linear":
            return found
        return math.log10(found) if found > 0 else None

    def position_in(self, values: Mapping[str, Any]) -> float | None:
        """Return the position of a run; ``None`` if its values lack this parameter."""
        return self.position(values[self.name]) if self.name in values else None


def make_axis(name: str, values: Sequence[Any], distribution: Distribution | None = None) -> Axis:
    """Return the axis of a parameter.

    Args:
        name: Its dotted name.
        values: The values of the runs, of any type; may be empty.
        distribution: The one of the sweep file; ``None`` for a parameter defined by run, whose scale is guessed.
    """
    real = [found for found in map(_real, values) if found is not None]
    scale = distribution.traits.scale if distribution is not None else None
    continuous = len(set(real)) > _FEW if scale is None else scale in ("linear", "log")
    if len(real) < len(values) or not continuous:
        return _ordinal(name, values, distribution)
    return number_axis(name, real, None if scale is None else scale == "log")


def number_axis(name: str, values: Sequence[float], log: bool | None = None) -> Axis:
    """Return an axis of numbers, also of few different ones.

    Args:
        name: The name of what it shows.
        values: Finite, at most ``MOST`` in size; may be empty.
        log: Whether it has a log scale if all values are above 0; by default if their ends differ by a factor of 1,000.
    """
    if not values:
        return Axis(name, "linear", 0.0, 1.0, ((0.0, "0"), (1.0, "1")))
    low, high = min(values), max(values)
    if low > 0 and (high / low >= _WIDE if log is None else log):
        low, high = apart(math.log10(low), math.log10(high))
        return Axis(name, "log", low, high, _log_ticks(low, high))
    low, high = apart(low, high)
    return Axis(name, "linear", low, high, _linear_ticks(low, high))


def _ordinal(name: str, values: Iterable[Any], distribution: Distribution | None) -> Axis:
    declared: list[Any] = []
    if distribution is not None and distribution.size is not None and distribution.size <= _MOST_CHOICES:
        declared = [distribution.value_at(index) for index in range(distribution.size)]
    choices: dict[Hashable, Any] = {}
    for value in [*declared, *values]:
        choices.setdefault(identity(value), value)
    if not declared or (distribution is not None and distribution.ordered):
        choices = dict(sorted(choices.items(), key=lambda item: _order(item[1])))
    places = {key: place for place, key in enumerate(choices)}
    texts = [one_line(value_text(value), _TICK_WIDTH) for value in choices.values()]
    step = max(1, math.ceil(len(texts) / _MOST_TICKS))
    ticks = tuple((float(place), texts[place]) for place in range(0, len(texts), step))
    low, high = apart(0.0, float(max(0, len(texts) - 1)))
    return Axis(name, "ordinal", low, high, ticks, places)


def _real(value: Any) -> float | None:
    """A finite number as a float, clamped to ``MOST``; else ``None``."""
    if not is_number(value) or value in (math.inf, -math.inf):
        return None
    return float(clamped(value))


def clamped(value: float) -> float:
    """Return the value, drawn in to ``MOST`` in size."""
    return max(-MOST, min(MOST, value))


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then the rest by its text."""
    found = _real(value)
    return (found is None, found or 0.0, "" if found is not None else one_line(value_text(value), 200))


def apart(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an axis from ``low`` to ``high``, wider if those are too near to each other."""
    if high - low > _LEAST_WIDTH:
        return low, high
    margin = max(0.5, abs(low) * 0.05)
    return low - margin, high + margin


def _linear_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    step = _round_step((high - low) / 5)
    digits = max(5, math.floor(math.log10(max(abs(low), abs(high)) / step)) + 1)
    ticks = [place * step for place in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return tuple((tick, f"{tick:.{digits}g}") for tick in ticks)


def _round_step(rough: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)


def _log_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    decades = log_places(low, high, [1])
    step = max(1, math.ceil(len(decades) / 8))
    ticks = [decade for decade in decades if decade % step == 0]
    if len(ticks) < 3:
        ticks = log_places(low, high, [1, 2, 5])
    return tuple((tick, number(10.0**tick)) for tick in (ticks if len(ticks) >= 2 else [low, high]))


def log_places(low: float, high: float, factors: Sequence[float]) -> list[float]:
    """Return the positions of the factors from 1 up to 10 of every power of ten on a ``log`` axis, ascending."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    places = [decade + math.log10(factor) for decade in decades for factor in factors]
    return [place for place in places if low <= place <= high]


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share of an ascending sequence lies; the sequence has one item or more."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def metric_axis(values: Sequence[float], sign: int, title: str) -> tuple[dict[str, Any], str]:
    """Return the settings of a plotly axis, and a sentence if it leaves values out.

    The worst values are left out if they are further from the middle eight tenths than three times the width of those;
    a double click shows them. The best values are always within.

    Args:
        values: The values to show; those that are not finite are ignored.
        sign: 1 if smaller is better, -1 if greater is.
        title: The title of the axis, as plotly reads it.
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
    shows = "a double click shows it" if left_out == 1 else "a double click shows them"
    return axis, f"The scale leaves out {counted(left_out, 'far-off value')}; {shows}."


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
