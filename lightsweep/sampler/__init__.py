"""Proposals: grid, random and Sobol from tickets; any Optuna sampler driven through the unit cube."""

from __future__ import annotations

from lightsweep.sampler.extended import ExtendedGrid
from lightsweep.sampler.make import make_proposer, make_stage_proposer
from lightsweep.sampler.natural import native_value, natural_distribution, natural_value
from lightsweep.sampler.observation import Observation, Proposer
from lightsweep.sampler.stages import StageProposer, taken_before
from lightsweep.sampler.stored import native_params, natural_distributions, natural_params

__all__ = [
    "ExtendedGrid",
    "Observation",
    "Proposer",
    "StageProposer",
    "make_proposer",
    "make_stage_proposer",
    "native_params",
    "native_value",
    "natural_distribution",
    "natural_distributions",
    "natural_params",
    "natural_value",
    "taken_before",
]
