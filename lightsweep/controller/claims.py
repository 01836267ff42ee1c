"""Hand out runs: a lost one that waits to be started again, else a fresh ticket."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState, create_trial

from lightsweep.controller.access import translated
from lightsweep.controller.keys import ATTEMPT, SUMMARY
from lightsweep.controller.live import LiveRun
from lightsweep.controller.observations import Observations
from lightsweep.controller.progress import SweepState, ticket_limit, wants_retry
from lightsweep.controller.runs import RunEntry, finite
from lightsweep.controller.sweep import Sweep
from lightsweep.controller.views import values_of
from lightsweep.sampler import Observation, Proposer, make_proposer, natural_distribution, natural_value

__all__ = ["Dealer", "NothingToDo"]

_TRIES = 5


@dataclass(frozen=True)
class NothingToDo:
    """No run to hand out.

    Attributes:
        state: Where the sweep stands.
        for_good: Whether to leave (True) or to ask again later (False: the sweep is paused).
        reason: Why, for people.
        exhausted: Whether every run was handed out and some are not over yet.
    """

    state: SweepState
    for_good: bool
    reason: str
    exhausted: bool = False


class Dealer:
    """Gives the runs of one sweep to one agent; safe from several threads.

    Args:
        sweep: The sweep.
        agent: Who claims the runs: shown beside them, and unique among the agents.
    """

    def __init__(self, sweep: Sweep, agent: str) -> None:
        self._sweep = sweep
        self._agent = agent
        self._proposer: Proposer | None = None
        self._observations = Observations(sweep.config)
        # Held while proposing, which may take a second; reports go on under the sweep's own lock.
        self._turn = threading.Lock()

    def next_run(self) -> LiveRun | NothingToDo:
        """Claim the next run.

        Raises:
            StorageUnavailableError: The database does not answer; try again.
            InputError: The sampler cannot be made.
        """
        with self._turn:
            state = self._sweep.state
            if state.name == "paused":
                return NothingToDo(state, False, "the sweep is paused")
            if state.name != "running":
                return NothingToDo(state, True, f"the sweep is {state}")
            self._fail_stale()
            for entry in self._waiting():
                run = self._retry(entry)
                if run is not None:
                    return run
            return self._fresh(state)

    # --- fresh runs

    def _fresh(self, state: SweepState) -> LiveRun | NothingToDo:
        sweep = self._sweep
        limit, why = ticket_limit(sweep.config)
        exhausted = NothingToDo(state, True, f"{why}: every run was handed out; some are still running", exhausted=True)
        if limit is not None and sweep.book.next_ticket >= limit:
            return exhausted
        self._proposer = self._proposer or make_proposer(sweep.config, sweep.seed)
        attributes = {ATTEMPT: {"kind": "fresh", "agent": self._agent}}
        with translated():
            trial_id = sweep.storage.optuna.create_new_trial(
                sweep.study_id, create_trial(state=TrialState.RUNNING, user_attrs=attributes)
            )
            sweep.storage.optuna.record_heartbeat(trial_id)
        sweep.refresh()
        entry = self._entry_of(trial_id)
        assert entry.ticket is not None
        values = None if limit is not None and entry.ticket >= limit else self._propose(entry)
        if values is None:
            # Drawn in a race for the last tickets. Should the limit be raised, the run waits there to be started.
            self._end(trial_id, {"state": "lost", "reason": "beyond the limit of the sweep"})
            return exhausted
        return self._live(entry, values)

    def _propose(self, entry: RunEntry) -> dict[str, Any] | None:
        """Parameters for the run, written to its trial; ``None`` where the space is exhausted."""
        assert self._proposer is not None
        assert entry.ticket is not None
        known = self._known(entry)
        values: dict[str, Any] | None = None
        for _ in range(_TRIES):
            values = self._proposer.propose(entry.ticket, known)
            if values is None:
                return None
            # Proposing may take a second, in which another agent may have taken the same point.
            self._sweep.refresh()
            before, known = {observation.key for observation in known}, self._known(entry)
            point = self._sweep.config.space.key(values)
            news = (observation for observation in known if observation.key not in before)
            if all(self._sweep.config.space.key(observation.values) != point for observation in news):
                break
        assert values is not None
        self._write(entry.record.trial_id, values)
        return values

    def _known(self, entry: RunEntry) -> list[Observation]:
        return self._observations.of(found for found in self._sweep.book.entries.values() if found is not entry)

    def _write(self, trial_id: int, values: Mapping[str, Any]) -> None:
        with translated():
            for parameter in self._sweep.config.space.parameters:
                natural = natural_distribution(parameter.distribution)
                stored = natural_value(parameter.distribution, values[parameter.name])
                self._sweep.storage.optuna.set_trial_param(
                    trial_id, parameter.name, natural.to_internal_repr(stored), natural
                )

    # --- runs that were lost

    def _fail_stale(self) -> None:
        """Declare runs lost whose agent gave no sign of life for a lease; of several agents one succeeds."""
        with translated():
            stale = self._sweep.ledger.stale(self._sweep.config.options.lease)
        for trial_id in stale:
            self._end(trial_id, {"state": "lost", "reason": "its agent gave no sign of life"})
        if stale:
            self._sweep.refresh()

    def _waiting(self) -> list[RunEntry]:
        return [entry for entry in self._sweep.book.entries.values() if wants_retry(entry, self._sweep.config)]

    def _retry(self, entry: RunEntry) -> LiveRun | None:
        """Start a run again; ``None`` where another agent was faster.

        The new trial carries the run's id, parameters and reports. Of two agents that do this at the same moment the
        one with the lower trial number keeps the run.
        """
        sweep = self._sweep
        values = values_of(entry, sweep.config)
        attempt = {
            "kind": "retry",
            "agent": self._agent,
            "run": entry.id,
            "ticket": entry.ticket,
            "attempt": entry.attempt + 1,
        }
        distributions = {
            parameter.name: natural_distribution(parameter.distribution) for parameter in sweep.config.space.parameters
        }
        stored = {
            parameter.name: natural_value(parameter.distribution, values[parameter.name])
            for parameter in sweep.config.space.parameters
            if values
        }
        template = create_trial(
            state=TrialState.RUNNING,
            params=stored,
            distributions={name: distributions[name] for name in stored},
            user_attrs={ATTEMPT: attempt},
            intermediate_values=dict(enumerate(entry.record.reports, start=1)),
        )
        with translated():
            trial_id = sweep.storage.optuna.create_new_trial(sweep.study_id, template)
            sweep.storage.optuna.record_heartbeat(trial_id)
        sweep.refresh()
        if entry.record.trial_id != trial_id:
            self._end(trial_id, {"state": "lost", "reason": "another agent took the run"})
            return None
        if not values and sweep.config.space.parameters:
            # Lost before its parameters were written: they follow from the ticket once more.
            self._proposer = self._proposer or make_proposer(sweep.config, sweep.seed)
            proposed = self._propose(entry)
            if proposed is None:
                self._end(trial_id, {"state": "lost", "reason": "beyond the limit of the sweep"})
                return None
            values = proposed
        return self._live(entry, values)

    # --- both

    def _entry_of(self, trial_id: int) -> RunEntry:
        return next(entry for entry in reversed(self._sweep.book.entries.values()) if entry.record.trial_id == trial_id)

    def _end(self, trial_id: int, summary: dict[str, Any]) -> None:
        try:
            with translated():
                self._sweep.storage.optuna.set_trial_user_attr(trial_id, SUMMARY, summary)
                self._sweep.storage.optuna.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return  # another agent was faster

    def _live(self, entry: RunEntry, values: dict[str, Any]) -> LiveRun:
        reports = array("d", entry.record.reports)
        return LiveRun(
            id=entry.id,
            ticket=entry.ticket,
            attempt=entry.attempt,
            trial_id=entry.record.trial_id,
            values=values,
            config=self._sweep.config.space.nest(values),
            reports=reports,
            history=finite(reports),
        )
