"""Show a sweep to an Optuna sampler: each run as a trial in the unit cube, in memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.base import Observation, RunState
from lightsweep.sampler.fixed_order import BLOCK, Lattice
from lightsweep.schema import Metric
from lightsweep.space import Distribution, Parameter, Space, Value
from lightsweep.stopping import StoppedEnd

Objectives = tuple[float, ...]
Shown = tuple[dict[str, Any], dict[str, BaseDistribution]]

# In spaces up to this size the nearest point is found exactly; in larger ones by a random search around the point.
LISTED = 2**14
SCALES = (0.02, 0.1, 0.5)
# Larger values would overflow when a sampler squares them; they are clipped, and the order below is kept.
LARGEST = 1e100
# With more values than this the steps are too narrow to matter.
_MOST_RANKS = 256
# From this many runs a Gaussian process takes about half a second on two cores; the time grows with the third power.
GP_RUNS = 300
# Values this many times as far from the best as the median are clipped.
REACH = 3.0
_END = "end"
# Samplers do not read the times of a trial.
MOMENT = datetime(2000, 1, 1, tzinfo=timezone.utc)


class SnapshotStorage(optuna.storages.InMemoryStorage):
    """An in-memory storage that also has the given trials, numbered from 1, without copies of them.

    The trial that a study asks for is created by the base class and has the number 0.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        super().__init__()
        self._shown = trials

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        shown = [trial for trial in self._shown if states is None or trial.state in states]
        if deepcopy:
            shown = copy.deepcopy(shown)
        return shown + super().get_all_trials(study_id, deepcopy=deepcopy, states=states)


class RunTrials:
    """The trials of the runs, kept from one suggestion to the next; a trial is made again if its run has changed.

    Args:
        metrics: The metrics by which runs are compared.
        show: Returns the parameters of a trial and their distributions for the values of a run; ``None`` if it has no
            trial.
    """

    def __init__(self, metrics: Sequence[Metric], show: Callable[[Mapping[str, Value]], Shown | None]) -> None:
        self._metrics = metrics
        self._show = show
        self._shown: dict[str, tuple[Mapping[str, Value], Shown | None]] = {}
        self._trials: dict[str, tuple[tuple[Any, ...], FrozenTrial]] = {}

    def trials(self, history: Sequence[Observation]) -> list[FrozenTrial]:
        """Return COMPLETE trials for runs that count and RUNNING ones for pending runs, in the order of ``history``."""
        trials: list[FrozenTrial] = []
        beyond = _known_excess(history)
        for observation, objectives in zip(history, counted_objectives(history, self._metrics), strict=True):
            if objectives is None and not is_pending(observation, self._metrics):
                continue
            values, shown = self._shown.get(observation.key, (None, None))
            if values != observation.values:  # a run that just begins may move to another point
                shown = self._show(observation.values)
                self._shown[observation.key] = (observation.values, shown)
            if shown is None:
                continue
            number = len(trials) + 1
            excess = None if objectives is None else beyond.get(observation.key)
            end = None if objectives is None else observation.end
            stamp = (number, observation.version, objectives, excess, end)
            kept = self._trials.get(observation.key)
            if kept is None or kept[0] != stamp:
                trial = frozen_trial(number, *shown, objectives, excess or (), end)
                kept = self._trials[observation.key] = (stamp, trial)
            trials.append(kept[1])
        return trials


def frozen_trial(
    number: int,
    params: dict[str, Any],
    distributions: dict[str, BaseDistribution],
    objectives: Sequence[float] | None,
    excess: Sequence[float] = (),
    end: StoppedEnd | None = None,
) -> FrozenTrial:
    """Return a COMPLETE trial with ``objectives`` and the ``excess`` of each constraint, or a RUNNING one without.

    ``end`` of a run that was stopped early is an attribute, see :func:`stopped_end`.
    """
    trial = FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING if objectives is None else TrialState.COMPLETE,
        value=None,
        values=objectives,
        datetime_start=MOMENT,
        datetime_complete=None if objectives is None else MOMENT,
        params=params,
        distributions=distributions,
        user_attrs={} if end is None else {_END: end},
        system_attrs={},
        intermediate_values={},
    )
    for place, each in enumerate(excess):
        trial.set_constraint(str(place), each)
    return trial


def stopped_end(trial: FrozenTrial) -> StoppedEnd | None:
    """Return how the run of a trial would have ended; ``None`` if it was not stopped early, or that is not known."""
    return trial.user_attrs.get(_END)


def _known_excess(history: Sequence[Observation]) -> dict[str, tuple[float, ...]]:
    """Return how far each run is beyond each constraint, by the key of the run; empty without constraints.

    If that is not known, as of a run that was stopped early, it is the median of the others. A run that finished
    without the number counts as the worst one, and at least as 1.
    """
    columns = list(zip(*(each.excess for each in history if each.excess), strict=True))
    finite = [[value for value in column if value is not None and math.isfinite(value)] for column in columns]
    worst = [max(1.0, *values) if values else 1.0 for values in finite]
    middle = [float(np.median(values)) if values else 0.0 for values in finite]
    return {
        each.key: tuple(
            middle[place] if value is None else value if math.isfinite(value) else math.copysign(worst[place], value)
            for place, value in enumerate(each.excess)
        )
        for each in history
        if each.excess
    }


def gp_trials(trials: Sequence[FrozenTrial], goals: Sequence[str]) -> list[FrozenTrial]:
    """Subsample and clip trials for a Gaussian process, so that it stays fast and robust to outliers.

    At most ``GP_RUNS`` completed trials are kept: the better half of that number, and as many of the others, evenly
    over their order. A Gaussian process standardizes the values, so a single diverged run (a loss of 1e9) would make
    all others look the same: values further from the best than 3 times the distance of the median, on the bad side,
    are set to that distance. A run that was stopped early has the value that is expected of its end.

    Args:
        trials: COMPLETE trials with finite values, and RUNNING ones, which are all kept.
        goals: ``minimize`` or ``maximize`` for each objective.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not completed:
        return list(trials)
    signs = np.array([-1.0 if goal == "maximize" else 1.0 for goal in goals])
    ends = [stopped_end(trial) for trial in completed]
    values_of = ((one.values if end is None else [end.value]) for one, end in zip(completed, ends, strict=True))
    losses = np.clip(np.array(list(values_of)), -LARGEST, LARGEST) * signs
    best = losses.min(axis=0)
    reach = REACH * (np.median(losses, axis=0) - best)
    clipped = np.minimum(losses, np.where(reach > 0, best + reach, np.inf)) * signs
    shown = [trial for trial in trials if trial.state != TrialState.COMPLETE]
    for place in _subsample(losses):
        trial, values = completed[place], clipped[place].tolist()
        same = values == trial.values
        excess = list(trial.constraints.values())
        made = (trial.number, trial.params, trial.distributions, values, excess, ends[place])
        shown.append(trial if same else frozen_trial(*made))
    return sorted(shown, key=lambda trial: trial.number)


def _subsample(losses: npt.NDArray[np.float64]) -> list[int]:
    if len(losses) <= GP_RUNS:
        return list(range(len(losses)))
    ranks = losses.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable").sum(axis=1)
    order = np.argsort(ranks, kind="stable")
    better, others = order[: GP_RUNS // 2], np.sort(order[GP_RUNS // 2 :])
    spread = np.linspace(0, len(others) - 1, GP_RUNS - len(better)).round().astype(np.int64)
    return [*better.tolist(), *others[spread].tolist()]


class Axes:
    """The parameters of a trial: one for each searched parameter of the space.

    Each is a number in [0, 1], the rank among few ordered values of equal probability, or the index of a category.

    Args:
        space: The space of the sweep.
        unordered: Show unordered parameters as categories. ``False``, for samplers that take numbers only, shows them
            as numbers in [0, 1].
    """

    def __init__(self, space: Space, *, unordered: bool = True) -> None:
        self._space = space
        self.distributions: dict[str, BaseDistribution] = {}
        for parameter in space.searched:
            size = parameter.distribution.size
            if unordered and size is not None and not parameter.distribution.ordered:
                self.distributions[parameter.name] = CategoricalDistribution(range(size))
            elif size is not None and _is_even(parameter.distribution, size):
                self.distributions[parameter.name] = IntDistribution(0, size - 1)
            else:
                self.distributions[parameter.name] = FloatDistribution(0.0, 1.0)

    def show(self, values: Mapping[str, Value]) -> Shown | None:
        """Return the trial's parameters and distributions for a point; ``None`` if the point is not in the space.

        A parameter that does not exist in the point has the middle of its distribution, so that it tells nothing.
        """
        try:
            if self._space.when:
                values = {**self._absent(values), **self._space.existing(values)}
            params = {parameter.name: self._coordinate(parameter, values) for parameter in self._space.searched}
        except (KeyError, ValueError):
            return None
        return params, self.distributions

    def _absent(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The middle of each parameter that does not exist in a point."""
        point, exists = self._space.existing(values), self._space.conditions.exists
        return {each.name: _middle(each) for each in self._space.searched if not exists(each.name, point)}

    def project(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Set each parameter that does not exist in a point to its middle, and return the points.

        Args:
            points: Shape (n, parameters), a category as its index, a rank divided by the highest one.
        """
        names = list(self.distributions)
        known = {each.name: each for each in self._space.parameters}
        exists: dict[str, npt.NDArray[np.bool_]] = {}
        for name in self._space.conditions.order:
            here = np.ones(len(points), dtype=bool)
            for parent, allowed in self._space.when.get(name, {}).items():
                here &= exists[parent]
                if parent in names:
                    column = points[:, names.index(parent)]
                    shares = [self._share(known[parent], {parent: value}) for value in allowed]
                    here &= np.isclose(column[:, None], shares, rtol=0, atol=1e-9).any(axis=1)
            exists[name] = here
            if name in names:
                points[~here, names.index(name)] = self._share(known[name], {name: _middle(known[name])})
        return points

    def _share(self, parameter: Parameter, values: Mapping[str, Value]) -> float:
        """The coordinate of a value, a rank divided by the highest one."""
        shown, coordinate = self.distributions[parameter.name], self._coordinate(parameter, values)
        return coordinate / shown.high if isinstance(shown, IntDistribution) and shown.high else coordinate

    def _coordinate(self, parameter: Parameter, values: Mapping[str, Value]) -> float:
        value = values[parameter.name]
        shown = self.distributions[parameter.name]
        if isinstance(shown, CategoricalDistribution):
            return parameter.distribution.index_of(value)
        unit = parameter.distribution.inverse(value)
        return int(unit * (shown.high + 1)) if isinstance(shown, IntDistribution) else unit

    def values(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """Return the point for a trial's parameters, constants included."""
        chosen: dict[str, Value] = {}
        unit: list[float] = []
        for parameter in self._space.searched:
            shown, param = self.distributions[parameter.name], params[parameter.name]
            if isinstance(shown, CategoricalDistribution):
                chosen[parameter.name] = parameter.distribution.value_at(int(param))
                param = 0.5
            elif isinstance(shown, IntDistribution):
                param = (int(param) + 0.5) / (shown.high + 1)
            unit.append(float(param))
        values = {**self._space.all_at(unit), **chosen}
        return self._space.existing(values) if self._space.when else values


def _middle(parameter: Parameter) -> Value:
    return parameter.distribution.quantile(0.5)


def _is_even(distribution: Distribution, size: int) -> bool:
    """Return whether an ordered parameter has few values of equal probability: its ranks are then an axis of integers.

    On such an axis a sampler does not search between two values, where nothing changes.
    """
    weights = distribution.weights() if size <= _MOST_RANKS and distribution.ordered else None
    return weights is not None and max(weights) - min(weights) < 1e-9


def is_pending(observation: Observation, metrics: Sequence[Metric]) -> bool:
    """Return whether the run is a point to keep away from, without a value."""
    if observation.state != RunState.RUNNING:
        return False
    if not any(metric.impute_while_running for metric in metrics):
        return True
    # By W&B's texts a running run counts with its own best, and it may not have one yet.
    return any(
        _running_counts_best(metric) and _finite(observation.objectives, axis) is None
        for axis, metric in enumerate(metrics)
    )


def counted_objectives(history: Sequence[Observation], metrics: Sequence[Metric]) -> list[Objectives | None]:
    """Return for each run the objectives that it counts with, one for each metric; ``None`` if it does not count.

    Finished and pruned runs count with the best of their history. Failed and killed runs count with the imputed value
    of each metric: ``best`` is the run's own best, ``latest`` its own last value, ``worst`` the worst objective of all
    runs, which is also used if the run logged nothing finite. A running run counts if ``impute_while_running`` is set:
    with its imputed value if it is ``True``, with its own best so far if it is one of W&B's texts. Pending runs do not
    count, nor do imputed ones while no run has a finite value.
    """
    columns = [_column(history, axis, metric) for axis, metric in enumerate(metrics)]
    counted: list[Objectives | None] = []
    for place, observation in enumerate(history):
        row = tuple(value for column in columns if (value := column[place]) is not None)
        counts = metrics and len(row) == len(metrics) and not is_pending(observation, metrics)
        counted.append(row if counts else None)
    return counted


def _column(history: Sequence[Observation], axis: int, metric: Metric) -> list[float | None]:
    """The value of each run for one metric: its own, else the worst objective; ``None`` if there is none."""
    finite = [value for one in history if (value := _finite(one.objectives, axis)) is not None]
    worst = (min if metric.goal == "maximize" else max)(finite, default=None)
    own = (_own_value(one, axis, metric) for one in history)
    return [worst if value is None else value for value in own]


def _own_value(observation: Observation, axis: int, metric: Metric) -> float | None:
    running_best = observation.state == RunState.RUNNING and _running_counts_best(metric)
    if observation.state in (RunState.FINISHED, RunState.PRUNED) or metric.impute == "best" or running_best:
        return _finite(observation.objectives, axis)
    if metric.impute == "latest":
        return _finite(observation.last or observation.objectives, axis)
    return None


def _running_counts_best(metric: Metric) -> bool:
    """Return whether ``impute_while_running`` is one of W&B's texts, which all mean the same."""
    return metric.impute_while_running not in (False, True)


def _finite(values: Sequence[float] | None, axis: int) -> float | None:
    value = values[axis] if values is not None and axis < len(values) else math.nan
    return max(-LARGEST, min(LARGEST, float(value))) if math.isfinite(value) else None


class UnseenPoints:
    """Suggest each point of a finite space only once; in any other space every point is free."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._indices: dict[str, tuple[Mapping[str, Value], int | None]] = {}

    def taken(self, history: Sequence[Observation]) -> set[int]:
        """Return the indices of the points of all runs, whatever their state; runs outside of the space have none."""
        if self._space.size is None:
            return set()
        found = set()
        for observation in history:
            kept = self._indices.get(observation.key)
            if kept is None or kept[0] != observation.values:  # a run that just begins may move to another point
                index = None
                with suppress(ValueError):
                    index = self._space.index(observation.values)
                kept = self._indices[observation.key] = (observation.values, index)
            if kept[1] is not None:
                found.add(kept[1])
        return found

    def nearest(self, values: dict[str, Value], taken: set[int], seed: int) -> dict[str, Value] | None:
        """Return ``values`` if it is free, else a free point near to it; ``None`` if all points are taken.

        In spaces of up to 16,384 points it is the nearest one in the unit cube, in which two values of an unordered
        parameter are 1 apart; in larger ones, and with conditions, the nearest that a random search with ``seed``
        finds.
        """
        size = self._space.size
        if size is None:
            return values
        if len(taken) >= size:
            return None
        if self._space.index(values) not in taken:
            return values
        listed = size <= LISTED and not self._space.when
        return self._space.point(self._listed(values, taken) if listed else self._around(values, taken, seed))

    @cached_property
    def _lattice(self) -> Lattice:
        return Lattice(self._space)

    def _listed(self, values: Mapping[str, Value], taken: set[int]) -> int:
        distances = np.zeros(1)  # of all points in grid order
        for parameter in self._space.searched:
            value, distribution = values[parameter.name], parameter.distribution
            if distribution.ordered:
                others = map(distribution.value_at, range(distribution.size or 1))
                axis = (np.array([distribution.inverse(other) for other in others]) - distribution.inverse(value)) ** 2
            else:
                axis = np.ones(distribution.size or 1)
                axis[distribution.index_of(value)] = 0.0
            distances = np.add.outer(distances, axis).ravel()
        distances[list(taken)] = np.inf
        return int(np.argmin(distances))

    def _around(self, values: Mapping[str, Value], taken: set[int], seed: int) -> int:
        generator = np.random.default_rng(seed)
        centre = np.asarray(self._space.unit(values))
        for scale in SCALES:
            rows = np.clip(generator.normal(centre, scale, (BLOCK, len(centre))), 0.0, 1.0)
            indices = self._lattice.indices(rows)
            distances = ((rows - centre) ** 2).sum(axis=1)
            free = [place for place, index in enumerate(indices) if index not in taken]
            if free:
                return indices[min(free, key=lambda place: float(distances[place]))]
        return next(index for index in range(len(taken) + 1) if index not in taken)
