"""Assign parameters to a run: get them from the searcher, claim the point, write them to the trial."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from lightsweep.controller.outcome import Observations
from lightsweep.controller.reader import storage_errors
from lightsweep.controller.runs import VALUES, RunEntry
from lightsweep.controller.sweeps import Sweep
from lightsweep.errors import InputError
from lightsweep.sampler import Observation, Searcher, optuna_distributions, params_to_optuna

__all__ = ["ParameterAssigner"]

_TRIES = 10
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 2.0


class ParameterAssigner:
    """Assign the parameters of the runs that one agent starts; for one thread at a time.

    Args:
        sweep: The sweep.

    Raises:
        InputError: The sampler cannot be made.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._trials = sweep.ledger.trials
        self._observations = Observations(sweep.config)
        self._searcher: Searcher = sweep.plan.searcher()
        self._distributions = optuna_distributions(sweep.config.space)
        self.revision = sweep.plan.revision

    def give(self, entry: RunEntry) -> dict[str, Any] | None:
        """Assign parameters to a run that has none, and write them to its trial; ``None`` if the space is exhausted.

        Raises:
            StorageUnavailableError: The database does not answer.
            InputError: The values that the user's own function suggests cannot be used.
            optuna.exceptions.UpdateFinishedTrialError: The lease ended first, and another agent took the run.
        """
        assert entry.ticket is not None
        values = self.at(entry.ticket) if self.by_ticket else self._claimed(entry)
        if values is None:
            return None
        if self.revision:
            self._note(entry, values)
        self.write(entry.record.trial_id, values)
        return values

    def at(self, ticket: int) -> dict[str, Any] | None:
        """Return parameters that follow from the ticket alone; ``None`` if the space is exhausted.

        Raises:
            InputError: The values that the user's own function suggests cannot be used.
        """
        assert self.by_ticket
        return self._suggested(ticket, ())

    @property
    def by_ticket(self) -> bool:
        """Whether parameters follow from the ticket alone, without a look at other runs."""
        return not self._observations.needed

    def stored(self, values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return the Optuna distribution and the stored value of each parameter."""
        return params_to_optuna(self._sweep.config.space, values, self._searcher, self._distributions)

    def _suggested(self, ticket: int, history: Sequence[Observation]) -> dict[str, Any] | None:
        values = self._searcher.suggest(ticket, history)
        if values is not None:
            self._sweep.nest(values)  # before anything is written, since names of parameters may collide
        return values

    def _others(self, entry: RunEntry) -> list[Observation]:
        with self._sweep.lock:
            return self._observations.of(found for found in self._sweep.book.entries.values() if found is not entry)

    def _claimed(self, entry: RunEntry) -> dict[str, Any] | None:
        """Find a point that no other agent takes: note it in the trial, then compare it with the notes of others."""
        assert entry.ticket is not None
        values = None
        for _ in range(_TRIES):
            history = self._others(entry)
            values = self._suggested(entry.ticket, history)
            if values is None:
                return None
            self._note(entry, values)
            if self._sweep.config.defined_by_run or self._is_mine(entry, values, history):
                break
        return values

    def _note(self, entry: RunEntry, values: Mapping[str, Any]) -> None:
        try:
            with storage_errors():
                self._sweep.storage.optuna.set_trial_user_attr(entry.record.trial_id, VALUES, values)
        except TypeError as error:
            raise InputError(f"the parameters {dict(values)!r} cannot be kept as JSON: {error}") from None

    def _is_mine(self, entry: RunEntry, values: Mapping[str, Any], history: Sequence[Observation]) -> bool:
        """Return whether the run keeps a point that it noted; no run of ``history`` has it.

        If two runs note the same point, at least one of them sees the other. The lower ticket keeps the point, unless
        the other run has started with it. It waits until the other run has moved to another point.
        """
        space, end = self._sweep.config.space, time.monotonic() + _PATIENCE_SECONDS
        point, before = space.key(values), {id(observation) for observation in history}
        while True:
            self._sweep.refresh()
            news = [found for found in self._others(entry) if id(found) not in before]
            same = [found.key for found in news if space.key(found.values) == point]
            if not same:
                return True
            with self._sweep.lock:
                others = [self._sweep.book.entries[key] for key in same]
                undecided = all(found.running and not found.record.parameters for found in others)
            first = all(
                entry.ticket is not None and found.ticket > entry.ticket for found in others if found.ticket is not None
            )
            if not (undecided and first) or time.monotonic() > end:
                return False
            time.sleep(_LOOK_SECONDS)

    @property
    def changeable(self) -> bool:
        """Whether Optuna may refuse a parameter, as its distribution has changed; then ``VALUES`` holds the values."""
        return self.revision > 0 or self._sweep.config.defined_by_run

    def write(self, trial_id: int, values: Mapping[str, Any]) -> None:
        """Write the parameters of a trial, in natural units."""
        stored = self.stored(values)
        if not self.changeable:
            with storage_errors():
                self._trials.set_parameters(trial_id, stored)
            return
        for name, (distribution, value) in stored.items():
            with storage_errors(), suppress(ValueError):  # Optuna's, of a distribution that has changed
                self._sweep.storage.optuna.set_trial_param(
                    trial_id, name, distribution.to_internal_repr(value), distribution
                )
