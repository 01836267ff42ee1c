"""The shadow study: the sweep as an Optuna sampler sees it, in memory and in the unit cube."""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.impute import counted_objectives, is_pending
from lightsweep.sampler.observation import Observation

if TYPE_CHECKING:
    from lightsweep.schema import Metric
    from lightsweep.space import Distribution, Parameter, Space, Value

__all__ = ["Axes", "Shadow", "ShadowStorage", "frozen_trial"]

# With more values than this the bins are too narrow to matter.
_MOST_RANKS = 256

# No sampler reads the times of a trial, so all of them share one.
MOMENT = datetime(2000, 1, 1, tzinfo=timezone.utc)


class ShadowStorage(optuna.storages.InMemoryStorage):
    """An in-memory storage that also shows ready-made trials, numbered from 1, without copying them.

    The trial that a study asks for is created by the base class and bears number 0.
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


class Axes:
    """How points of a space stand in the shadow study: one parameter of a trial for each searched parameter.

    A number in [0, 1], or the rank among few ordered values of equal probability, or the index of a category.

    Args:
        space: The space of the sweep.
        unordered: Show unordered categorical parameters as categories. ``False``, for samplers that know numbers
            only, shows them as numbers in [0, 1].
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

    def params(self, values: Mapping[str, Value]) -> dict[str, float] | None:
        """The trial's parameters for a point; ``None`` for a point that is not in the space."""
        try:
            return {parameter.name: self._coordinate(parameter, values) for parameter in self._space.searched}
        except (KeyError, ValueError):
            return None

    def _coordinate(self, parameter: Parameter, values: Mapping[str, Value]) -> float:
        value = values[parameter.name]
        shown = self.distributions[parameter.name]
        if isinstance(shown, CategoricalDistribution):
            return parameter.distribution.index_of(value)
        unit = parameter.distribution.inverse(value)
        return int(unit * (shown.high + 1)) if isinstance(shown, IntDistribution) else unit

    def values(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """The point for a trial's parameters, constants included."""
        chosen: dict[str, Value] = {}
        unit: list[float] = []
        for parameter in self._space.searched:
            shown = self.distributions[parameter.name]
            if isinstance(shown, CategoricalDistribution):
                chosen[parameter.name] = parameter.distribution.value_at(int(params[parameter.name]))
                unit.append(0.5)
            elif isinstance(shown, IntDistribution):
                unit.append((int(params[parameter.name]) + 0.5) / (shown.high + 1))
            else:
                unit.append(float(params[parameter.name]))
        return {**self._space.at(unit), **chosen}


def _is_even(distribution: Distribution, size: int) -> bool:
    """Whether an ordered parameter is few values of equal probability: their ranks are then a whole-number axis.

    A sampler that knows that it is one does not search inside of the bins, where nothing changes.
    """
    if size > _MOST_RANKS or not distribution.ordered:
        return False
    weights = distribution.weights()
    return weights is not None and max(weights) - min(weights) < 1e-9


class Shadow:
    """The trials of the shadow study, kept from one proposal to the next and rebuilt only where a run changed."""

    def __init__(self, axes: Axes, metrics: Sequence[Metric]) -> None:
        self._axes = axes
        self._metrics = metrics
        self._params: dict[str, dict[str, float] | None] = {}
        self._trials: dict[str, tuple[tuple[Any, ...], FrozenTrial]] = {}

    def trials(self, known: Sequence[Observation]) -> list[FrozenTrial]:
        """COMPLETE trials for the runs that count and RUNNING ones for those that pend, in the order of ``known``."""
        trials: list[FrozenTrial] = []
        for observation, objectives in zip(known, counted_objectives(known, self._metrics), strict=True):
            if observation.key not in self._params:
                self._params[observation.key] = self._axes.params(observation.values)
            params = self._params[observation.key]
            if params is None or (objectives is None and not is_pending(observation, self._metrics)):
                continue
            number = len(trials) + 1
            stamp = (number, observation.version, objectives)
            kept = self._trials.get(observation.key)
            if kept is None or kept[0] != stamp:
                kept = (stamp, frozen_trial(number, params, self._axes.distributions, objectives))
                self._trials[observation.key] = kept
            trials.append(kept[1])
        return trials


def frozen_trial(
    number: int,
    params: dict[str, Any],
    distributions: dict[str, BaseDistribution],
    objectives: Sequence[float] | None,
) -> FrozenTrial:
    """A COMPLETE trial with ``objectives``, or a RUNNING one without."""
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING if objectives is None else TrialState.COMPLETE,
        value=None,
        values=objectives,
        datetime_start=MOMENT,
        datetime_complete=None if objectives is None else MOMENT,
        params=params,
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
