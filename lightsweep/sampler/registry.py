"""Make the searcher of a config: by its scheduler, its method and its sampler.

A sampler is a function from a :class:`SearchTask` to a :class:`Searcher`. The functions below are named by ``SAMPLERS``
in ``lightsweep.schema.sections``; an installed package adds its own as entry points of the group
``lightsweep.samplers``:

    [project.entry-points."lightsweep.samplers"]
    nsga2 = "my_package:nsga2"

    def nsga2(task: SearchTask) -> Searcher:
        return BayesSearcher(task, lambda seed, trials: optuna.samplers.NSGAIISampler(seed=seed))
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache

from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler
from optuna.trial import FrozenTrial, TrialState

from lightsweep.errors import InputError
from lightsweep.sampler.base import STARTUP, Searcher, SearchTask, SubspaceSearcher
from lightsweep.sampler.bayes import BayesSearcher, quiet, tpe_sampler
from lightsweep.sampler.define_by_run import scheduled_searcher
from lightsweep.sampler.first_points import FirstPoints
from lightsweep.sampler.fixed_order import CentreFirst, GridSearcher, RandomSearcher, SobolSearcher, seed_for
from lightsweep.sampler.unit_cube import GP_RUNS, Axes
from lightsweep.schema import SweepConfig, find_sampler
from lightsweep.schema.results import MODEL_PARAMETERS
from lightsweep.space import Value

logger = logging.getLogger("lightsweep")

# With more parameters than this, and GP_RUNS runs, a point of the Gaussian process takes a second.
GP_PARAMETERS = MODEL_PARAMETERS
# The Gaussian process for one metric takes over after this many draws, see benchmarks/search/README.md.
MODEL_STARTUP = 3


def make_searcher(config: SweepConfig, seed: int) -> Searcher:
    """Return the searcher for ``config.scheduler``, ``config.method`` and ``config.options.sampler``.

    For a sweep with stages it is that of the first stage; those of the others are made too, so that an error is raised
    at once.

    Raises:
        InputError: The sampler needs a package that is not installed or takes one metric only, or the scheduler's
            file cannot be used.
    """
    if not config.is_flat:
        first, *_ = [
            make_subspace_searcher(config, config.alone(part), seed_for(seed, part.number), part.given)
            for part in config.parts
        ]
        return first
    searcher = scheduled_searcher(config, seed) or _searcher(config, seed, STARTUP)
    first = config.options.first
    return FirstPoints(config.space, first, searcher, once=config.method in ("grid", "random")) if first else searcher


def make_subspace_searcher(
    config: SweepConfig,
    alone: SweepConfig,
    seed: int,
    fixed: Mapping[str, Value],
    taken: Collection[int] = (),
) -> SubspaceSearcher:
    """Return a searcher of some of the parameters; with bayes it draws fewer first tickets, as it has few runs.

    Args:
        config: The config of the sweep.
        alone: A flat config with the parameters that are searched.
        seed: The seed of the searcher.
        fixed: The values of the other parameters.
        taken: Indices of the points that earlier runs had.

    Raises:
        InputError: As :func:`make_searcher`.
    """
    inner = _searcher(alone, seed, min(STARTUP, 2 * len(alone.space.parameters) + 1))
    # bayes leaves out the points of all runs that it learns from
    return SubspaceSearcher(config.space, alone.space, inner, fixed, () if alone.method == "bayes" else taken)


def _searcher(config: SweepConfig, seed: int, startup: int) -> Searcher:
    if config.method == "grid":
        return GridSearcher(config.space)
    if config.method == "random":
        sobol = config.options.sampler == "qmc"
        return SobolSearcher(config.space, seed) if sobol else RandomSearcher(config.space, seed)
    entry = find_sampler(config.options.sampler)
    if entry is None:
        raise InputError(f"no installed package has the sampler {config.options.sampler!r}")
    searcher: Searcher = entry.load()(SearchTask(config.space, config.metrics, seed, startup))
    return searcher


def random(task: SearchTask) -> Searcher:
    """Independent random draws."""
    return BayesSearcher(task, None, draws=RandomSearcher(task.space, task.seed))


def qmc(task: SearchTask) -> Searcher:
    """The points of a scrambled Sobol sequence."""
    return BayesSearcher(task, None)


def tpe(task: SearchTask) -> Searcher:
    """A tree-structured Parzen estimator."""
    return BayesSearcher(task, lambda seed, _: tpe_sampler(seed))


def gp(task: SearchTask) -> Searcher:
    """A Gaussian process; for several metrics that of Optuna, or TPE, with a warning, if torch cannot be imported."""
    return _gaussian(task, lambda _: True)


def auto(task: SearchTask) -> Searcher:
    """A Gaussian process while it takes less than a second, with up to 300 values and 20 parameters; then TPE."""
    few = len(task.space.searched) <= GP_PARAMETERS
    return _gaussian(task, lambda completed: few and completed * len(task.metrics) <= GP_RUNS)


def _gaussian(task: SearchTask, is_quick: Callable[[int], bool]) -> Searcher:
    several = len(task.metrics) > 1
    if several and importlib.util.find_spec("torch") is None:
        has_torch()  # logs the warning before the first run

    def choose(seed: int, trials: Sequence[FrozenTrial]) -> BaseSampler:
        completed = sum(trial.state == TrialState.COMPLETE for trial in trials)
        if not is_quick(completed) or (several and not has_torch()):
            return tpe_sampler(seed)
        if not several:
            # Loading it takes a second, which agents of other methods are spared.
            from lightsweep.sampler.model_sampler import ModelSampler

            return ModelSampler(seed, project=Axes(task.space).project if task.space.when else None)
        with quiet():
            return GPSampler(seed=seed, n_startup_trials=1)

    if several or not is_quick(0):
        return BayesSearcher(task, choose)
    first = replace(task, startup=min(task.startup, MODEL_STARTUP))
    return BayesSearcher(first, choose, draws=CentreFirst(task.space, task.seed), greedy=True)


@cache
def has_torch() -> bool:
    """Import torch, which the Gaussian process needs; return false, after one warning, if that fails."""
    try:
        importlib.import_module("torch")
    except ImportError as error:
        logger.warning(
            "bayes uses the TPE sampler, since a Gaussian process for several metrics needs torch and that cannot be "
            "imported (%s); pip install torch, or write sampler: tpe in the lightsweep block",
            error,
        )
        return False
    return True


def cmaes(task: SearchTask) -> Searcher:
    """CMA-ES, for one metric; categories are numbers to it, and it does not know of constraints."""
    if len(task.metrics) > 1:
        raise InputError(f"sampler cmaes improves one metric, but metrics has {len(task.metrics)}; use gp or tpe")
    if importlib.util.find_spec("cmaes") is None:
        raise InputError("sampler cmaes needs the package cmaes, which is not installed; pip install cmaes")

    def choose(seed: int, _: Sequence[FrozenTrial]) -> BaseSampler:
        with quiet():
            return CmaEsSampler(seed=seed, n_startup_trials=task.startup, warn_independent_sampling=False)

    return BayesSearcher(task, choose, categories=False)
