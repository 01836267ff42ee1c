"""The axis of a metric: in log scale where that shows more, and not stretched by a few runs that went astray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["metric_axis", "quantile"]

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
