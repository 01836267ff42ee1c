"""Searchers choose the parameters of runs: grid, random and Sobol by ticket, models in the unit cube."""

from lightsweep.sampler.base import Observation, RunState, Searcher, SearchTask
from lightsweep.sampler.bayes import BayesSearcher
from lightsweep.sampler.registry import make_searcher

__all__ = ["BayesSearcher", "Observation", "RunState", "SearchTask", "Searcher", "make_searcher"]
