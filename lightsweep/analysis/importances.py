"""Which parameters mattered for a metric: random-forest importance, and correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightsweep.analysis.axes import Axis, axes, unit_scaled
from lightsweep.analysis.optional import required
from lightsweep.analysis.run_scores import Goal, Scores, scores
from lightsweep.analysis.words import counted
from lightsweep.controller import SweepRun
from lightsweep.schema import SweepConfig
from lightsweep.space import Scale

__all__ = [
    "LEAST_RUNS",
    "REPEATS",
    "Importance",
    "Matrix",
    "ParameterImportance",
    "enough",
    "importance",
    "linear",
    "matrix",
    "model",
    "permuted",
    "rank",
]


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


LEAST_RUNS = 4
"""With fewer runs nothing is computed."""

_ENOUGH_RUNS = 20
_RUNS_PER_PARAMETER = 4
_POOR_FIT = 0.2
_STAGES = (
    "the sweep has stages, and the runs of all of them count: where a stage does not search a parameter, that is the "
    "same in all of its runs"
)


@dataclass(frozen=True)
class ParameterImportance:
    """What one parameter had to do with the metric.

    Attributes:
        name: Its dotted name.
        scale: The axis on which it is looked at: ``linear``, ``log``, ``rank`` (numbers from a list, by their place in
            order) or ``category``.
        importance: By how much the R² of a random forest falls when the parameter's values change places among the
            runs; the mean of ten times. Near 0, and as often below, for one that does not matter. ``None`` where
            nothing was computed.
        spread: The standard deviation of those ten.
        share: Its part of the importance of all parameters, from 0 to 1.
        correlation: Pearson's r with the metric on that axis, from -1 to 1; for a category the multiple correlation
            with indicators of its values, from 0 to 1. ``None`` where it does not exist.
        rank_correlation: The same of the ranks: Spearman's rho.
    """

    name: str
    scale: Scale
    importance: float | None = None
    spread: float | None = None
    share: float | None = None
    correlation: float | None = None
    rank_correlation: float | None = None


@dataclass(frozen=True)
class Importance:
    """What mattered for a metric.

    Attributes:
        metric: Its name.
        goal: ``minimize``, ``maximize``, or ``None`` for a metric that the sweep does not improve.
        runs: How many runs count.
        fit: R² of the forest on runs that it has not seen (out of bag), at most 1; ``None`` where none was made.
        parameters: The searched parameters, the most important first.
        notes: What was left out and how runs count.
        warnings: Why little can be said, where that is so.
    """

    metric: str
    goal: Goal | None
    runs: int
    fit: float | None
    parameters: tuple[ParameterImportance, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> ParameterImportance:
        """The parameter of that name; ``KeyError`` where there is none."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def document(self) -> dict[str, Any]:
        """The same as plain values, for JSON; there is no NaN in it."""
        return asdict(self)


def enough(runs: int, parameters: int) -> bool:
    """Whether so many runs say something about so many parameters: 20, and four for each parameter."""
    return runs >= max(_ENOUGH_RUNS, _RUNS_PER_PARAMETER * parameters)


def importance(
    runs: Sequence[SweepRun], config: SweepConfig, metric: str | None = None, at: int | None = None
) -> Importance:
    """Which of the searched parameters mattered for a metric.

    Finished runs count, and those that were stopped early; see :func:`lightsweep.analysis.scores` for what they count
    with. Parameters are looked at on their natural axis: those with a logarithmic distribution by their logarithm,
    numbers from a list by their place in order, other values as categories. With fewer than four runs, or where all
    have the same value, nothing is computed and a warning says so. The result is always the same for the same runs.

    In a sweep with stages a parameter does not vary in those that do not search it; give the runs of one stage (by
    ``run.stage``) to look at what it searched alone.

    Args:
        runs: The runs of one sweep.
        config: Its config.
        metric: The sweep's own by default; any other that was logged.
        at: Compare the runs after this number of iterations, see :func:`lightsweep.analysis.run_scores`.

    Raises:
        UsageError: No such metric, or ``at`` cannot be; scikit-learn is not installed.
    """
    scored = scores(runs, config, metric, at)
    found = axes([run.values for run in scored.runs], config)
    warnings = _too_little(scored, len(found))
    bare = [ParameterImportance(axis.name, axis.scale) for axis in found]
    if not found or len(scored.runs) < LEAST_RUNS or _constant(scored):
        return Importance(
            scored.metric, scored.goal, len(scored.runs), None, tuple(bare), scored.notes, tuple(warnings)
        )
    data = matrix(found, scored.values)
    drops, fit = permuted(data)
    if fit < _POOR_FIT:
        warnings.append(
            f"the parameters explain little of {scored.metric} (R² {fit:.2f}), so their order may be chance"
        )
    notes = [*scored.notes, *([_STAGES] if not config.is_flat else [])]
    if data.drawn_in:
        notes.append(f"far outside of the others, and counted as nearer: {data.drawn_in} of {len(data.y):,} runs")
    means, spreads = drops.mean(axis=1), drops.std(axis=1)
    total = float(np.clip(means, 0.0, None).sum())
    parameters = [
        ParameterImportance(
            axis.name,
            axis.scale,
            importance=float(mean),
            spread=float(spread),
            share=max(float(mean), 0.0) / total if total > 0 else 0.0,
            correlation=linear(axis, data.y),
            rank_correlation=rank(axis, data.y),
        )
        for axis, mean, spread in zip(found, means, spreads, strict=True)
    ]
    parameters.sort(key=lambda each: -(each.importance or 0.0))
    return Importance(
        scored.metric, scored.goal, len(scored.runs), fit, tuple(parameters), tuple(notes), tuple(warnings)
    )


def _constant(scored: Scores) -> bool:
    return math.isclose(min(scored.values), max(scored.values), rel_tol=1e-12, abs_tol=0.0)


def _too_little(scored: Scores, parameters: int) -> list[str]:
    count = len(scored.runs)
    if not parameters:
        return ["the sweep searches no parameter"]
    if count < LEAST_RUNS:
        return [
            f"{counted(count, 'run')} {'counts' if count == 1 else 'count'}, too few to say anything"
            if count
            else "no run counts, so there is nothing to say"
        ]
    if _constant(scored):
        return [f"{scored.metric} is {scored.values[0]:g} in every run, so nothing made a difference"]
    if not enough(count, parameters):
        plenty = max(_ENOUGH_RUNS, _RUNS_PER_PARAMETER * parameters)
        few = f"{count} runs are few for {counted(parameters, 'parameter')}"
        return [f"{few}: take this as a hint, and look again at {plenty}"]
    return []
