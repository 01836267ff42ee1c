"""How closely a parameter and a metric go together along a straight line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lightsweep.analysis.axes import Axis

__all__ = ["linear", "rank"]


def linear(axis: Axis, target: NDArray[np.float64]) -> float | None:
    """Pearson's r of an axis and a metric, over the runs that have the parameter.

    For a category, which has no direction, the multiple correlation with an indicator for each of its values: the
    correlation ratio (K. Pearson, 1905), from 0 to 1.

    Args:
        axis: The parameter.
        target: Shape (runs,): the metric, finite.

    Returns:
        ``None`` where either is the same in all runs, or there are fewer than three runs.
    """
    present = ~np.isnan(axis.values)
    x, y = axis.values[present], target[present]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    if axis.scale == "category":
        return _ratio(x, y)
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))


def rank(axis: Axis, target: NDArray[np.float64]) -> float | None:
    """The same with ranks in place of numbers, those of equal numbers averaged: Spearman's rho."""
    from scipy.stats import rankdata  # takes half a second, which who only loads a sweep need not wait

    present = ~np.isnan(axis.values)
    x, y = axis.values[present], rankdata(target[present])
    return linear(Axis(axis.name, axis.scale, x if axis.scale == "category" else rankdata(x)), y)


def _ratio(groups: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    within = sum(float(np.sum((y[groups == group] - y[groups == group].mean()) ** 2)) for group in np.unique(groups))
    return float(np.sqrt(np.clip(1.0 - within / np.sum((y - y.mean()) ** 2), 0.0, 1.0)))
