"""Hand out runs: a lost one that waits to be started again, else a fresh ticket."""

from __future__ import annotations

import threading
from array import array
from dataclasses import dataclass
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from lightsweep.controller.access import translated
from lightsweep.controller.keys import ATTEMPT, SUMMARY, VALUES
from lightsweep.controller.leases import Leases
from lightsweep.controller.live import LiveRun
from lightsweep.controller.points import Points
from lightsweep.controller.progress import SweepState
from lightsweep.controller.runs import RunEntry, finite
from lightsweep.controller.sweep import Sweep
from lightsweep.controller.views import values_of
from lightsweep.errors import NotFoundError, StorageUnavailableError

__all__ = ["Dealer", "NothingToDo"]


@dataclass(frozen=True)
class NothingToDo:
    """No run to hand out.

    Attributes:
        state: Where the sweep stands.
        for_good: Whether to leave (True) or to ask again later (False: the sweep is paused, or a run that is not over
            may yet have to be started again by this agent).
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
        stay: Whether, once every run was handed out, to wait until all are over; else only until the agents of the
            others have given a sign of life.
    """

    def __init__(self, sweep: Sweep, agent: str, *, stay: bool = False) -> None:
        self._sweep = sweep
        self._agent = agent
        self._stay = stay
        self._leases = Leases(sweep)
        self._points: Points | None = None
        self._handed: set[int] = set()
        # Held while proposing, which may take a second; reports go on meanwhile.
        self._turn = threading.Lock()

    def next_run(self) -> LiveRun | NothingToDo:
        """Claim the next run.

        Raises:
            StorageUnavailableError: The database does not answer; try again.
            NotFoundError: The sweep was deleted.
            InputError: The sampler cannot be made.
        """
        with self._turn:
            while True:
                state = self._sweep.state
                if state.name == "paused":
                    return NothingToDo(state, False, "the sweep is paused")
                if state.name != "running":
                    self._fail_stale()  # nobody starts them again, but they are not running either
                    return NothingToDo(state, True, f"the sweep is {state}")
                if self._points is None or self._points.revision != self._sweep.plan.revision:
                    self._points = Points(self._sweep)
                try:
                    found = self._claim(state, self._points)
                except UpdateFinishedTrialError:
                    continue  # proposing took longer than the lease, so another agent took the run
                if found is not None:
                    return found

    def _claim(self, state: SweepState, points: Points) -> LiveRun | NothingToDo | None:
        self._fail_stale()
        for entry in self._sweep.waiting():
            run = self._retry(entry, points)
            if run is not None:
                return run
        return self._fresh(state, points)

    # --- fresh runs

    def _fresh(self, state: SweepState, points: Points) -> LiveRun | NothingToDo | None:
        sweep = self._sweep
        limit, why = sweep.plan.limit()
        if limit is not None and sweep.book.next_ticket >= limit:
            return self._exhausted(state, f"{why}: every run was handed out; some are still running")
        attributes = {ATTEMPT: {"kind": "fresh", "agent": self._agent}}
        trial_id = self._create(create_trial(state=TrialState.RUNNING, user_attrs=attributes))
        entry = self._entry_of(trial_id)
        if entry is None:
            return None
        assert entry.ticket is not None
        if limit is not None and entry.ticket >= limit:
            # Drawn in a race for the last tickets. Should the limit be raised, the run waits there to be started.
            self._end(trial_id, {"state": "lost", "reason": "beyond the limit of the sweep"})
            return self._exhausted(state, f"{why}: every run was handed out; some are still running")
        values = self._give(entry, points)
        return self._live(entry, values) if values is not None else self._without_point(trial_id, state)

    def _without_point(self, trial_id: int, state: SweepState) -> NothingToDo:
        self._end(trial_id, {"state": "failed", "reason": "every point of the space was taken"})
        return self._exhausted(state, "every point of the space was taken")

    def _exhausted(self, state: SweepState, reason: str) -> NothingToDo:
        """Nothing is left to begin, but a run that is not over may be lost, and then somebody has to be there."""
        running = self._sweep.running()
        others = [entry for entry in running if entry.record.trial_id not in self._handed]
        if self._stay or len(others) < len(running):
            return NothingToDo(state, False, reason, exhausted=True)
        alive = self._leases.all_alive(others)
        return NothingToDo(state, alive, reason, exhausted=True)

    # --- runs that were lost

    def _fail_stale(self) -> None:
        """Declare runs lost whose agent gave no sign of life for a lease; of several agents one succeeds."""
        lost = self._leases.expired(self._handed)
        for trial_id in lost:
            self._end(trial_id, {"state": "lost", "reason": "its agent gave no sign of life"})
        if lost:
            self._sweep.refresh()

    def _retry(self, entry: RunEntry, points: Points) -> LiveRun | None:
        """Start a run again; ``None`` where another agent was faster.

        The new trial carries the run's id, parameters and reports. Of two agents that do this at the same moment the
        one with the lower trial number keeps the run.
        """
        values = values_of(entry, self._sweep.config)
        stored = {} if values is None or points.changeable else points.stored(values)
        attributes: dict[str, Any] = {
            ATTEMPT: {
                "kind": "retry",
                "agent": self._agent,
                "run": entry.id,
                "ticket": entry.ticket,
                "attempt": entry.attempt + 1,
            }
        }
        if values is not None and points.changeable:
            attributes[VALUES] = values
        trial_id = self._create(
            create_trial(
                state=TrialState.RUNNING,
                params={name: value for name, (_, value) in stored.items()},
                distributions={name: distribution for name, (distribution, _) in stored.items()},
                user_attrs=attributes,
                intermediate_values=dict(enumerate(entry.record.reports, start=1)),
            )
        )
        if entry.record.trial_id != trial_id:
            self._end(trial_id, {"state": "lost", "reason": "another agent took the run"})
            return None
        if values is not None and points.changeable:
            points.write(trial_id, values)
        if values is None:
            # Lost before its parameters were written: they follow from the ticket once more.
            values = self._give(entry, points)
        if values is None:
            self._end(trial_id, {"state": "failed", "reason": "every point of the space was taken"})
            return None
        return self._live(entry, values)

    # --- both

    def _create(self, trial: FrozenTrial) -> int:
        optuna = self._sweep.storage.optuna
        with translated():
            trial_id = optuna.create_new_trial(self._sweep.study_id, trial)
            optuna.record_heartbeat(trial_id)
        self._sweep.refresh()
        return trial_id

    def _give(self, entry: RunEntry, points: Points) -> dict[str, Any] | None:
        """Parameters for a run that was just claimed; where that fails the run is given back at once."""
        try:
            return points.give(entry)
        except (UpdateFinishedTrialError, StorageUnavailableError, NotFoundError):
            raise
        except BaseException as error:
            self._end(entry.record.trial_id, {"state": "lost", "reason": f"no parameters: {error}"})
            raise

    def _entry_of(self, trial_id: int) -> RunEntry | None:
        with self._sweep.lock:
            return self._sweep.book.of_trial(trial_id)

    def _end(self, trial_id: int, summary: dict[str, Any]) -> None:
        try:
            with translated():
                self._sweep.storage.optuna.set_trial_user_attr(trial_id, SUMMARY, summary)
                self._sweep.storage.optuna.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return  # another agent was faster

    def _live(self, entry: RunEntry, values: dict[str, Any]) -> LiveRun:
        self._handed.add(entry.record.trial_id)
        self._leases.forget()
        reports = array("d", entry.record.reports)
        run = LiveRun(
            id=entry.id,
            ticket=entry.ticket,
            attempt=entry.attempt,
            trial_id=entry.record.trial_id,
            values=values,
            config=self._sweep.nest(values),
            reports=reports,
            history=finite(reports),
        )
        if (metric := self._sweep.config.metric) is not None:
            for value in reports:
                run.note({metric.name: value})
        return run
