"""Searchers choose the parameters of runs: grid, random and Sobol by ticket, Optuna's samplers in the unit cube."""

from __future__ import annotations

from lightsweep.sampler.base import Observation, RunState, Searcher, SearchTask, SubspaceSearcher, taken_before
from lightsweep.sampler.bayes import BayesSearcher
from lightsweep.sampler.fixed_order import ExtendedGrid, seed_for
from lightsweep.sampler.optuna_params import from_optuna, optuna_distributions, params_to_optuna
from lightsweep.sampler.registry import make_searcher, make_subspace_searcher

__all__ = [
    "BayesSearcher",
    "ExtendedGrid",
    "Observation",
    "RunState",
    "SearchTask",
    "Searcher",
    "SubspaceSearcher",
    "from_optuna",
    "make_searcher",
    "make_subspace_searcher",
    "optuna_distributions",
    "params_to_optuna",
    "seed_for",
    "taken_before",
]
