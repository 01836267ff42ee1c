"""Search with an Optuna sampler that learns from the runs so far, each of them a trial in the unit cube."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.base import Observation, RunState, Searcher, SearchTask
from lightsweep.sampler.fixed_order import SobolSearcher, seed_for
from lightsweep.sampler.unit_cube import Axes, RunTrials, SnapshotStorage, UnseenPoints, gp_trials
from lightsweep.schema import Metric
from lightsweep.space import Value

Goal = Literal["minimize", "maximize"]

# An Optuna sampler is asked once this many runs count, or the number of the drawn ones, if that is smaller.
MIN_COMPLETED = 4
# At most so many earlier tickets are taken into account before their runs are known.
EARLIER = 8

Choose = Callable[[int, Sequence[FrozenTrial]], BaseSampler]
"""Return the Optuna sampler for a seed and the trials that it will see."""


class BayesSearcher:
    """Draw the first tickets by ``draws``, and ask an Optuna sampler, which sees all runs, for the later ones.

    Args:
        task: The search. Without a metric, or without a searched parameter, ``draws`` gives all points.
        choose: Gives the Optuna sampler; ``None`` if ``draws`` gives all points.
        draws: Gives the points of the first tickets, and while too few runs count; a Sobol sequence by default.
        categories: Whether the sampler knows categories; if not, they are shown as numbers in [0, 1].
        greedy: Whether the sampler would give agents that ask at the same time the same point, since it takes the best
            one: the points of earlier tickets that are not in the history yet are found first, and kept away from.

    Attributes:
        gain: The improvement over the best run that the model expects of the last suggestion; ``None`` if no model, or
            another one than the Gaussian process for one metric, has chosen it.
    """

    def __init__(
        self,
        task: SearchTask,
        choose: Choose | None,
        *,
        draws: Searcher | None = None,
        categories: bool = True,
        greedy: bool = False,
    ) -> None:
        self.choose = choose if task.metrics and task.space.searched else None
        self.gain: float | None = None
        self._startup = task.startup
        self._greedy = greedy
        self._space = task.space
        self._seed = seed_for(task.seed)
        self._draws = SobolSearcher(task.space, task.seed) if draws is None else draws
        self._axes = Axes(task.space, unordered=categories)
        self._directions = directions(task.metrics)
        self._trials = RunTrials(task.metrics, self._axes.show)
        self._unseen = UnseenPoints(task.space)
        self._cmaes = CmaEsTrials(self._axes.distributions, self._directions[0])

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        if self._greedy:
            history = self._with_earlier(ticket, history)
        return self._proposed(ticket, history)

    def _with_earlier(self, ticket: int, history: Sequence[Observation]) -> Sequence[Observation]:
        """Return the history with the points of the tickets since its last one as running runs."""
        last = max((one.ticket for one in history if one.ticket is not None), default=-1)
        for earlier in range(max(last + 1, self._startup, ticket - EARLIER), ticket):
            values = self._proposed(earlier, history)
            if values is not None:
                history = [*history, Observation(f"ticket {earlier}", earlier, values, RunState.RUNNING)]
        return history

    def _proposed(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        point = self._modelled(ticket, history)
        if point is None:
            point = self._draws.suggest(ticket, history)
        if point is None:
            # All draws of a finite space are given, but a ticket was used for something else: take what is left.
            point = self._space.at([0.5] * len(self._space.searched))
        return self._unseen.nearest(point, self._unseen.taken(history), seed_for(self._seed, ticket, 1))

    def _modelled(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        """The point of the Optuna sampler; ``None`` while too few runs count."""
        self.gain = None
        prior = sum(observation.ticket is None for observation in history)
        if self.choose is None or ticket < self._startup - prior:
            return None
        trials = self._trials.trials(history)
        if sum(trial.state == TrialState.COMPLETE for trial in trials) < max(1, min(MIN_COMPLETED, self._startup)):
            return None
        sampler = self.choose(seed_for(self._seed, ticket), trials)
        if isinstance(sampler, CmaEsSampler):
            trials = self._cmaes.trials(trials, partial(self.choose, self._seed, trials))
        elif isinstance(sampler, GPSampler):
            trials = gp_trials(trials, self._directions)
        with quiet():
            study = optuna.create_study(storage=SnapshotStorage(trials), sampler=sampler, directions=self._directions)
            found = study.ask(self._axes.distributions).params
        self.gain = getattr(sampler, "gain", None)
        return self._axes.values(found)


def directions(metrics: Sequence[Metric]) -> list[Goal]:
    """Return the directions of a study for these metrics; without metrics one that is minimized."""
    return [metric.goal for metric in metrics] or ["minimize"]


class CmaEsTrials:
    """Trials with the attributes in which CMA-ES keeps its state, made by telling it the runs in their order.

    Args:
        distributions: The distributions of the trials' parameters.
        direction: The direction of the study.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], direction: Goal) -> None:
        self._distributions = dict(distributions)
        self._direction = direction
        self._told: list[tuple[dict[str, Any], list[float]]] = []
        self._study: optuna.Study | None = None

    def trials(self, trials: Sequence[FrozenTrial], make: Callable[[], BaseSampler]) -> list[FrozenTrial]:
        """Return the completed trials with attributes; new ones are told to the sampler of the last call if it fits.

        Args:
            trials: The trials of the runs.
            make: Gives a fresh CMA-ES sampler, always with the same seed.
        """
        completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        with quiet():
            told = [(trial.params, trial.values) for trial in completed]
            if self._study is None or told[: len(self._told)] != self._told:
                self._study = optuna.create_study(sampler=make(), direction=self._direction)
                self._told = []
            for trial in completed[len(self._told) :]:
                self._study.enqueue_trial(trial.params)
                asked = self._study.ask(self._distributions)
                _ = asked.relative_params  # CMA-ES notes its generation when these are drawn
                self._study.tell(asked, trial.values)
        self._told = told
        return self._study.get_trials(deepcopy=False)


def tpe_sampler(seed: int) -> BaseSampler:
    """Return a fresh TPE sampler that keeps away from running trials."""
    with quiet():
        return TPESampler(seed=seed, n_startup_trials=1, constant_liar=True)


# Verbosity and warning filters belong to the process: two threads must not restore each other's.
_quiet = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Optuna's log lines and its warnings about experimental arguments, inside of the block only."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(verbosity)
