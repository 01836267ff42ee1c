"""A space by run: a function of the user's suggests the parameters of each run to Optuna, in natural units."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from lightsweep.errors import InputError
from lightsweep.sampler.bayes import LEAST, STARTUP, directions
from lightsweep.sampler.impute import counted_objectives, is_pending
from lightsweep.sampler.observation import Observation
from lightsweep.sampler.shadow import ShadowStorage, frozen_trial
from lightsweep.sampler.tickets import seed_for
from lightsweep.sampler.wrapped import make_sampler, quiet

if TYPE_CHECKING:
    from lightsweep.schema import Metric
    from lightsweep.space import Value

__all__ = ["ByRunProposer"]


class ByRunProposer:
    """Asks ``define`` for the parameters of each run.

    Args:
        define: Gets an Optuna trial and calls its ``suggest_`` methods; which ones may depend on the values.
        constants: Added to each run.
        metrics: What the runs are compared by.
        seed: Of the first tickets, and of TPE where there is no ``sampler``.
        sampler: Proposes once enough runs count; ``None`` for TPE.
    """

    def __init__(
        self,
        define: Callable[..., Any],
        constants: Mapping[str, Value],
        metrics: Sequence[Metric],
        seed: int,
        sampler: BaseSampler | None,
    ) -> None:
        self._define = define
        self._constants = constants
        self._metrics = metrics
        self._seed = seed
        self._sampler = sampler
        self._observed: dict[str, FixedTrial | None] = {}

    def propose(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        trials = self._trials(known)
        completed = sum(trial.state == TrialState.COMPLETE for trial in trials)
        seed = seed_for(self._seed, ticket)
        sampler: BaseSampler = RandomSampler(seed=seed)
        if ticket >= STARTUP and completed >= LEAST:
            sampler = self._sampler or make_sampler("tpe", seed, STARTUP)
        with quiet():
            storage = ShadowStorage(trials)
            study = optuna.create_study(storage=storage, sampler=sampler, directions=directions(self._metrics))
            trial = study.ask()
            self._define(trial)
        return {**self._constants, **trial.params}

    def distributions(self, values: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        """The distributions from which a run with ``values`` was suggested; empty where ``define`` refuses them."""
        fixed = self._retold(values)
        return {} if fixed is None else dict(fixed.distributions)

    def _trials(self, known: Sequence[Observation]) -> list[FrozenTrial]:
        trials: list[FrozenTrial] = []
        for observation, objectives in zip(known, counted_objectives(known, self._metrics), strict=True):
            if observation.key not in self._observed:
                self._observed[observation.key] = self._retold(observation.values)
            fixed = self._observed[observation.key]
            if fixed is not None and (objectives is not None or is_pending(observation, self._metrics)):
                trials.append(frozen_trial(len(trials) + 1, fixed.params, fixed.distributions, objectives))
        return trials

    def _retold(self, values: Mapping[str, Value]) -> FixedTrial | None:
        """``define`` told with a run's values, which gives their distributions; ``None`` where they do not fit."""
        fixed = FixedTrial(dict(values))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                self._define(fixed)
            except InputError:
                return None
        return fixed
