"""The proposer that a config asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from lightsweep.errors import InputError
from lightsweep.sampler.bayes import STARTUP, BayesProposer
from lightsweep.sampler.define_by_run import scheduled_proposer
from lightsweep.sampler.fixed_order import GridProposer, RandomProposer, SobolProposer, seed_for
from lightsweep.sampler.optuna_samplers import GP_RUNS, check_packages, has_torch, make_sampler
from lightsweep.sampler.stages import StageSearcher

if TYPE_CHECKING:
    from lightsweep.sampler.base import Searcher
    from lightsweep.schema import Stage, SweepConfig
    from lightsweep.space import Value

__all__ = ["make_searcher", "make_stage_searcher", "sampler_for"]

# With more parameters than this, and as many runs as a Gaussian process is given, a proposal takes a second.
GP_PARAMETERS = 20


def make_searcher(config: SweepConfig, seed: int) -> Searcher:
    """The proposer for ``config.method`` and ``config.options.sampler``.

    Of a sweep with stages that of the first one; those of the others are made too, so that an error comes at once.

    Raises:
        InputError: The sampler needs a package that is not installed or knows one metric only, or the scheduler's
            file cannot be used.
    """
    if config.stages:
        first, *_ = [make_stage_searcher(config, stage, seed, stage.given) for stage in config.stages]
        return first
    return scheduled_proposer(config, seed) or _proposer(config, seed, STARTUP)


def _proposer(config: SweepConfig, seed: int, startup: int) -> Searcher:
    space, name = config.space, config.options.sampler
    if config.method == "grid":
        return GridProposer(space)
    if config.method == "random":
        return SobolProposer(space, seed) if name == "qmc" else RandomProposer(space, seed)
    if name == "random":
        return BayesProposer(space, config.metrics, seed, RandomProposer(space, seed), None)
    sobol = SobolProposer(space, seed)
    if name == "qmc":
        return BayesProposer(space, config.metrics, seed, sobol, None)
    if name == "cmaes" and len(config.metrics) > 1:
        raise InputError(f"sampler cmaes improves one metric, but metrics has {len(config.metrics)}; use gp or tpe")
    check_packages(name)

    def choose(seed: int, trials: Sequence[FrozenTrial]) -> BaseSampler:
        completed = sum(trial.state == TrialState.COMPLETE for trial in trials)
        return sampler_for(name, seed, completed * len(config.metrics), len(space.searched), startup)

    return BayesProposer(space, config.metrics, seed, sobol, choose, unordered=name != "cmaes", startup=startup)


def make_stage_searcher(
    config: SweepConfig, stage: Stage, seed: int, fixed: Mapping[str, Value], taken: Collection[int] = ()
) -> StageSearcher:
    """The proposer of one stage.

    Where it is bayes it begins with fewer draws than a sweep, as it is short and searches little.

    Args:
        config: The config of the sweep.
        stage: The stage.
        seed: Of the sweep; the stage has one of its own that follows from it.
        fixed: The values of the parameters that it does not search.
        taken: Indices of its points that runs before it had.

    Raises:
        InputError: As :func:`make_searcher`.
    """
    alone = replace(config, method=stage.method, space=stage.space, stages=())
    startup = min(STARTUP, 2 * len(stage.searched) + 1)
    inner = _proposer(alone, seed_for(seed, stage.number), startup)
    return StageSearcher(config.space, stage, inner, fixed, taken)


def sampler_for(name: str, seed: int, completed: int, parameters: int, startup: int = STARTUP) -> BaseSampler:
    """The Optuna sampler called ``name``; for ``auto`` a Gaussian process where that is quick, else TPE.

    Without torch it is TPE instead of a Gaussian process.

    Args:
        name: ``auto``, ``gp``, ``tpe`` or ``cmaes``.
        seed: Of all its random numbers.
        completed: How many runs it learns from, times the number of metrics.
        parameters: How many of them are searched.
        startup: How many runs CMA-ES leaves to others.
    """
    if name == "cmaes":
        return make_sampler("cmaes", seed, startup)
    quick = completed <= GP_RUNS and parameters <= GP_PARAMETERS
    gaussian = (name == "gp" or (name == "auto" and quick)) and has_torch()
    return make_sampler("gp" if gaussian else "tpe", seed, startup)
