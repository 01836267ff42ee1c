"""Read a sweep from its storage: its config, its runs and its state, as of the last look."""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy import exc

from lightsweep.controller.plan import REQUESTS, NextRun, Plan, SweepState, SweepStatus
from lightsweep.controller.ranking import best_run
from lightsweep.controller.runs import (
    ATTEMPT,
    FORMAT,
    STATE,
    SWEEP,
    RunEntry,
    RunTable,
    SweepRun,
    breaks,
    nested,
    values_of,
    wants_retry,
    with_breaks,
    with_seed,
)
from lightsweep.errors import ConfigError, NotFoundError, StorageError, StorageUnavailableError
from lightsweep.hyperband import Comparison
from lightsweep.sampler import RunState
from lightsweep.schema import SweepConfig
from lightsweep.storage import Storage, mask, trials_of
from lightsweep.storage.trial_reader import TrialReader

_RESOLUTION_SECONDS = 1.0  # of SQLite's clock

# Errors that may pass are retried; all others of SQLAlchemy (no permission, no such table, a value out of range) need a
# repair of the database, the account or this program.
_MAY_PASS = (
    exc.OperationalError,  # the server is away, or the database is locked or full
    exc.InterfaceError,  # the driver lost its connection
    exc.DisconnectionError,
    exc.TimeoutError,  # every connection of the pool is in use
    exc.InternalError,  # PostgreSQL is read-only while another server takes over
    exc.IntegrityError,  # two programs wrote the same row, or one deleted it meanwhile
)
# SQLite and MySQL report some errors that do not pass as operational.
_FOR_GOOD = re.compile(r"no such (table|column)|readonly database|denied (to|for) user")

_WITH_RESULT = {RunState.FINISHED, RunState.PRUNED}
_EXCLUDED = {RunState.FAILED, RunState.KILLED}
_BEATS_PER_LEASE = 4
_LATE_SECONDS = 2.0

_POOLED = "for PgBouncer add prepare_threshold=none to the URL: postgresql://user@host/database?prepare_threshold=none"
_PREPARED = re.compile(r"prepared statement \S+ (already exists|does not exist)")


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn the exceptions of Optuna's storage and of SQLAlchemy into those of lightsweep.

    Raises:
        StorageUnavailableError: The database does not answer, or fails in a way that may pass: retry.
        StorageError: The database refuses for good, for example for lack of a permission: give up.
        NotFoundError: The study or the trial is not in the storage: Optuna's ``KeyError``.
    """
    try:
        yield
    except (StorageInternalError, exc.SQLAlchemyError) as error:
        cause = error.__cause__ or error
        text = mask(" ".join(str(getattr(cause, "orig", None) or cause).split()))
        if _PREPARED.search(text):
            raise StorageError(f"the storage refuses: {text}\n{_POOLED}") from error
        if _passes(cause, text):
            raise StorageUnavailableError(f"the storage does not answer: {text}") from error
        raise StorageError(f"the storage refuses: {text}; check its tables and the permissions of its user") from error
    except KeyError as error:
        raise NotFoundError("the sweep is not in the storage; it may have been deleted") from error


def _passes(error: BaseException, text: str) -> bool:
    """Return whether the same statement may succeed later."""
    if getattr(error, "connection_invalidated", False):
        return True
    refused = isinstance(error, exc.SQLAlchemyError) and not isinstance(error, _MAY_PASS)
    return not refused and not _FOR_GOOD.search(text)


class OutageTracker:
    """Track outages: when the storage last answered again after an outage or a suspension of this process.

    Args:
        clock: Seconds that only go forward.
        patience: The longest time between two answers, in seconds, that does not count as an outage.

    Attributes:
        returned: When the storage last answered after an outage, or after this process was suspended; minus infinity
            if neither has happened.
    """

    def __init__(self, clock: Callable[[], float], patience: Callable[[], float]) -> None:
        self._clock = clock
        self._patience = patience
        self._away = False
        self._answered = math.inf
        self._drift: float | None = None
        self.returned = -math.inf

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Note whether the storage answers; raises as :func:`storage_errors`."""
        try:
            with storage_errors():
                yield
        except StorageUnavailableError:
            self._away = True
            raise
        now = self._clock()
        if self._away or now - self._answered > self._patience():
            self._away = False
            self.returned = now
        self._answered = now

    def compare(self, moment: datetime) -> None:
        """Compare the database's time ``moment`` with this clock: a step of either counts as an outage."""
        now = self._clock()
        drift = moment.timestamp() - now
        if self._drift is not None and abs(drift - self._drift) > self._patience() + _RESOLUTION_SECONDS:
            self.returned = now
        self._drift = drift


_logger = logging.getLogger("lightsweep")


class SweepReader:
    """A sweep in a storage, as of the last :meth:`refresh`. Safe from several threads.

    Attributes:
        id: Eight letters and digits; the name of the Optuna study.
        plan: Its config, its limit and its searcher.
        seed: The seed of all suggestions.
        storage: The storage that it is in.
        created: The time of its creation, in UTC.
        requested: The state that the user requested last.
        directory: The directory of the sweep file; ``None`` for a config given as a dict.
        looked: When the last :meth:`refresh` began, by the ledger's clock.
        contact: The outages of the storage, by the ledger's clock.
        lock: Guards the runs in memory. Never held during a call of the storage, so call no method that reads the
            storage, such as ``refresh``, while holding it.
    """

    def __init__(
        self,
        storage: Storage,
        study_id: int,
        sweep_id: str,
        attributes: Mapping[str, Any],
        config: SweepConfig | None = None,
    ) -> None:
        self.storage = storage
        self.id = sweep_id
        self.study_id = study_id
        self.lock = threading.RLock()
        self._reading = threading.Lock()
        self._unsettled: dict[str, RunEntry] = {}
        self.looked = -math.inf
        self._adopt(attributes, config)
        self.ledger = TrialReader(trials_of(storage), study_id)
        # Agents send four heartbeats per lease, so a shorter outage does not make a run look lost.
        self.contact = OutageTracker(lambda: self.ledger.clock(), lambda: self.config.options.lease / 2)
        self.book = RunTable(self.config.metric.goal if self.config.metric else "", self.plan.take)

    def _adopt(self, attributes: Mapping[str, Any], loaded: SweepConfig | None) -> None:
        kept = attributes[SWEEP]
        try:
            format_, self.source, self.seed = int(kept["format"]), kept.get("source"), int(kept["seed"])
            self.directory = str(Path(self.source).parent) if self.source else None
            self.created, config = datetime.fromisoformat(kept["created"]), dict(kept["config"])
        except (TypeError, KeyError, ValueError, AttributeError):
            raise self._unreadable(f"its attribute {SWEEP} was written by another program") from None
        if format_ > FORMAT:
            raise StorageError(
                f"sweep {self.id} was made by a newer lightsweep (format {format_}, this one knows {FORMAT}); "
                "update with `pip install -U lightsweep`"
            )
        self.plan = Plan(loaded or self._load(config), self.seed)
        self.requested = self._known(attributes.get(STATE, SweepStatus.RUNNING))
        self._bands = _comparisons(self.config)

    def _load(self, raw: Mapping[str, Any]) -> SweepConfig:
        try:
            return replace(SweepConfig.load(raw), source=self.source)
        except ConfigError as error:
            faults = "; ".join(map(str, error.faults))
            raise self._unreadable(f"this lightsweep does not accept its config any more ({faults})") from error

    def _known(self, asked: Any) -> SweepStatus:
        if asked not in REQUESTS.values():
            raise self._unreadable(f"its attribute {STATE} is {asked!r}, none of {', '.join(REQUESTS.values())}")
        return SweepStatus(asked)

    def _unreadable(self, why: str) -> StorageError:
        return StorageError(f"sweep {self.id} cannot be read: {why}")

    def bands_of(self, ticket: int | None) -> Comparison | None:
        """Return the values that the run with this ticket is compared with; ``None`` if no run is stopped early."""
        return self._bands.get(self.plan.part_of(ticket).name)

    @property
    def config(self) -> SweepConfig:
        """The config in force: as created, or as last updated."""
        return self.plan.config

    # --- looking

    def refresh(self) -> list[RunEntry]:
        """Read the changes from the storage; return the changed runs.

        Raises:
            StorageUnavailableError: The database does not answer.
            NotFoundError: The sweep was deleted.
        """
        with self._reading:
            now = self.ledger.clock()
            with self.contact.asking():
                asked, found = self.ledger.read(STATE)
                if asked is None:
                    raise KeyError(STATE)
            asked = self._known(asked)
            with self.lock:
                self.requested, self.looked = asked, now
                changed = self.book.take(self.ledger.take(found))
                malformed, self.book.malformed = self.book.malformed, []
                updated = self._take_updates()
                entries = list(self.book.entries.values()) if updated else changed
                for entry in entries:
                    if entry.running or wants_retry(entry, self.config):
                        self._unsettled[entry.id] = entry
                    else:
                        self._unsettled.pop(entry.id, None)
                news = list(self._compared(entries)) if self._bands else []
            for record in malformed:
                _logger.warning(
                    "sweep %s: trial %d counts for nothing, since its attribute %s was written by another program: %r",
                    self.id,
                    record.number,
                    ATTEMPT,
                    record.attributes[ATTEMPT],
                )
            for tell, *facts in news:
                tell(*facts)
            return changed

    def _take_updates(self) -> bool:
        """Adopt the newest config; return whether there was a new one."""
        new = self.book.updates[self.plan.revision :]
        for tickets, raw in new:
            self.plan.update(self._load(raw), tickets)
        if new:
            self._bands = _comparisons(self.config)
            for entry in self.book.entries.values():
                entry.forget()
        return bool(new)

    def _compared(self, entries: Iterable[RunEntry]) -> Iterator[tuple[Any, ...]]:
        """Yield what comparisons are to be told of these runs: a method of one, and its arguments."""
        for entry in entries:
            each = None if entry.prior else self.bands_of(entry.ticket)
            if each is None:
                continue
            if each.behind(entry.id, entry.iterations):
                yield each.note, entry.id, entry.history
            if len(entry.reports) < len(entry.record.reports):
                yield each.replace, entry.id, entry.history
            state = entry.state
            if state == RunState.FINISHED:
                yield each.end, entry.id
            if state in _EXCLUDED or breaks(entry, self.config):
                yield each.exclude, entry.id

    @property
    def state(self) -> SweepState:
        """The state of the sweep, read now.

        Raises:
            StorageUnavailableError: The database does not answer.
            NotFoundError: The sweep was deleted.
        """
        self.refresh()
        return self.known_state()

    def known_state(self) -> SweepState:
        """Return the state of the sweep at the last look."""
        with self.lock:
            metric = self.config.metric
            if self.requested == SweepStatus.CANCELLED:
                return SweepState(SweepStatus.CANCELLED)
            if metric is not None and self._target_reached():
                return SweepState(SweepStatus.FINISHED, f"target {metric.target:g} of {metric.name} reached")
            step = self.next_fresh_run()
            if self._leaves_tickets(step) or self._unsettled:
                return SweepState(self.requested)
            return SweepState(SweepStatus.FINISHED, step.why)

    def next_fresh_run(self) -> NextRun:
        """Decide on the next fresh run, as of the last look."""
        with self.lock:
            return self.plan.next_run(self.known_entries, self.book.next_ticket, pending=bool(self._unsettled))

    def waiting(self) -> list[RunEntry]:
        """Return the runs that waited for a retry at the last look, by ticket."""
        with self.lock:
            found = [entry for entry in self._unsettled.values() if not entry.running]
        return sorted(found, key=lambda entry: (len(entry.id), entry.id))

    def running(self) -> list[RunEntry]:
        """Return the runs that were running at the last look."""
        with self.lock:
            return [entry for entry in self._unsettled.values() if entry.running]

    def known_runs(self) -> list[SweepRun]:
        """Return every run as of the last look, by id; do not change them, since they are cached.

        Raises:
            StorageUnavailableError: Parameters were not read before, and the database does not answer.
        """
        with self.lock:
            entries = self.known_entries()
        self.complete(entries)
        with self.lock:
            return [self.view(entry) for entry in entries]

    def read_few_values(self) -> None:
        """Leave the parameters out of a look, for a program that needs those of few runs; see :meth:`complete`.

        It reads them nevertheless if the state of the sweep depends on them: with stages, repeats, or parameters that
        not every run has.
        """
        config = self.config
        varies = config.defined_by_run or bool(config.space.when)
        self.ledger.reads_values = not config.is_flat or varies or config.options.repeats is not None

    def complete(self, entries: Iterable[RunEntry]) -> None:
        """Read the parameters of these runs, unless each look does.

        Raises:
            StorageUnavailableError: The database does not answer.
        """
        if not self.ledger.reads_values:
            with storage_errors():
                self.ledger.complete(entry.record for entry in entries)

    def known_entries(self) -> list[RunEntry]:
        """Return the entry of every run as of the last look, by id; call it while holding ``lock``."""
        return sorted(self.book.entries.values(), key=lambda entry: (len(entry.id), entry.id))

    def view(self, entry: RunEntry) -> SweepRun:
        """Return the run for users; it is made again only if it changed.

        Its parameters are missing if they were not read before, and the database does not answer.
        """
        if not entry.record.parameters:
            with suppress(StorageUnavailableError):
                self.complete([entry])
        with self.lock:
            waiting = self.waits(entry)
            if entry.seen is not None and entry.seen.waiting == waiting:
                return entry.seen
            made = view(entry, self.config, waiting=waiting)
            entry.seen = made if entry.record.parameters else None  # it may get some without another change
            return made

    def standing(self, entry: RunEntry) -> RunState:
        """Return the state that is displayed, see `SweepRun.standing`."""
        return RunState.WAITING if self.waits(entry) else entry.state

    def waits(self, entry: RunEntry) -> bool:
        """Return whether agents will retry the run, as of the last look; never in a sweep that has ended."""
        if entry.running or entry.id not in self._unsettled:
            return False
        return self.known_state().name in {SweepStatus.RUNNING, SweepStatus.PAUSED}

    def spent(self) -> bool:
        """Return whether agents have no run left to start, as of the last look, except retries that users request."""
        with self.lock:
            if self._leaves_tickets(self.next_fresh_run()) or self._target_reached():
                return False  # once the target is reached, agents do not even start a requested retry
            return self.known_state().name in {SweepStatus.RUNNING, SweepStatus.FINISHED}

    def _leaves_tickets(self, step: NextRun) -> bool:
        return step.limit is None or self.book.next_ticket < step.limit

    def _target_reached(self) -> bool:
        """Return whether a run has reported the metric's target, in any state."""
        config, best = self.config, self.book.best
        if config.options.constraints and self._reaches(best):
            # A run that breaks a constraint does not count, and only its end tells.
            ended = (entry for entry in self.book.entries.values() if entry.state in _WITH_RESULT)
            kept = best_run(ended, config)
            best = None if kept is None else kept.best
        return self._reaches(best)

    def _reaches(self, best: float | None) -> bool:
        metric = self.config.metric
        if metric is None or metric.target is None or best is None:
            return False
        return best <= metric.target if metric.goal == "minimize" else best >= metric.target

    def silences(self) -> dict[str, timedelta]:
        """Return the time since the last heartbeat of each running run whose agent is late with one, by the run's id.

        Raises:
            StorageUnavailableError: The database does not answer.
        """
        running = self.running()
        if not running:
            return {}
        with self.contact.asking():
            moment, beats = self.ledger.trials.heartbeats(self.study_id)
        heard = {entry.id: beats.get(entry.record.trial_id, entry.record.started) for entry in running}
        late = timedelta(seconds=self.config.options.lease / _BEATS_PER_LEASE + _LATE_SECONDS)
        return {run: moment - beat for run, beat in heard.items() if beat is not None and moment - beat > late}

    def lost(self, run: str, trial_id: int) -> bool:
        """Return whether another attempt has replaced this trial of the run, as of the last look."""
        with self.lock:
            entry = self.book.entries.get(run)
            return entry is not None and (entry.record.trial_id != trial_id or not entry.running)


def _comparisons(config: SweepConfig) -> dict[str | None, Comparison]:
    """Return what compares the runs of each part of the sweep that stops runs early, by its name."""
    metric, found = config.metric, {part.name or None: part.rule for part in config.parts}
    return {name: each.comparison(metric.goal) for name, each in found.items() if each and metric}


def view(entry: RunEntry, config: SweepConfig, *, waiting: bool) -> SweepRun:
    """Return the run for users."""
    # The trial of a prior run has a value for every parameter of the sweep, so the run's own values are kept beside it.
    kept = entry.record.attributes.get(ATTEMPT, {}).get("values") if entry.prior else None
    values = dict(kept) if isinstance(kept, dict) else values_of(entry, config) or {}
    values = with_seed(values, entry.repeat, config)
    reports, summary = entry.reports, entry.summary
    reason = str(summary.get("reason", ""))
    if entry.waiting:
        reason = reason or "lost with its agent"
    broken = breaks(entry, config)
    return SweepRun(
        id=entry.id,
        state=entry.state,
        config=nested(values, config),
        values=values,
        best=entry.best if config.metric else None,
        last=reports[-1] if reports else None,
        iterations=entry.iterations,
        history=tuple(entry.history),
        started=entry.record.started,
        ended=None if entry.running else entry.record.ended,
        reason=with_breaks(reason, broken),
        metrics={
            name: {key: float(value) for key, value in stats.items()}
            for name, stats in summary.get("metrics", {}).items()
        },
        unread=tuple(summary.get("unread", ())),
        attempt=entry.starts,
        agent=str(entry.record.attributes.get(ATTEMPT, {}).get("agent", "")),
        directories=tuple(f"{home}/{entry.id}" for home in entry.homes),
        stage=entry.stage,
        breaks=broken,
        prior=entry.prior,
        waiting=waiting,
        repeat=entry.repeat,
    )
