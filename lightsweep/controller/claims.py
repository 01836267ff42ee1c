"""Claim runs: a lost run that waits for a retry, else the next ticket with parameters from the searcher."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from lightsweep.controller.leases import Leases, look_pause
from lightsweep.controller.observations import EndPredictor, by_ticket, learns, observations
from lightsweep.controller.plan import SweepStatus
from lightsweep.controller.reader import storage_errors
from lightsweep.controller.reports import ClaimedRun
from lightsweep.controller.runs import (
    ATTEMPT,
    GAIN,
    STATE,
    SUMMARY,
    VALUES,
    Repeat,
    RunEntry,
    attempt_of,
    nested,
    run_id,
    values_of,
    with_seed,
)
from lightsweep.controller.sweeps import Sweep
from lightsweep.errors import InputError, NotFoundError, StorageUnavailableError
from lightsweep.sampler import Observation, RunState, Searcher
from lightsweep.sampler.ahead import AheadSearcher
from lightsweep.sampler.optuna_params import optuna_distributions, params_to_optuna
from lightsweep.storage.trials import Claim

_TRIES = 10  # of an assignment: to find a point that no other agent has noted
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 2.0
_LAST_RUNS = 50  # whose time is typical
_MOMENT_SECONDS = 2.0  # after a look
_ROOM = 1024  # tickets that other agents may claim between a look and a claim
_SPACE_TAKEN = "all points of the space are taken"


@dataclass(frozen=True)
class ClaimTransaction:
    """The trials at this moment, under the study's lock: no other agent adds a trial meanwhile.

    Attributes:
        ticket: The ticket of the next fresh run.
        updated: Whether the config was updated since the agent's last look.
    """

    ticket: int
    updated: bool
    _attempts: Sequence[Mapping[str, Any]]
    _claim: Claim

    def taken(self, run: str) -> bool:
        """Return whether another agent has started an attempt at this run since the agent's last look."""
        return any(attempt.get("run") == run for attempt in self._attempts)

    def add(
        self,
        points: ParameterAssigner,
        attempt: Mapping[str, Any],
        values: Mapping[str, Any] | None,
        reports: Sequence[float] = (),
    ) -> int:
        """Add a trial, with its parameters if they are known, and return Optuna's key of it; once in a transaction."""
        attributes = {ATTEMPT: {**attempt, "number": self._claim.number}}
        if values is None:
            return self._claim.add(attributes, {}, reports)
        if points.changeable:
            return self._claim.add({**attributes, VALUES: values}, {}, reports)
        return self._claim.add(attributes, points.stored(values), reports)


@contextmanager
def claim_lock(sweep: Sweep) -> Iterator[ClaimTransaction]:
    """Wait for the study's lock and read the trials added since the last look; commit at the end.

    Raises:
        StorageUnavailableError: The database does not answer; nothing was written.
        NotFoundError: The sweep was deleted.
    """
    with sweep.lock:
        last, ticket = sweep.ledger.last, sweep.book.next_ticket
    with storage_errors(), sweep.ledger.trials.claim(sweep.study_id, ATTEMPT, last) as claim:
        attempts = [attempt for attempt in map(attempt_of, claim.news) if attempt is not None]
        kinds = [attempt["kind"] for attempt in attempts]
        yield ClaimTransaction(ticket + kinds.count("fresh"), "update" in kinds, attempts, claim)


@dataclass(frozen=True)
class NoRun:
    """The answer if no run can be claimed.

    Attributes:
        for_good: True if the agent can leave; False if it is to ask again, as the sweep is paused or a running run may
            need a retry.
        reason: Why, in words.
        exhausted: Whether every run was handed out and some have not ended yet.
    """

    for_good: bool
    reason: str
    exhausted: bool = False


class RunClaimer:
    """Claim runs of one sweep for one agent; safe from several threads.

    Args:
        sweep: The sweep.
        agent: The agent's name, unique among the agents; shown with its runs.
        home: The directory of the agent's runs of this sweep; kept with them.
        stay: Wait, once every run was handed out, until all have ended; else only until each has had a heartbeat.
    """

    def __init__(self, sweep: Sweep, agent: str, *, home: str = "", stay: bool = False) -> None:
        self._sweep = sweep
        self._agent = {"agent": agent, **({"home": home} if home else {})}
        self._stay = stay
        self._leases = Leases(sweep)
        self._points: ParameterAssigner | None = None
        self._handed: set[int] = set()
        # Held during a suggestion, which may take a second; reports continue meanwhile.
        self._turn = threading.Lock()
        if by_ticket(sweep.config):
            sweep.read_few_values()

    def next_run(self) -> ClaimedRun | NoRun:
        """Claim the next run.

        Raises:
            StorageUnavailableError: The database does not answer; try again.
            NotFoundError: The sweep was deleted.
            InputError: The sampler cannot be made.
        """
        with self._turn:
            with suppress(UpdateFinishedTrialError):
                if (at_once := self._at_once()) is not None:
                    return at_once
            while True:
                state = self._sweep.state
                if state.name == SweepStatus.PAUSED:
                    return NoRun(False, "the sweep is paused")
                if state.name != SweepStatus.RUNNING:
                    self._fail_stale()  # no agent retries them, but they are not running either
                    return NoRun(True, f"the sweep is {state}")
                if self._points is None or self._points.revision != self._sweep.plan.revision:
                    self._points = ParameterAssigner(self._sweep)
                points = self._points
                # A suggestion may take longer than the lease, so that another agent takes the run.
                with suppress(UpdateFinishedTrialError):
                    self._fail_stale()
                    retried = (self._retry(entry, points) for entry in self._sweep.waiting())
                    found = next(filter(None, retried), None) or self._fresh(points)
                    if found is not None:
                        points.prepare()
                        return found

    def prepare(self) -> None:
        """Let the next point be found ahead, see `AheadSearcher`; does nothing while a run is claimed."""
        if self._turn.acquire(blocking=False):
            try:
                if self._points is not None:
                    self._points.prepare()
            finally:
                self._turn.release()

    def close(self) -> None:
        """Wait until no point is being found."""
        if self._points is not None:
            self._points.close()

    # --- fresh runs

    def _at_once(self) -> ClaimedRun | None:
        """Claim the next ticket without a look, if there was one of late; ``None`` if that does not do.

        The storage checks that the sweep still runs, and that others have added fresh runs only.
        """
        sweep, points, config = self._sweep, self._points, self._sweep.config
        if points is None or points.revision != sweep.plan.revision or not self._one_step(points):
            return None
        ends_by_results = config.options.stop_when is not None or (config.metric and config.metric.target is not None)
        if ends_by_results or sweep.ledger.clock() - sweep.looked > max(_MOMENT_SECONDS, look_pause(sweep)):
            return None
        self._fail_stale()
        step = sweep.next_fresh_run()
        if step.wait or step.opens or sweep.known_state().name != SweepStatus.RUNNING or sweep.waiting():
            return None
        return self._next_of(points, sweep.book.next_ticket, step.limit)

    def _one_step(self, points: ParameterAssigner) -> bool:
        return points.by_ticket and not points.changeable and self._sweep.ledger.trials.one_step

    def _fresh(self, points: ParameterAssigner) -> ClaimedRun | NoRun | None:
        """Claim the next ticket; ``None`` if something has changed meanwhile, so the caller looks again."""
        step = self._sweep.next_fresh_run()
        ticket, limit = self._sweep.book.next_ticket, step.limit
        if step.wait:
            return NoRun(False, step.wait, exhausted=True)
        if limit is not None and ticket >= limit:
            why = f"{step.why}: no further run starts; some are still running"
            return self._exhausted(why) if step.why else None
        repeat = Repeat.of(step.opens)
        # before the lock is held, since it may take long
        values = points.at(repeat.point if repeat else ticket) if points.by_ticket else None
        if points.by_ticket and values is None:
            return self._exhausted(_SPACE_TAKEN)
        if repeat is not None and repeat.repeat > 1 and values is None:
            with self._sweep.lock:
                values = values_of(self._sweep.book.entries[repeat.group], self._sweep.config)
        if not step.opens and self._one_step(points):
            run = self._next_of(points, ticket, limit)
            if run is not None:
                return run
        with claim_lock(self._sweep) as mine:
            if mine.updated or (limit is not None and mine.ticket >= limit):
                return None
            if mine.ticket != ticket and points.by_ticket:
                values = points.at(mine.ticket)
                if values is None:
                    return None
            trial_id = mine.add(points, {"kind": "fresh", **self._agent, **step.opens}, values)
        if values is None:
            self._sweep.refresh()
        run = self._started(points, trial_id, run_id(mine.ticket), mine.ticket, 1, values, repeat=repeat)
        return run or self._exhausted(_SPACE_TAKEN)

    def _next_of(self, points: ParameterAssigner, ticket: int, limit: int | None) -> ClaimedRun | None:
        """Claim the next ticket without a wait under the lock, see `Trials.add_next`; ``None`` if that does not do."""
        end = ticket + _ROOM if limit is None else min(limit, ticket + _ROOM)
        with self._sweep.lock:
            last, current = self._sweep.ledger.last, self._sweep.book.next_ticket == ticket
        if not current or end <= ticket or points.at(end - 1) is None:
            return None
        with storage_errors():
            study, attempt, when = self._sweep.study_id, {"kind": "fresh", **self._agent}, (STATE, SweepStatus.RUNNING)
            found = self._sweep.ledger.trials.add_next(study, ATTEMPT, last, attempt, range(ticket, end), when)
        if found is None:
            return None
        trial_id, ticket = found
        values = points.at(ticket)
        assert values is not None
        points.write(trial_id, values)
        return self._started(points, trial_id, run_id(ticket), ticket, 1, values, repeat=None)

    def _exhausted(self, reason: str) -> NoRun:
        """Return the answer if no fresh run is left: stay as long as a running run may be lost and need a retry."""
        running = self._sweep.running()
        others = [entry for entry in running if entry.record.trial_id not in self._handed]
        for_good = not self._stay and len(others) == len(running) and self._leases.all_alive(others)
        return NoRun(for_good, reason, exhausted=True)

    # --- runs that were lost

    def _fail_stale(self) -> None:
        """Mark runs without a heartbeat for a lease as lost; of several agents one succeeds."""
        lost = self._leases.expired(self._handed)
        for trial_id in lost:
            self._end(trial_id, {"state": RunState.LOST, "reason": "its agent sent no heartbeat"})
        if lost:
            self._sweep.refresh()

    def _retry(self, entry: RunEntry, points: ParameterAssigner) -> ClaimedRun | None:
        """Retry a run, with its id, parameters and the reports that count; ``None`` if another agent was faster."""
        self._sweep.complete([entry])
        values, attempt, reports = values_of(entry, self._sweep.config), entry.attempt + 1, entry.reports
        start = entry.starts + 1
        kept = {"kind": "retry", **self._agent, "run": entry.id, "ticket": entry.ticket, "attempt": attempt}
        kept |= entry.repeat.document() if entry.repeat else {}
        with claim_lock(self._sweep) as mine:
            if mine.taken(entry.id):
                return None
            trial_id = mine.add(points, kept, values, reports)
        self._sweep.refresh()  # so that the reader knows this attempt as the run's latest
        return self._started(points, trial_id, entry.id, entry.ticket, start, values, reports, repeat=entry.repeat)

    # --- both

    def _give(self, trial_id: int, points: ParameterAssigner) -> dict[str, Any] | None:
        """Assign parameters to the run that this trial has just claimed; if that fails, give the run back at once."""
        with self._sweep.lock:
            entry = self._sweep.book.of_trial(trial_id)
        if entry is None:
            raise UpdateFinishedTrialError(f"trial {trial_id} counts for nothing")
        try:
            values = points.give(entry)
        except (UpdateFinishedTrialError, StorageUnavailableError, NotFoundError):
            raise
        except BaseException as error:
            self._end(trial_id, {"state": RunState.LOST, "reason": f"no parameters: {error}"})
            raise
        if values is None:
            self._end(trial_id, {"state": RunState.FAILED, "reason": _SPACE_TAKEN})
        return values

    def _end(self, trial_id: int, summary: dict[str, Any]) -> None:
        with storage_errors():  # False if another agent was faster
            self._sweep.ledger.trials.end(trial_id, TrialState.FAIL, {SUMMARY: summary})

    def _started(
        self,
        points: ParameterAssigner,
        trial_id: int,
        run: str,
        ticket: int | None,
        attempt: int,
        values: dict[str, Any] | None,
        reports: Sequence[float] = (),
        *,
        repeat: Repeat | None,
    ) -> ClaimedRun | None:
        """Return the run that a new trial has claimed; ``None`` if it has no parameters, and the space no point left.

        A run that was lost before its parameters were written gets them now, as fresh runs do.
        """
        if values is None:
            values = self._give(trial_id, points)
            if values is None:
                return None
        elif points.changeable:
            points.write(trial_id, values)
        self._handed.add(trial_id)
        self._leases.forget()
        values = with_seed(values, repeat, self._sweep.config)
        live = ClaimedRun(run, ticket, attempt, trial_id, values, nested(values, self._sweep.config), repeat=repeat)
        metric = self._sweep.config.metric
        for value in reports:
            live.report(value)
            if metric is not None:
                live.note({metric.name: value})
        return live


class ParameterAssigner:
    """Assign the parameters of the runs that one agent starts; for one thread at a time.

    Args:
        sweep: The sweep.

    Attributes:
        by_ticket: Whether parameters follow from the ticket alone, without a look at other runs.

    Raises:
        InputError: The sampler cannot be made.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self.by_ticket = by_ticket(sweep.config)
        self._searcher: Searcher = sweep.plan.searcher()
        config = sweep.config
        self._ends = EndPredictor(config, lambda ticket: sweep.plan.part_of(ticket).name)
        # With a seed of its own a sweep follows from its results, not from the time that proposals took.
        ahead = learns(config) and not config.defined_by_run and config.options.seed is None
        stop = config.options.stop_when
        ahead = ahead and (stop is None or stop.expected_gain is None)  # which belongs to the proposal made last
        self._ahead = AheadSearcher(self._searcher, config.space, sweep.plan.part_of) if ahead else None
        self._distributions = optuna_distributions(sweep.config.space)
        self.revision = sweep.plan.revision

    def give(self, entry: RunEntry) -> dict[str, Any] | None:
        """Assign parameters to a run that has none, and write them to its trial; ``None`` if the space is exhausted.

        Raises:
            StorageUnavailableError: The database does not answer.
            InputError: The values that the user's own function suggests cannot be used.
            optuna.exceptions.UpdateFinishedTrialError: The lease ended first, and another agent took the run.
        """
        assert entry.point is not None
        values = self.at(entry.point) if self.by_ticket else self._claimed(entry)
        if values is None:
            return None
        if self.revision:
            self._note(entry, values)
        self.write(entry.record.trial_id, values)
        return values

    def stored(self, values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Return the Optuna distribution and the stored value of each parameter."""
        return params_to_optuna(self._sweep.config.space, values, self._searcher, self._distributions)

    def at(self, ticket: int, history: Sequence[Observation] = ()) -> dict[str, Any] | None:
        """Return the parameters for a ticket; ``None`` if the space is exhausted.

        Raises:
            InputError: The values that the user's own function suggests cannot be used.
        """
        values = (self._ahead or self._searcher).suggest(ticket, history)
        if values is not None:
            nested(values, self._sweep.config)  # before anything is written, since names of parameters may collide
        return values

    def prepare(self) -> None:
        """Let the point of the next ticket be found ahead, unless none follows; returns at once."""
        if self._ahead is None:
            return
        with self._sweep.lock:
            ticket, step = self._sweep.book.next_ticket, self._sweep.next_fresh_run()
            records = (each.record for each in reversed(self._sweep.book.entries.values()) if not each.prior)
            times = ((each.ended - each.started).total_seconds() for each in records if each.ended and each.started)
            typical = statistics.median(list(islice(times, _LAST_RUNS)) or [math.inf])
        if not (step.wait or step.opens) and (step.limit is None or ticket < step.limit):
            self._ahead.prepare(ticket, self._others, typical)

    def close(self) -> None:
        """Wait until no point is being found."""
        if self._ahead is not None:
            self._ahead.close()

    def _others(self, entry: RunEntry | None = None) -> list[Observation]:
        with self._sweep.lock:
            others = [each for each in self._sweep.book.entries.values() if each is not entry]
            seen, curves = observations(others, self._sweep.config), self._ends.curves(others)
        return self._ends.added(seen, curves)

    def _claimed(self, entry: RunEntry) -> dict[str, Any] | None:
        """Find a point that no other agent takes: note it in the trial, then compare it with the notes of others."""
        assert entry.point is not None
        values = None
        for _ in range(_TRIES):
            history = self._others(entry)
            values = self.at(entry.point, history)
            if values is None:
                return None
            self._note(entry, values)
            self._note_gain(entry)
            if self._sweep.config.defined_by_run or self._is_mine(entry, values, history):
                break
        return values

    def _note(self, entry: RunEntry, values: Mapping[str, Any]) -> None:
        try:
            with storage_errors():
                self._sweep.storage.optuna.set_trial_user_attr(entry.record.trial_id, VALUES, values)
        except TypeError as error:
            raise InputError(f"the parameters {dict(values)!r} cannot be kept as JSON: {error}") from None

    def _note_gain(self, entry: RunEntry) -> None:
        """Note what the model expects of the run, if that may end the sweep, so all agents know the same number."""
        stop, gain = self._sweep.config.options.stop_when, getattr(self._searcher, "gain", None)
        if stop is not None and stop.expected_gain is not None and gain is not None:
            with storage_errors():
                self._sweep.storage.optuna.set_trial_user_attr(entry.record.trial_id, GAIN, gain)

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
                self._sweep.ledger.trials.set_parameters(trial_id, stored)
            return
        for name, (distribution, value) in stored.items():
            with storage_errors(), suppress(ValueError):  # Optuna's, of a distribution that has changed
                self._sweep.storage.optuna.set_trial_param(
                    trial_id, name, distribution.to_internal_repr(value), distribution
                )
