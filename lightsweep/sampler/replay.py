"""CMA-ES over the shadow study: its generations, told again from the runs.

Optuna's CMA-ES keeps its state in attributes of the trials that it proposed. The shadow study has no such attributes,
so the sampler is asked again for each completed trial in turn, and what it notes down is kept beside the point that
the trial really had. So the proposal follows from the runs alone, whichever agent makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.wrapped import quiet

__all__ = ["Generations"]


class Generations:
    """Trials with the attributes that CMA-ES would have given them.

    Args:
        distributions: Of the trials' parameters.
        direction: Of the study.
        make: Gives a fresh CMA-ES sampler, always with the same seed.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        direction: Literal["minimize", "maximize"],
        make: Callable[[], BaseSampler],
    ) -> None:
        self._distributions = distributions
        self._direction: Literal["minimize", "maximize"] = direction
        self._make = make
        self._told: list[FrozenTrial] = []
        self._begin()

    def trials(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The completed ones of ``trials`` with attributes; goes on from the last call where those only grew."""
        completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        if completed[: len(self._told)] != self._told:
            self._begin()
        with quiet():
            for trial in completed[len(self._told) :]:
                self._tell(trial)
        return self._storage.get_all_trials(self._study_id, deepcopy=False)

    def _begin(self) -> None:
        self._told = []
        self._storage = InMemoryStorage()
        with quiet():
            self._sampler = self._make()
            self._study = optuna.create_study(storage=self._storage, sampler=self._sampler, direction=self._direction)
        self._study_id = self._storage.get_study_id_from_name(self._study.study_name)

    def _tell(self, trial: FrozenTrial) -> None:
        asked = self._study.ask()
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, asked.number)
        frozen = self._storage.get_trial(trial_id)
        space = self._sampler.infer_relative_search_space(self._study, frozen)
        self._sampler.sample_relative(self._study, frozen, space)
        for name, distribution in self._distributions.items():
            value = distribution.to_internal_repr(trial.params[name])
            self._storage.set_trial_param(trial_id, name, value, distribution)
        self._study.tell(asked, trial.values)
        self._told.append(trial)
