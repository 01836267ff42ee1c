"""A normal distribution around the values of the best runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from lightsweep.analysis.words import shown
from lightsweep.space import LogNormal, Normal

__all__ = ["refined_normal"]

_NARROWEST = 0.2
_SPREAD = 1.5


def refined_normal(old: Normal | LogNormal, top: Sequence[Any]) -> tuple[float, float, str]:
    """mu, sigma, and what was done in words.

    The centre moves to the mean of the best runs, and sigma becomes one and a half times their standard deviation,
    at least a fifth of the old one and not above it. For a log-normal distribution both are those of the logarithm.

    Args:
        old: The distribution so far.
        top: The values of the best runs, at least one; of a rounded log-normal some may be 0, and are left out.
    """
    is_log = isinstance(old, LogNormal)
    places = [math.log(value) for value in top if value > 0] if is_log else [float(value) for value in top]
    if not places:
        return old.mu, old.sigma, "as it was: the best runs have the value 0"
    mu = statistics.fmean(places)
    sigma = min(max(_SPREAD * statistics.pstdev(places), _NARROWEST * old.sigma), old.sigma)
    comment = (
        f"around the best runs, which lie between {shown(min(top))} and {shown(max(top))};"
        f" mu was {shown(old.mu)}, sigma {shown(old.sigma)}"
    )
    return float(f"{mu:.4g}"), float(f"{sigma:.3g}"), comment
