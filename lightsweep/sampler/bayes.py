"""Bayes: any Optuna sampler driven through the unit cube over the shadow study."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.base import Observation, Searcher
from lightsweep.sampler.fixed_order import seed_for
from lightsweep.sampler.optuna_samplers import CmaEsState, prepared, quiet
from lightsweep.sampler.unit_cube import Axes, SnapshotStorage, UnitCubeTrials, UnseenPoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightsweep.schema import Metric
    from lightsweep.space import Space, Value

Goal = Literal["minimize", "maximize"]

__all__ = ["STARTUP", "BayesProposer", "directions"]

# The first tickets get draws of their own, so that agents that start together differ.
STARTUP = 10
# A model of fewer runs than this says nothing.
LEAST = 4


class BayesProposer:
    """The first tickets by ``draws``, the later ones by an Optuna sampler that has seen all runs.

    Args:
        space: The space of the sweep.
        metrics: What the runs are compared by; several make a multi-objective study, none leaves all to ``draws``.
        seed: Of all random numbers.
        draws: Proposes for the first tickets, and while too few runs count.
        choose: Gives the sampler for a seed and the trials that it will see; ``None`` leaves all to ``draws``.
        unordered: Whether the sampler knows categories, see ``Axes``.
        startup: How many tickets are the first ones.
    """

    def __init__(
        self,
        space: Space,
        metrics: Sequence[Metric],
        seed: int,
        draws: Searcher,
        choose: Callable[[int, Sequence[FrozenTrial]], BaseSampler] | None,
        *,
        unordered: bool = True,
        startup: int = STARTUP,
    ) -> None:
        self._startup = startup
        self._space = space
        self._seed = seed_for(seed)
        self._draws = draws
        self._choose = choose if metrics and space.searched else None
        self._axes = Axes(space, unordered=unordered)
        self._directions = directions(metrics)
        self._shadow = UnitCubeTrials(self._axes, metrics)
        self._free = UnseenPoints(space)
        self._generations: CmaEsState | None = None

    def suggest(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        point = self._modelled(ticket, known)
        if point is None:
            point = self._draws.suggest(ticket, known)
        if point is None:
            # All draws of a finite space are given, but a ticket was used for something else: take what is left.
            point = self._space.at([0.5] * len(self._space.searched))
        return self._free.nearest(point, self._free.taken(known), seed_for(self._seed, ticket, 1))

    def _modelled(self, ticket: int, known: Sequence[Observation]) -> dict[str, Value] | None:
        """What the sampler proposes; ``None`` as long as it has too little to go by."""
        outside = sum(observation.ticket is None for observation in known)
        if self._choose is None or ticket < self._startup - outside:
            return None
        trials = self._shadow.trials(known)
        if sum(trial.state == TrialState.COMPLETE for trial in trials) < LEAST:
            return None
        sampler = self._choose(seed_for(self._seed, ticket), trials)
        if isinstance(sampler, CmaEsSampler):
            trials = self._replayed(trials, partial(self._choose, self._seed, trials))
        elif isinstance(sampler, GPSampler):
            trials = prepared(trials, self._directions)
        with quiet():
            study = optuna.create_study(storage=SnapshotStorage(trials), sampler=sampler, directions=self._directions)
            return self._axes.values(study.ask(self._axes.distributions).params)

    def _replayed(self, trials: Sequence[FrozenTrial], make: Callable[[], BaseSampler]) -> list[FrozenTrial]:
        if self._generations is None:
            self._generations = CmaEsState(self._axes.distributions, self._directions[0], make)
        return self._generations.trials(trials)


def directions(metrics: Sequence[Metric]) -> list[Goal]:
    """The directions of a study for these metrics; one that is minimized where there are none."""
    return [metric.goal for metric in metrics] or ["minimize"]
