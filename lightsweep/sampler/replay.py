"""CMA-ES over the shadow study: its generations, told again from the runs.

Optuna's CMA-ES keeps its state in attributes of the trials that it proposed. The shadow study has no such attributes,
so the sampler is asked again for each completed trial in turn, and what it notes down is kept beside the point that
the trial really had. So the proposal follows from the runs alone, whichever agent makes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.wrapped import quiet

__all__ = ["with_generations"]


def with_generations(
    trials: Sequence[FrozenTrial],
    distributions: Mapping[str, BaseDistribution],
    sampler: BaseSampler,
    direction: Literal["minimize", "maximize"],
) -> list[FrozenTrial]:
    """The completed ones of ``trials``, with the attributes that CMA-ES would have given them."""
    storage = InMemoryStorage()
    with quiet():
        study = optuna.create_study(storage=storage, sampler=sampler, direction=direction)
        study_id = storage.get_study_id_from_name(study.study_name)
        for trial in trials:
            if trial.state != TrialState.COMPLETE:
                continue
            asked = study.ask()
            frozen = storage.get_all_trials(study_id, deepcopy=False)[-1]
            sampler.sample_relative(study, frozen, sampler.infer_relative_search_space(study, frozen))
            trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, asked.number)
            for name, distribution in distributions.items():
                storage.set_trial_param(trial_id, name, distribution.to_internal_repr(trial.params[name]), distribution)
            study.tell(asked, trial.values)
    return storage.get_all_trials(study_id, deepcopy=False)
