"""Rank the parameters by their effect on a metric: random-forest importance, and correlation."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightsweep.analysis.frame import Goal, Scores, never_read, required, scores
from lightsweep.controller import SweepRun
from lightsweep.schema import SweepConfig
from lightsweep.space import Distribution, Scale, identity
from lightsweep.space.base import is_number
from lightsweep.text import counted

REPEATS = 10
"""How often each column is permuted."""

_LEAST_RUNS = 4
_ENOUGH_RUNS = 20
_RUNS_PER_PARAMETER = 4
_POOR_FIT = 0.2
_TREES = 100
_SEED = 0
_MOST_ROWS = 1000
MOST_RUNS = 10_000
"""The forest is fitted to an even choice of so many runs; each costs time in every tree."""
_FENCE = 3.0

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class ParameterImportance:
    """The effect of one parameter on the metric.

    Attributes:
        name: Its dotted name.
        scale: Its axis: ``linear``, ``log``, ``rank`` (numbers of a list, by their place in order) or ``category``.
        importance: The decrease of the R² of a random forest if the parameter's values are permuted among the runs;
            the mean of ten permutations. Near 0, and often below, for a parameter without effect. ``None`` if nothing
            was computed.
        spread: The standard deviation over the ten permutations.
        share: Its part of the importance of all parameters, from 0 to 1.
        correlation: Pearson's r with the metric on that axis, from -1 to 1; for a category the multiple correlation
            with indicators of its values, from 0 to 1. ``None`` if it is not defined.
        rank_correlation: The same of the ranks: Spearman's rho.
        unread: Whether no run read it, so that its numbers are chance: they show how large chance is here.
    """

    name: str
    scale: Scale
    importance: float | None = None
    spread: float | None = None
    share: float | None = None
    correlation: float | None = None
    rank_correlation: float | None = None
    unread: bool = False


@dataclass(frozen=True)
class Importance:
    """The effect of each parameter on a metric.

    Attributes:
        metric: Its name.
        goal: ``minimize``, ``maximize``, or ``None`` for a metric that the sweep does not improve.
        runs: The number of runs that count; of groups, if repeats count as one.
        fit: R² of the forest on runs that it has not seen (out of bag), at most 1; ``None`` without a forest.
        parameters: The searched parameters, the most important first.
        notes: Which runs were left out, and how runs count.
        warnings: Why the result is uncertain, if it is.
        thing: What ``runs`` counts, ``run`` or ``group``.
    """

    metric: str
    goal: Goal | None
    runs: int
    fit: float | None
    parameters: tuple[ParameterImportance, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    thing: str = "run"

    def __getitem__(self, name: str) -> ParameterImportance:
        """Return the parameter of that name; ``KeyError`` if there is none."""
        return {parameter.name: parameter for parameter in self.parameters}[name]

    def document(self) -> dict[str, Any]:
        """Return the same as plain values for JSON, without NaN."""
        return asdict(self)


def importance(
    runs: Sequence[SweepRun], config: SweepConfig, metric: str | None = None, at: int | None = None
) -> Importance:
    """Return the importance of each searched parameter for a metric.

    Finished and pruned runs count; see `scores` for their values. Each parameter has its natural axis: the logarithm
    for logarithmic distributions, the place in order for numbers of a list, categories for other values. With fewer
    than four runs, or if all have the same value, nothing is computed and a warning says so. The same runs give the
    same result.

    In a sweep with stages a parameter does not vary in the stages that do not search it; pass the runs of one stage
    (by ``run.stage``) to look at its own parameters only.

    Args:
        runs: The runs of one sweep.
        config: Its config.
        metric: The sweep's first metric by default; any other that was logged.
        at: Compare the runs after this number of iterations, see `scores`.

    Raises:
        UsageError: The metric is unknown, ``at`` does not apply, or scikit-learn is not installed.
    """
    scored = scores(runs, config, metric, at)
    found = axes([run.values for run in scored.runs], config)
    warnings, notes = _doubts(scored, len(found)), [*scored.notes]
    unread = never_read(runs)
    parameters = [ParameterImportance(axis.name, axis.scale, unread=axis.name in unread) for axis in found]
    fit = None
    if found and len(scored.runs) >= _LEAST_RUNS and not _is_constant(scored):
        data = matrix(found, scored.values)
        drops, fit = permuted(data)
        if fit < _POOR_FIT:
            warnings.append(
                f"the parameters explain little of {scored.metric} (R² {fit:.2f}), so their order may be chance"
            )
        if ignored := sorted(unread & {axis.name for axis in found}):
            whose = "its numbers are" if len(ignored) == 1 else "their numbers are"
            warnings.append(f"no run read {', '.join(map(repr, ignored))}, so {whose} chance")
        if not config.is_flat:
            notes.append("the runs of all stages count, and a stage does not vary the parameters of the others")
        if len(data.y) > MOST_RUNS:
            notes.append(f"the forest has seen an even choice of {MOST_RUNS:,} of {counted(len(data.y), scored.thing)}")
        if data.clipped:
            notes.append(f"outliers, whose values were clipped: {data.clipped} of {counted(len(data.y), scored.thing)}")
        total = float(drops.mean(axis=1).clip(0.0).sum())
        parameters = [
            _parameter(axis, drop, total, data.y, axis.name in unread) for axis, drop in zip(found, drops, strict=True)
        ]
        parameters.sort(key=lambda each: -(each.importance or 0.0))
    return Importance(
        scored.metric,
        scored.goal,
        len(scored.runs),
        fit,
        tuple(parameters),
        tuple(notes),
        tuple(warnings),
        scored.thing,
    )


def _parameter(axis: Axis, drops: Numbers, total: float, target: Numbers, unread: bool) -> ParameterImportance:
    mean = float(drops.mean())
    share = max(mean, 0.0) / total if total > 0 else 0.0
    return ParameterImportance(
        axis.name, axis.scale, mean, float(drops.std()), share, linear(axis, target), rank(axis, target), unread
    )


def _is_constant(scored: Scores) -> bool:
    return math.isclose(min(scored.values), max(scored.values), rel_tol=1e-12, abs_tol=0.0)


def _doubts(scored: Scores, parameters: int) -> list[str]:
    count = len(scored.runs)
    if not parameters:
        return ["the sweep searches no parameter"]
    if count < _LEAST_RUNS:
        return [f"{counted(count, scored.thing)} with a value, fewer than {_LEAST_RUNS}: nothing is computed"]
    if _is_constant(scored):
        return [f"{scored.metric} is {scored.values[0]:g} in every {scored.thing}, so no parameter made a difference"]
    enough = max(_ENOUGH_RUNS, _RUNS_PER_PARAMETER * parameters)
    if count < enough:
        few = f"{count} {scored.thing}s are few for {counted(parameters, 'parameter')}"
        return [f"{few}: take this as a hint, and look again at {enough}"]
    return []


@dataclass(frozen=True)
class Axis:
    """One parameter of several runs, as numbers.

    Attributes:
        name: The parameter's dotted name.
        scale: ``linear``; ``log``: the natural logarithm; ``rank``: the place in the sorted list of its values;
            ``category``: a number for each value, without an order.
        values: Shape (runs,): the place of each run, scaled to [0, 1] except for ``category``; NaN for a run without
            the parameter, which is a category of its own for ``category``.
    """

    name: str
    scale: Scale
    values: Numbers


def axes(values: Sequence[Mapping[str, Any]], config: SweepConfig) -> list[Axis]:
    """Return the searched parameters of runs, in the order of the space, then those that only runs have, by name.

    A parameter that a function defines by run is linear if all of its values are numbers, else a category.

    Args:
        values: The parameters of each run, flat.
        config: The sweep's config.
    """
    declared = {parameter.name: parameter.distribution for parameter in config.space.parameters}
    return [_axis(name, values, declared.get(name)) for name in config.searched(values)]


def _axis(name: str, runs: Sequence[Mapping[str, Any]], distribution: Distribution | None) -> Axis:
    known = [run[name] for run in runs if name in run]
    scale: Scale = "linear" if all(is_number(value) and math.isfinite(value) for value in known) else "category"
    if distribution is not None:
        # Values of runs may be of an earlier version of the sweep file.
        scale, known = distribution.traits.scale, [*(distribution.choices or ()), *known]
    if scale == "rank":
        known = sorted({identity(value): value for value in known}.values())
    codes: dict[Hashable, float] = {}
    for value in known if scale in ("rank", "category") else ():
        codes.setdefault(identity(value), float(len(codes)))
    if scale == "category":
        absent = float(len(codes))
        return Axis(name, scale, np.array([codes[identity(run[name])] if name in run else absent for run in runs]))

    def place(value: Any) -> float:
        if scale == "rank":
            return codes[identity(value)]
        return distribution.place(value) if distribution is not None else float(value)

    return Axis(name, scale, unit_scaled(np.array([place(run[name]) if name in run else math.nan for run in runs])))


def unit_scaled(numbers: Numbers) -> Numbers:
    """Return ``numbers`` scaled to [0, 1]; all 0 if they are equal. NaN stays; nothing overflows."""
    present = numbers[~np.isnan(numbers)]
    greatest = np.abs(present).max(initial=0.0)
    if greatest == 0:
        return numbers
    shrunk = numbers / greatest
    low, high = np.nanmin(shrunk), np.nanmax(shrunk)
    spread: Numbers = (shrunk - low) / ((high - low) or 1.0)
    return spread


def linear(axis: Axis, target: Numbers) -> float | None:
    """Return Pearson's r of an axis and a metric, over the runs that have the parameter.

    For a category, which has no direction, it is the multiple correlation with an indicator for each of its values:
    the correlation ratio (K. Pearson, 1905), from 0 to 1.

    Args:
        axis: The parameter.
        target: Shape (runs,): the metric, finite.

    Returns:
        ``None`` if either is the same in all runs, or there are fewer than three runs.
    """
    present = ~np.isnan(axis.values)
    x, y = axis.values[present], target[present]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    if axis.scale != "category":
        return float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))
    within = sum(float(np.sum((y[x == group] - y[x == group].mean()) ** 2)) for group in np.unique(x))
    return float(np.sqrt(np.clip(1.0 - within / np.sum((y - y.mean()) ** 2), 0.0, 1.0)))


def rank(axis: Axis, target: Numbers) -> float | None:
    """Return the same with ranks in place of numbers, averaged over equal numbers: Spearman's rho."""
    from scipy.stats import rankdata  # takes half a second to load, which a sweep without importance is spared

    present = ~np.isnan(axis.values)
    x, y = axis.values[present], rankdata(target[present])
    return linear(Axis(axis.name, axis.scale, x if axis.scale == "category" else rankdata(x)), y)


@dataclass(frozen=True)
class Matrix:
    """The data that the forest learns from.

    Attributes:
        x: Shape (runs, parameters): one column for each axis; NaN if a run does not have the parameter.
        y: Shape (runs,): the metric, scaled to [0, 1].
        categories: Indices of the columns that hold categories.
        clipped: The number of outliers in the metric.
    """

    x: Numbers
    y: Numbers
    categories: tuple[int, ...]
    clipped: int


def matrix(axes: Sequence[Axis], values: Sequence[float]) -> Matrix:
    """Return the matrix of runs.

    A value further outside of the quartiles than three times their distance (J. Tukey's outer fence, 1977) is clipped
    to the fence, since a forest would otherwise explain nothing but a single run that diverged.

    Args:
        axes: At least one parameter.
        values: The metric of each run, finite; at least one.
    """
    y = unit_scaled(np.asarray(values, dtype=float))
    low, high = np.percentile(y, [25, 75])
    reach = _FENCE * (high - low)
    clipped = int(np.sum((y < low - reach) | (y > high + reach))) if reach > 0 else 0
    y = unit_scaled(np.clip(y, low - reach, high + reach)) if clipped else y
    x = np.column_stack([axis.values for axis in axes])
    return Matrix(x, y, tuple(i for i, axis in enumerate(axes) if axis.scale == "category"), clipped)


def model(categories: Sequence[int], rows: int) -> Any:
    """Return an unfitted scikit-learn pipeline: indicators for the categories, then a forest of 100 trees.

    It is deterministic and uses one processor. Each tree learns from at most 1,000 runs.

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


def permuted(data: Matrix) -> tuple[Numbers, float]:
    """Return how much worse the forest gets if a parameter's values are permuted among the runs.

    L. Breiman, Random Forests (2001), as ``sklearn.inspection.permutation_importance`` computes it.

    Args:
        data: At least four runs.

    Returns:
        Shape (parameters, ``REPEATS``): the decrease of R² for each permutation of the column; around 0 for a
        parameter without effect, and possibly above 1. And R² on runs that a tree has not seen (out of bag): the part
        that the forest explains, at most 1, below 0 if a constant would do better.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    x, y = data.x, data.y
    if len(y) > MOST_RUNS:
        chosen = np.linspace(0, len(y) - 1, MOST_RUNS).round().astype(int)
        x, y = x[chosen], y[chosen]
    rows = len(y)
    fitted = model(data.categories, rows).fit(x, y)
    result = required("sklearn.inspection").permutation_importance(
        fitted,
        x,
        y,
        n_repeats=REPEATS,
        random_state=_SEED,
        n_jobs=1,
        max_samples=1.0 if rows <= _MOST_ROWS else _MOST_ROWS,
    )
    return result.importances, float(fitted.named_steps["forest"].oob_score_)
