"""Search by the ``scheduler`` block: functions of the user's file define the Optuna sampler or the parameters."""

from __future__ import annotations

import importlib.util
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler
from optuna.trial import FixedTrial, TrialState

from lightsweep.errors import InputError, NotFoundError, closest
from lightsweep.sampler.base import STARTUP, Observation, Searcher, SearchTask
from lightsweep.sampler.bayes import MIN_COMPLETED, BayesSearcher, directions, quiet, tpe_sampler
from lightsweep.sampler.fixed_order import seed_for
from lightsweep.sampler.unit_cube import RunTrials, Shown, SnapshotStorage
from lightsweep.schema import Metric, SweepConfig
from lightsweep.space import Value


class SourceFile:
    """The functions of one Python file.

    Args:
        path: As written in the config.
        beside: The folder of the config, in which a relative path is looked for first, before the working directory.

    Raises:
        NotFoundError: The file does not exist.
        InputError: The file cannot be imported.
    """

    def __init__(self, path: str, beside: Path | None) -> None:
        places = [folder / path for folder in (beside, Path()) if folder is not None]
        found = next((place.resolve() for place in places if place.is_file()), None)
        if found is None:
            looked = " or ".join(str(place.resolve()) for place in places)
            raise NotFoundError(f"scheduler.source: there is no file {looked}")
        self._path = found
        spec = importlib.util.spec_from_file_location(f"lightsweep_source_{found.stem}", found)
        if spec is None or spec.loader is None:
            raise InputError(f"scheduler.source: {found} is not a Python file; its name must end in .py")
        self._module = importlib.util.module_from_spec(spec)
        self._call("scheduler.source", spec.loader.exec_module, self._module)

    def function(self, name: str, key: str) -> Callable[..., Any]:
        """Return the function ``name``; any exception in it becomes an ``InputError`` with file and line.

        Args:
            name: As written in the config.
            key: Its place in the config, such as ``scheduler.optimizer``.

        Raises:
            NotFoundError: The file has no such function.
        """
        target = getattr(self._module, name, None)
        if not callable(target):
            functions = {
                found
                for found, value in vars(self._module).items()
                if callable(value) and getattr(value, "__module__", None) == self._module.__name__
            }
            has = f"it has {', '.join(sorted(functions))}" if functions else "it has no functions"
            raise NotFoundError(f"{key}: {self._path} has no function {name!r}{closest(name, functions)} ({has})")
        return partial(self._call, f"{key}: {name}()", target)

    def _call(self, what: str, target: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return target(*arguments)
        except InputError:
            raise
        except Exception as error:  # the user's code may raise anything; its own line helps most
            if isinstance(error, SyntaxError):
                place = f"{error.filename}:{error.lineno}"
            else:
                frames = traceback.extract_tb(error.__traceback__)
                lines = [frame.lineno for frame in frames if frame.filename == str(self._path)]
                place = f"{self._path}:{lines[-1]}" if lines else str(self._path)
            raise InputError(f"{what} failed at {place}: {type(error).__name__}: {error}") from error


class DefineByRunSearcher:
    """Let a function define the parameters of each run.

    Args:
        define: Takes an Optuna trial and calls its ``suggest_`` methods, which may depend on the values.
        constants: The values that every run has besides.
        metrics: The metrics by which runs are compared.
        seed: The seed of the first tickets, and of TPE.
        sampler: The sampler once enough runs count; ``None`` for TPE.
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
        self._directions = directions(metrics)
        self._trials = RunTrials(metrics, self._replayed)
        self._seed = seed
        self._sampler = sampler

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        trials = self._trials.trials(history)
        completed = sum(trial.state == TrialState.COMPLETE for trial in trials)
        seed = seed_for(self._seed, ticket)
        sampler: BaseSampler = RandomSampler(seed=seed)
        if ticket >= STARTUP and completed >= MIN_COMPLETED:
            sampler = self._sampler or tpe_sampler(seed)
        with quiet():
            study = optuna.create_study(storage=SnapshotStorage(trials), sampler=sampler, directions=self._directions)
            trial = study.ask()
            self._define(trial)
        return {**self._constants, **trial.params}

    def distributions(self, values: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        """Return the distributions from which ``values`` were suggested; none if ``define`` does not accept them."""
        replayed = self._replayed(values)
        return replayed[1] if replayed else {}

    def _replayed(self, values: Mapping[str, Value]) -> Shown | None:
        """Call ``define`` with a run's values to learn their distributions; ``None`` if they do not fit."""
        fixed = FixedTrial(dict(values))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            try:
                self._define(fixed)
            except InputError:
                return None
        return fixed.params, fixed.distributions


def scheduled_searcher(config: SweepConfig, seed: int) -> Searcher | None:
    """Return the searcher that ``config.scheduler`` defines; ``None`` if it leaves the choice to the method.

    With ``optimizer`` alone, its sampler searches the config's parameters in the unit cube, as method bayes does. With
    ``search_space``, that function defines the parameters of each run, to which the constants of the config are added.
    The first tickets are random draws by ticket. The user's sampler is seeded anew in each process, so its suggestions
    are not repeatable.

    Raises:
        InputError: The file or a function does not exist or raises, or ``optimizer`` does not return an Optuna study or
            sampler.
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
        constants = {each.name: each.distribution.value_at(0) for each in config.space.parameters if each.is_fixed}
        return DefineByRunSearcher(define, constants, config.metrics, seed, sampler)
    if sampler is None:
        return None
    task = SearchTask(config.space, config.metrics, seed)
    categories = not isinstance(sampler, (CmaEsSampler, QMCSampler))
    return BayesSearcher(task, lambda _seed, _trials: sampler, categories=categories)


def _sampler(optimizer: Callable[[], Any], name: str) -> BaseSampler:
    with quiet():
        made = optimizer()
    sampler = made.sampler if isinstance(made, optuna.Study) else made
    if not isinstance(sampler, BaseSampler):
        raise InputError(
            f"scheduler.optimizer: {name}() must return an Optuna study or sampler, not {type(made).__name__}"
        )
    # Agents call the same function with the same seed in it, and must not all get the same points.
    sampler.reseed_rng()
    return sampler
