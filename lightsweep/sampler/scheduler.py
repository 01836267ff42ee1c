"""The ``scheduler`` block: an Optuna sampler or a space by run that a Python file of the user's defines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler

from lightsweep.errors import InputError
from lightsweep.sampler.bayes import BayesProposer
from lightsweep.sampler.by_run import ByRunProposer
from lightsweep.sampler.observation import Proposer
from lightsweep.sampler.source import SourceFile
from lightsweep.sampler.tickets import SobolProposer
from lightsweep.sampler.wrapped import quiet

if TYPE_CHECKING:
    from lightsweep.schema import SweepConfig
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
        return ByRunProposer(define, _constants(config), config.metrics, seed, sampler)
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
