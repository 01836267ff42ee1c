"""The Optuna samplers that can be wrapped, by the names of a sweep file."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import optuna
from optuna.samplers import BaseSampler

from lightsweep.errors import InputError

__all__ = ["SamplerName", "check_packages", "has_torch", "make_sampler", "quiet"]

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
