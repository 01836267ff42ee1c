"""The Optuna samplers that can be wrapped, by the names of a sweep file."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from lightsweep.errors import InputError
from lightsweep.sampler.unit_cube import frozen_trial

__all__ = ["GP_RUNS", "CmaEsState", "SamplerName", "check_packages", "has_torch", "make_sampler", "prepared", "quiet"]

# A proposal from this many runs takes about half a second on two cores; the time grows with the third power.
GP_RUNS = 300
# Values this many times as far from the best as the median is are as bad as any.
REACH = 3.0


def prepared(trials: Sequence[FrozenTrial], goals: Sequence[str]) -> list[FrozenTrial]:
    """``trials`` for a Gaussian process: not more than ``GP_RUNS`` completed ones, without far outliers.

    Of more, the better half of ``GP_RUNS`` stays, and as many of the others, evenly over their order. A process
    standardizes the values, so a single diverged run (a loss of 1e9) would make all others look the same: values
    further than 3 times the median's distance from the best, on the bad side, are set to that distance.

    Args:
        trials: COMPLETE ones with finite values, and RUNNING ones, which all stay.
        goals: ``minimize`` or ``maximize`` for each objective.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not completed:
        return list(trials)
    signs = np.array([-1.0 if goal == "maximize" else 1.0 for goal in goals])
    losses = np.array([trial.values for trial in completed]) * signs
    kept = _chosen(losses).tolist()
    best = losses.min(axis=0)
    reach = REACH * (np.median(losses, axis=0) - best)
    limits = np.where(reach > 0, best + reach, np.inf)
    values = np.minimum(losses, limits) * signs
    shown: list[FrozenTrial] = [trial for trial in trials if trial.state != TrialState.COMPLETE]
    for place in sorted(kept):
        trial, clipped = completed[place], values[place].tolist()
        if clipped != trial.values:
            trial = frozen_trial(trial.number, trial.params, trial.distributions, clipped)
        shown.append(trial)
    return sorted(shown, key=lambda trial: trial.number)


def _chosen(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    count = len(losses)
    if count <= GP_RUNS:
        return np.arange(count)
    ranks = losses.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable").sum(axis=1)
    order = np.argsort(ranks, kind="stable")
    better, others = order[: GP_RUNS // 2], np.sort(order[GP_RUNS // 2 :])
    spread = np.linspace(0, len(others) - 1, GP_RUNS - len(better)).round().astype(np.int64)
    return np.concatenate([better, others[spread]])


class CmaEsState:
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


logger = logging.getLogger("lightsweep")

SamplerName = Literal["gp", "tpe", "cmaes"]


# Verbosity and warning filters belong to the process: two threads must not restore each other's.
_quiet = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Optuna's own log lines and its warnings about experimental arguments to itself, here only."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(verbosity)


@cache
def has_torch() -> bool:
    """Whether torch, which the Gaussian process needs, can be imported; where not, one line says so, once."""
    try:
        importlib.import_module("torch")
    except ImportError as error:
        logger.warning(
            "bayes uses the TPE sampler, since the Gaussian process needs torch and that cannot be imported (%s); "
            "pip install torch, or write sampler: tpe in the lightsweep block",
            error,
        )
        return False
    return True


def check_packages(name: str) -> None:
    """Says what is missing for the sampler ``name`` without importing anything large.

    Raises:
        InputError: ``cmaes`` without the package of that name.
    """
    if name == "cmaes" and importlib.util.find_spec("cmaes") is None:
        raise InputError("sampler cmaes needs the package cmaes, which is not installed; pip install cmaes")
    if name in ("auto", "gp") and importlib.util.find_spec("torch") is None:
        has_torch()


def make_sampler(name: SamplerName, seed: int, startup: int) -> BaseSampler:
    """A fresh Optuna sampler.

    Args:
        name: ``gp``, ``tpe`` or ``cmaes``.
        seed: Of all its random numbers, below 2**32.
        startup: How many completed trials CMA-ES leaves to others before its first generation.
    """
    with quiet():
        if name == "gp":
            return optuna.samplers.GPSampler(seed=seed, n_startup_trials=1)
        if name == "tpe":
            return optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, constant_liar=True)
        return optuna.samplers.CmaEsSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
