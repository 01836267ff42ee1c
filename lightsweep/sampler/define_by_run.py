"""The ``scheduler`` block: an Optuna sampler or a space by run that a Python file of the user's defines."""

from __future__ import annotations

import importlib.util
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler, RandomSampler
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from lightsweep.errors import InputError, NotFoundError, closest
from lightsweep.sampler.base import Observation, Searcher
from lightsweep.sampler.bayes import (
    MIN_COMPLETED,
    STARTUP,
    BayesSearcher,
    SearchTask,
    directions,
    quiet,
    tpe_sampler,
)
from lightsweep.sampler.fixed_order import seed_for
from lightsweep.sampler.unit_cube import SnapshotStorage, counted_objectives, frozen_trial, is_pending

if TYPE_CHECKING:
    from lightsweep.schema import Metric, SweepConfig
    from lightsweep.space import Value

__all__ = ["DefineByRunSearcher", "SourceFile", "scheduled_searcher"]


class SourceFile:
    """The functions of one Python file.

    Args:
        path: As written in the config.
        beside: The folder of the config, where a relative path is looked for first; then the working directory.

    Raises:
        NotFoundError: No such file.
        InputError: The file cannot be imported.
    """

    def __init__(self, path: str, beside: Path | None) -> None:
        places = [folder / path for folder in (beside, Path()) if folder is not None]
        found = next((place.resolve() for place in places if place.is_file()), None)
        if found is None:
            looked = " or ".join(str(place.resolve()) for place in places)
            raise NotFoundError(f"scheduler.source: there is no file {looked}")
        self._path = found
        self._module = self._load()

    def function(self, name: str, key: str) -> Callable[..., Any]:
        """The function ``name``; calling it turns whatever it raises into an ``InputError`` with file and line.

        Args:
            name: As written in the config.
            key: Where in the config, such as ``scheduler.optimizer``.

        Raises:
            NotFoundError: The file has no such function.
        """
        functions = {
            known
            for known, value in vars(self._module).items()
            if callable(value) and getattr(value, "__module__", None) == self._module.__name__
        }
        target = getattr(self._module, name, None)
        if not callable(target):
            has = f"it has {', '.join(sorted(functions))}" if functions else "it has no functions"
            raise NotFoundError(f"{key}: {self._path} has no function {name!r}{closest(name, functions)} ({has})")

        def call(*arguments: Any) -> Any:
            return self._guarded(f"{key}: {name}()", target, *arguments)

        return call

    def _load(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"lightsweep_source_{self._path.stem}", self._path)
        if spec is None or spec.loader is None:
            raise InputError(f"scheduler.source: {self._path} is not a Python file; its name must end in .py")
        module = importlib.util.module_from_spec(spec)
        self._guarded("scheduler.source", spec.loader.exec_module, module)
        return module

    def _guarded(self, what: str, target: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return target(*arguments)
        except InputError:
            raise
        except Exception as error:  # the user's code may raise anything, and its own line is what helps
            place = self._place(error)
            raise InputError(f"{what} failed at {place}: {type(error).__name__}: {error}") from error

    def _place(self, error: Exception) -> str:
        if isinstance(error, SyntaxError):
            return f"{error.filename}:{error.lineno}"
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self._path)]
        return f"{self._path}:{lines[-1]}" if lines else str(self._path)


class DefineByRunSearcher:
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

    def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        trials = self._trials(known)
        completed = sum(trial.state == TrialState.COMPLETE for trial in trials)
        seed = seed_for(self._seed, ticket)
        sampler: BaseSampler = RandomSampler(seed=seed)
        if ticket >= STARTUP and completed >= MIN_COMPLETED:
            sampler = self._sampler or tpe_sampler(seed)
        with quiet():
            storage = SnapshotStorage(trials)
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


def scheduled_searcher(config: SweepConfig, seed: int) -> Searcher | None:
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
        return DefineByRunSearcher(define, _constants(config), config.metrics, seed, sampler)
    if sampler is None:
        return None
    task = SearchTask(config.space, config.metrics, seed)
    categories = not isinstance(sampler, (CmaEsSampler, QMCSampler))
    return BayesSearcher(task, lambda _seed, _trials: sampler, categories=categories)


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
