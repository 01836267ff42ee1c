"""The ``scheduler`` block: an Optuna sampler or a space by run that a Python file of the user's defines."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from lightsweep.errors import InputError
from lightsweep.sampler.bayes import LEAST, STARTUP, BayesProposer, directions
from lightsweep.sampler.impute import counted_objectives, is_pending
from lightsweep.sampler.observation import Observation, Proposer
from lightsweep.sampler.shadow import ShadowStorage, frozen_trial
from lightsweep.sampler.source import SourceFile
from lightsweep.sampler.tickets import SobolProposer, seed_for
from lightsweep.sampler.wrapped import make_sampler, quiet

if TYPE_CHECKING:
    from lightsweep.schema import Metric, SweepConfig
    from lightsweep.space import Value

__all__ = ["scheduled_proposer"]


def scheduled_proposer(config: SweepConfig, seed: int) -> Proposer | None:
    """The proposer that ``config.scheduler`` defines; ``None`` where it leaves the choice to the method.

    With ``optimizer`` alone, its sampler searches the config's parameters through the unit cube as method bayes does.
    With ``search_space``, that function defines the parameters by run, and constants of the config are added. The
    first tickets are drawn at random by ticket; a sampler of the user's is seeded anew in each process after that, so
    what it proposes is not repeatable.

    Raises:
        InputError: The file or a function is not there, raises, or gives no Optuna study or sampler.
    """
    scheduler = config.scheduler
    if scheduler is None or scheduler.engine != "optuna" or scheduler.source is None:
        return None
    optimizer, search_space = scheduler.optimizer, scheduler.search_space
    if optimizer is None and search_space is None:
        return None
    source = SourceFile(scheduler.source, Path(config.source).parent if config.source else None)
    sampler = _sampler(source.function(optimizer, "scheduler.optimizer"), optimizer) if optimizer else None
    if search_space is not None:
        define = source.function(search_space, "scheduler.search_space")
        return _ByRun(define, _constants(config), config.metrics, seed, sampler)
    return _through_the_cube(config, seed, sampler) if sampler else None


def _through_the_cube(config: SweepConfig, seed: int, sampler: BaseSampler) -> Proposer:
    draws = SobolProposer(config.space, seed)
    unordered = not isinstance(sampler, (CmaEsSampler, QMCSampler))
    return BayesProposer(config.space, config.metrics, seed, draws, lambda _seed, _trials: sampler, unordered=unordered)


def _constants(config: SweepConfig) -> dict[str, Value]:
    searched = {parameter.name for parameter in config.space.searched}
    point = config.space.at([0.5] * len(searched))
    return {name: value for name, value in point.items() if name not in searched}


def _sampler(optimizer: Callable[[], Any], name: str) -> BaseSampler:
    with quiet():
        made = optimizer()
    sampler = made.sampler if isinstance(made, optuna.Study) else made
    if not isinstance(sampler, BaseSampler):
        raise InputError(
            f"scheduler.optimizer: {name}() must return an Optuna study or sampler, not {type(made).__name__}"
        )
    # Agents that run the same function with the same seed in it must not all propose the same.
    sampler.reseed_rng()
    return sampler


class _ByRun:
    """Asks ``define`` for the parameters of each run, in natural units."""

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
