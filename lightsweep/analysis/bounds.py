"""Bounds around the values of the best runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from lightsweep.analysis.words import shown

__all__ = ["Bounds", "refined_bounds", "refined_normal"]

_NARROWEST = 0.2
_SPREAD = 1.5


def refined_normal(mu: float, sigma: float, log: bool, top: Sequence[Any]) -> tuple[float, float, str]:
    """mu, sigma, and what was done in words.

    The centre moves to the mean of the best runs, and sigma becomes one and a half times their standard deviation,
    at least a fifth of the old one and not above it. For a log-normal distribution both are those of the logarithm.

    Args:
        mu, sigma: Those of the distribution so far.
        log: Whether they are those of the logarithm.
        top: The values of the best runs, at least one; of a rounded log-normal some may be 0, and are left out.
    """
    places = [math.log(value) for value in top if value > 0] if log else [float(value) for value in top]
    if not places:
        return mu, sigma, "as it was: the best runs have the value 0"
    comment = (
        f"around the best runs, which lie between {shown(min(top))} and {shown(max(top))};"
        f" mu was {shown(mu)}, sigma {shown(sigma)}"
    )
    mu = statistics.fmean(places)
    sigma = min(max(_SPREAD * statistics.pstdev(places), _NARROWEST * sigma), sigma)
    return float(f"{mu:.4g}"), float(f"{sigma:.3g}"), comment


_MARGIN = 0.15  # of the width of the best runs, on each side
_LEAST_MARGIN = 0.05  # of the old range
_EDGE = 0.05  # of the old range: what is nearer to a bound lies at it
_WIDER = 0.25  # of the old range: by how much a bound moves outwards
_TRIMMED = 10  # from this number of best runs on, the outermost tenth on each side is left out
_FEW_VALUES = 10


@dataclass(frozen=True)
class Bounds:
    """The range of a parameter.

    Attributes:
        low, high: The bounds, both included; above 0 on a logarithmic axis.
        log: Whether the axis is logarithmic.
        step: The values are its multiples; ``None`` for any number.
        closed: Whether there is nothing beyond the bounds.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    closed: bool = False

    def axis(self, value: float) -> float:
        """Where a value stands on the axis."""
        # A rounded value of a logarithmic distribution may be 0.
        return math.log(max(value, self.low)) if self.log else value

    def value(self, place: float) -> float:
        """The inverse of ``axis``."""
        return math.exp(min(place, 700.0)) if self.log else place


def refined_bounds(old: Bounds, best: float, top: Sequence[float]) -> tuple[tuple[float, float], str]:
    """New bounds, and what was done in words.

    They hold the best runs and a margin of 15 % of their width, or 5 % of the old range where that is more; of ten
    runs or more the outermost tenth on each side is left out, never the best one. Where the best run lies within 5 %
    of the old range of a bound, that bound moves outwards by a quarter of the range: never below 0 or to it where all
    values were above, never below 0 where it was 0, and where all values were within 0 and 1 never to 1. Bounds are
    rounded outwards to three digits of the width, or to multiples of the step.

    Args:
        old: The bounds so far.
        best: The value of the best run.
        top: Those of the best runs, at least one.
    """
    start, end = old.axis(old.low), old.axis(old.high)
    width = end - start
    places = [old.axis(value) for value in top]
    at = old.axis(best)
    lowest, highest = (min(places), max(places)) if len(top) < _TRIMMED else np.quantile(places, [0.1, 0.9])
    lowest, highest = min(float(lowest), at), max(float(highest), at)
    margin = max(_MARGIN * (highest - lowest), _LEAST_MARGIN * width)
    low, high = old.value(max(lowest - margin, start)), old.value(min(highest + margin, end))
    low, high = _rounded(old, low, high)
    low, high = max(low, old.low), min(high, old.high)
    said = []
    if _at_edge(old, old.low, best, top):
        wider = _lower(old, old.value(start - _WIDER * width))
        said.append(_edge_said("lower", old.low, low := wider))
    if _at_edge(old, old.high, best, top):
        wider = _higher(old, old.value(end + _WIDER * width))
        said.append(_edge_said("upper", old.high, high := wider))
    new = _typed(old, low, high)
    if (new[0], new[1]) == (old.low, old.high):
        said.append("as it was: the best runs are spread over the whole range" if not said else "")
    elif not said or new[0] > old.low or new[1] < old.high:
        mostly = "" if len(top) < _TRIMMED else "mostly "
        inside = f"{shown(_decent(old, lowest))} and {shown(_decent(old, highest))}"
        said.append(f"the best runs lie {mostly}between {inside}")
    return new, "; ".join([*[part for part in said if part], f"was {shown(old.low)} to {shown(old.high)}"])


def _decent(old: Bounds, place: float) -> float:
    """The value at a place, with as many digits as a comment needs."""
    return float(f"{old.value(place):.3g}")


def _edge_said(which: str, old: float, new: float) -> str:
    where = f"the best run is at the {which} edge, {shown(old)}"
    return f"{where}, so it moved to {shown(new)}" if new != old else f"{where}, beyond which there is nothing to try"


def _at_edge(old: Bounds, edge: float, best: float, top: Sequence[float]) -> bool:
    if old.step is not None and (old.high - old.low) / old.step < _FEW_VALUES:
        # Among few values the best one is at an edge often: most of the good ones must be there too.
        near = [value for value in top if abs(value - edge) < old.step / 2 or value == edge]
        return abs(best - edge) < old.step and 2 * len(near) >= len(top)
    return abs(old.axis(best) - old.axis(edge)) <= _EDGE * (old.axis(old.high) - old.axis(old.low))


def _lower(old: Bounds, wanted: float) -> float:
    if old.closed:
        return old.low
    if old.log:
        return _down(wanted, _quantum(old, wanted)) or old.low
    if old.low >= 0:
        if old.step is not None:
            return max(wanted, old.step if old.low > 0 else 0.0)
        wanted = max(wanted, old.low / 2)
    if old.step is not None:
        return wanted
    found = _down(wanted, _quantum(old, wanted))
    return found if found > 0 or old.low <= 0 else _down(wanted, _digits(wanted))


def _higher(old: Bounds, wanted: float) -> float:
    if old.closed:
        return old.high
    if old.low >= 0 and old.high <= 1 and not (old.step is not None and old.step >= 1):
        wanted = min(wanted, (old.high + 1) / 2)
    if not math.isfinite(wanted):
        return old.high
    if old.step is not None:
        return max(wanted, old.high + old.step) if old.step >= 1 else wanted
    return _up(wanted, _quantum(old, wanted))


def _rounded(old: Bounds, low: float, high: float) -> tuple[float, float]:
    if old.step is not None:
        return low, high
    return _down(low, _quantum(old, low)), _up(high, _quantum(old, high))


def _quantum(old: Bounds, value: float) -> Decimal:
    """The unit of the third digit: of the value on a logarithmic axis, of the range on a linear one."""
    return _digits(value if old.log else old.high - old.low)


def _digits(size: float) -> Decimal:
    size = abs(size)
    return Decimal(1).scaleb(math.floor(math.log10(size)) - 2) if 0 < size < math.inf else Decimal(1)


def _down(value: float, quantum: Decimal) -> float:
    return float((_decimal(value) / quantum).to_integral_value(ROUND_FLOOR) * quantum)


def _up(value: float, quantum: Decimal) -> float:
    return float((_decimal(value) / quantum).to_integral_value(ROUND_CEILING) * quantum)


def _decimal(value: float) -> Decimal:
    """Without the last digits, which rounding has left there: 100000.00000000001 is 100000."""
    return Decimal(f"{value:.13g}")


def _typed(old: Bounds, low: float, high: float) -> tuple[float, float]:
    """The bounds as multiples of the step, apart by one at least; whole numbers where the step is one."""
    if old.step is None:
        return (low, high) if low < high else (old.low, old.high)
    step = Fraction(repr(old.step))
    first, last = math.floor(Fraction(repr(low)) / step), math.ceil(Fraction(repr(high)) / step)
    if old.low > 0:
        first = max(first, 1)
    last = max(last, first + 1)
    return (int(first * step), int(last * step)) if step.denominator == 1 else (float(first * step), float(last * step))
