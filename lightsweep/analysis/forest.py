"""The random forest behind the importance of parameters.

What is permuted is a column of the matrix, and the matrix has one column for each parameter: a category becomes its
indicator columns only inside the model, so that they are permuted together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightsweep.analysis.axes import Axis, unit_scaled
from lightsweep.analysis.optional import required

__all__ = ["REPEATS", "Matrix", "matrix", "model", "permuted"]

REPEATS = 10
"""How often each column is permuted."""

_TREES = 100
_SEED = 0
_MOST_ROWS = 1000
_FENCE = 3.0


@dataclass(frozen=True)
class Matrix:
    """What the forest learns from.

    Attributes:
        x: Shape (runs, parameters): one column for each axis; NaN where a run has no such parameter.
        y: Shape (runs,): the metric, scaled to [0, 1].
        categories: Indices of the columns that hold categories.
        drawn_in: How many values were so far out that they were drawn in.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    categories: tuple[int, ...]
    drawn_in: int


def matrix(axes: Sequence[Axis], values: Sequence[float]) -> Matrix:
    """The matrix of runs.

    A value that lies further outside of the quartiles than three times their distance (J. Tukey's outer fence, 1977)
    counts as if it lay there: a single run that diverged would otherwise be all that the forest explains.

    Args:
        axes: At least one parameter.
        values: The metric of each run, finite; at least one.
    """
    y = unit_scaled(np.asarray(values, dtype=float))
    low, high = np.percentile(y, [25, 75])
    reach = _FENCE * (high - low)
    drawn_in = 0
    if reach > 0:
        drawn_in = int(np.sum((y < low - reach) | (y > high + reach)))
        y = unit_scaled(np.clip(y, low - reach, high + reach)) if drawn_in else y
    x = np.column_stack([axis.values for axis in axes])
    return Matrix(x, y, tuple(i for i, axis in enumerate(axes) if axis.scale == "category"), drawn_in)


def model(categories: Sequence[int], rows: int) -> Any:
    """A scikit-learn pipeline that has not learned yet: indicators for the categories, then a forest of 100 trees.

    Always the same for the same matrix; it uses one processor. Each tree learns from 1,000 runs at most.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    encoder = required("sklearn.preprocessing").OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = required("sklearn.compose").ColumnTransformer(
        [("categories", encoder, list(categories))], remainder="passthrough"
    )
    forest = required("sklearn.ensemble").RandomForestRegressor(
        n_estimators=_TREES,
        oob_score=True,
        random_state=_SEED,
        n_jobs=1,
        max_samples=None if rows <= _MOST_ROWS else _MOST_ROWS,
    )
    return required("sklearn.pipeline").Pipeline([("columns", columns), ("forest", forest)])


def permuted(data: Matrix) -> tuple[NDArray[np.float64], float]:
    """How much worse the forest does when a parameter's values change places among the runs.

    L. Breiman, Random Forests (2001), as ``sklearn.inspection.permutation_importance`` computes it.

    Args:
        data: At least four runs.

    Returns:
        Shape (parameters, ``REPEATS``): by how much R² falls, for each time that the column was permuted; 0 and about
        for a parameter that does not matter, above 1 possible. And R² on runs that a tree has not seen (out of bag):
        what the forest explains, at most 1, below 0 where a constant would do better.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    rows = len(data.y)
    fitted = model(data.categories, rows).fit(data.x, data.y)
    result = required("sklearn.inspection").permutation_importance(
        fitted,
        data.x,
        data.y,
        n_repeats=REPEATS,
        random_state=_SEED,
        n_jobs=1,
        max_samples=1.0 if rows <= _MOST_ROWS else _MOST_ROWS,
    )
    return result.importances, float(fitted.named_steps["forest"].oob_score_)
