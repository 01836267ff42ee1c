"""The runs that an agent holds: their reports, the verdicts, the delivery to the storage, and how they end."""

from __future__ import annotations

import math
import queue
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from optuna.trial import TrialState

from lightsweep.controller.ranking import objectives
from lightsweep.controller.reader import storage_errors
from lightsweep.controller.runs import SUMMARY, Repeat, plain_metrics
from lightsweep.controller.sweeps import Sweep
from lightsweep.errors import InputError, StorageUnavailableError
from lightsweep.hyperband import Comparison, Verdict
from lightsweep.sampler import RunState
from lightsweep.schema import Metric
from lightsweep.storage import Storage, trials_of

PATIENCE_SECONDS = 2.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LOOK_SECONDS = 0.5
_GATHER_SECONDS = 0.02
_BATCH = 500
_CLOSE_SECONDS = 10.0  # for a database that hangs


@dataclass(slots=True, eq=False)
class ClaimedRun:
    """One attempt of a run, held by the agent that claimed it.

    Attributes:
        id: Run id.
        ticket: Position among the fresh runs.
        attempt: 1 for the first.
        trial_id: Optuna's key of the attempt's trial.
        values: Parameters under their dotted names.
        config: The same, nested as the script sees them.
        reports: Every value of the metric so far, in order.
        history: Those that count and are finite: the iterations.
        since: The number of reports that count no more, see `begin_anew`.
        metrics: For each number logged ``{"min", "max", "last"}``, of the reports that count.
        stop_reason: The reason to stop; empty if the run is to continue.
        pruned: Whether early termination stopped the run.
        repeat: Its place among the repeats of its values; ``None`` without repeats.
        taken: Whether another agent holds the run now, or it was deleted, so that nothing more of it is written.
    """

    id: str
    ticket: int | None
    attempt: int
    trial_id: int
    values: dict[str, Any]
    config: dict[str, Any]
    reports: array[float] = field(default_factory=lambda: array("d"))
    history: list[float] = field(default_factory=list)
    since: int = 0
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    stop_reason: str = ""
    pruned: bool = False
    repeat: Repeat | None = None
    taken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, numbers: Mapping[str, float]) -> None:
        """Keep the least, greatest and last value of each number; NaN and infinities count as last values only."""
        for name, value in numbers.items():
            stats = self.metrics.setdefault(name, {})
            stats["last"] = value
            if math.isfinite(value):
                stats["min"] = min(stats.get("min", value), value)
                stats["max"] = max(stats.get("max", value), value)

    @property
    def not_finite(self) -> str:
        """``NaN since iteration 4 of 6`` if the last values of the metric are not finite; empty if they are."""
        total = len(self.reports)
        first = next((place for place in range(total, 0, -1) if math.isfinite(self.reports[place - 1])), 0) + 1
        if first > total:
            return ""
        last = self.reports[-1]
        return f"{'NaN' if math.isnan(last) else f'{last:g}'} since iteration {first} of {total}"

    def begin_anew(self) -> None:
        """Let all numbers so far count no more, as those of the first of several trainings in one run."""
        with self.lock:
            self.since = len(self.reports)
            self.history.clear()
            self.metrics = {}

    def go_on(self) -> None:
        """Withdraw the verdict of early termination."""
        with self.lock:
            if self.pruned:
                self.pruned = False
                self.stop_reason = ""

    def report(self, value: float) -> int:
        """Add a value of the sweep's metric and return the number of values."""
        self.reports.append(value)
        if math.isfinite(value):
            self.history.append(value)
        return len(self.reports)


_TRIAL_STATE = {RunState.FINISHED: TrialState.COMPLETE, RunState.PRUNED: TrialState.PRUNED}


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt at a run.

    Attributes:
        state: ``finished``, ``pruned``, ``failed``, ``killed`` (by the user), or ``lost`` (to be retried).
        reason: Why, in words and numbers.
        unread: Swept parameters that the run never read.
    """

    state: RunState
    reason: str = ""
    unread: Sequence[str] = ()


def trial_end(metrics: Sequence[Metric], run: ClaimedRun, outcome: Outcome) -> tuple[TrialState, list[float] | None]:
    """Return the state and the values of the run's trial in Optuna.

    A finished run without a finite value gets infinity on the bad side. In a sweep without a metric finished runs get
    the value 0.
    """
    state = _TRIAL_STATE.get(outcome.state, TrialState.FAIL)
    values = None if state == TrialState.FAIL else objectives(metrics, run.history, run.metrics)
    if values is None and state == TrialState.COMPLETE:
        values = [math.inf if metric.goal == "minimize" else -math.inf for metric in metrics] or [0.0]
    return state, values


def summary(run: ClaimedRun, outcome: Outcome) -> dict[str, Any]:
    """Return the content of ``SUMMARY``; JSON without NaN, which some databases refuse."""
    return {
        "state": outcome.state,
        "reason": outcome.reason,
        "metrics": plain_metrics(run.metrics),
        "unread": list(outcome.unread),
        **({"since": run.since} if run.since else {}),
    }


_Report = tuple[ClaimedRun, int, float]


class Reporter:
    """The reports and ends of one agent's runs; safe from several threads.

    Args:
        sweep: The sweep.
        writer: Delivers the reports.

    Attributes:
        metric: The name of the sweep's metric, which no update changes; ``None`` without one.
    """

    def __init__(self, sweep: Sweep, writer: Writer) -> None:
        self._sweep = sweep
        self._writer = writer
        self._trials = sweep.ledger.trials
        self.metric = sweep.config.metric.name if sweep.config.metric else None
        self._refresher = Refresher(sweep)

    def report(self, run: ClaimedRun, numbers: Mapping[str, float], *, last: bool = False) -> Verdict:
        """Take in what the run logged.

        Below a band the verdict comes from memory, and the report is committed afterwards. At a band the storage is
        read first, so that the run is compared with the runs of all agents; during an outage with those already known.
        With ``last`` the run is not judged, since it ends after this report.
        """
        with run.lock:
            if run.stop_reason:
                return Verdict(stop=True, reason=run.stop_reason)
            run.note(numbers)
            if self.metric is None or self.metric not in numbers:
                return Verdict()
            value = numbers[self.metric]
            known = len(run.history)
            step = run.report(value)
            self._writer.put(run, step, value)
            iterations = len(run.history)
        bands = self._sweep.bands_of(run.ticket)
        if bands is None or not iterations or last:
            return Verdict()
        if iterations > known and bands.reached(iterations) == iterations:
            # Not under the run's lock: a call of stop() must not wait for the storage.
            with suppress(InputError):  # the sweep or its storage was deleted, which ends the agent
                self._refresher.refresh()
        return self._judge(bands, run)

    def _judge(self, bands: Comparison, run: ClaimedRun) -> Verdict:
        with run.lock:
            if run.stop_reason:
                return Verdict(stop=True, reason=run.stop_reason)
            verdict = bands.judge(run.id, run.history)
            if verdict.stop:
                run.stop_reason = verdict.reason
                run.pruned = True
            return verdict

    def close(self) -> None:
        """Read the storage no more."""
        self._refresher.close()

    def stop(self, run: ClaimedRun, reason: str) -> None:
        """Answer the run's next reports with stop."""
        with run.lock:
            run.stop_reason = run.stop_reason or reason

    def finish(self, run: ClaimedRun, outcome: Outcome) -> bool:
        """Record the end of a run, after its last report; False if another agent holds it now or it was deleted.

        Raises:
            StorageUnavailableError: The database does not answer; call again; nothing was lost.
        """
        if not self._writer.flush(timeout=60):
            raise StorageUnavailableError("the storage does not answer: reports wait to be delivered")
        if run.taken:
            return False
        state, values = trial_end(self._sweep.config.metrics, run, outcome)
        with storage_errors():
            kept = self._trials.end(run.trial_id, state, {SUMMARY: summary(run, outcome)}, values)
        run.taken = not kept
        return kept


class Refreshable(Protocol):
    def refresh(self) -> object: ...


class Refresher:
    """Refreshes a sweep in a background thread; simultaneous requests share one read.

    If the database hangs or its host has vanished, no request waits longer than ``patience`` seconds from the moment at
    which it stopped answering.

    Args:
        sweep: The sweep.
        patience: Longest wait, in seconds.

    Attributes:
        reason: Why the last refresh failed.
    """

    def __init__(self, sweep: Refreshable, patience: float = PATIENCE_SECONDS) -> None:
        self._sweep = sweep
        self._patience = patience
        self._changed = threading.Condition()
        self._asked = 0
        self._read = 0
        self._began = 0.0
        self._error: BaseException | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self.reason = ""

    def refresh(self) -> bool:
        """Read what changed until now; return false if the database refused or did not answer in time.

        Raise any other exception of the read, such as ``NotFoundError`` if the sweep was deleted.
        """
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lightsweep-refresher", daemon=True)
                self._thread.start()
            if self._asked == self._read:
                self._began = time.monotonic()
            self._asked += 1
            mine = self._asked
            self._changed.notify_all()
            left = self._began + self._patience - time.monotonic()
            self._changed.wait_for(lambda: self._closed or self._read >= mine, max(0.0, left))
            in_time = self._read >= mine
            error = self._error
            self.reason = str(error) if in_time and error is not None else "the storage does not answer"
        if in_time and error is not None and not isinstance(error, StorageUnavailableError):
            raise error
        return in_time and error is None

    def close(self) -> None:
        """End the thread; it may still wait for the database for a while."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._asked > self._read)
                if self._closed:
                    return
                upto = self._asked
            error: BaseException | None = None
            try:
                self._sweep.refresh()
            except BaseException as raised:  # refresh() raises it
                error = raised
            with self._changed:
                self._error = error
                self._read = upto
                self._began = time.monotonic()
                self._changed.notify_all()


@dataclass(eq=False)
class _Mark:
    """A place in the queue: when the writer reaches it, all earlier reports are stored or dropped."""

    last: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    complete: bool = False


class Writer:
    """Delivers reports to the storage in order, in a background thread; waiting reports share one transaction.

    While the database does not answer, the reports wait in the queue and are retried in order.

    Args:
        storage: The storage.
        on_outage: Called with the reason when a write fails, and with an empty text when writes succeed again.
        on_failure: Called with the exception that ended the thread; later reports are not delivered.
    """

    def __init__(
        self,
        storage: Storage,
        on_outage: Callable[[str], None] = lambda _: None,
        on_failure: Callable[[BaseException], None] = lambda _: None,
    ) -> None:
        self._trials = trials_of(storage)
        self._on_outage = on_outage
        self._on_failure = on_failure
        self._failure: BaseException | None = None
        self._queue: queue.SimpleQueue[_Report | _Mark] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._dropped = False
        self._thread = threading.Thread(target=self._work, name="lightsweep-writer", daemon=True)
        self._thread.start()

    def put(self, run: ClaimedRun, step: int, value: float) -> None:
        """Queue one report; return at once."""
        self._queue.put((run, step, value))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all queued reports are in the storage.

        Return false after ``timeout`` seconds, or if :meth:`close` dropped reports. Raise the exception that ended the
        thread, if any.
        """
        mark = _Mark()
        self._queue.put(mark)
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not mark.reached.wait(max(0.0, min(_LOOK_SECONDS, end - time.monotonic()))):
            if not self._thread.is_alive() or time.monotonic() >= end:
                break
        if self._failure is not None:
            raise self._failure
        return mark.complete

    def close(self) -> None:
        """End the thread; if a write fails, the rest of the reports is dropped."""
        self._closing.set()
        self._queue.put(_Mark(last=True))
        self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        try:
            self._deliver_all()
        except BaseException as error:  # flush() raises it
            self._failure = error
            self._on_failure(error)

    def _deliver_all(self) -> None:
        mark = None
        while mark is None or not mark.last:
            batch, mark = self._gathered()
            if batch and not self._dropped:
                self._deliver(batch)
            if mark is not None:
                mark.complete = not self._dropped
                mark.reached.set()

    def _gathered(self) -> tuple[list[_Report], _Mark | None]:
        """Wait for reports; return all that arrive in quick succession, and the mark after them if there is one."""
        batch: list[_Report] = []
        item = self._queue.get()
        end = time.monotonic() + _GATHER_SECONDS
        while not isinstance(item, _Mark):
            batch.append(item)
            if len(batch) == _BATCH:
                return batch, None
            try:
                item = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return batch, None
        return batch, item

    def _deliver(self, batch: Sequence[_Report]) -> None:
        pause = _FIRST_PAUSE
        away = False
        while reports := [(run.trial_id, step, value) for run, step, value in batch if not run.taken]:
            try:
                with storage_errors():
                    over = self._trials.report(reports)
            except StorageUnavailableError as error:
                if not away:
                    away = True
                    self._on_outage(str(error))
                if self._closing.wait(pause):
                    self._dropped = True
                    return
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            for run, _, _ in batch:
                run.taken = run.taken or run.trial_id in over
            break
        if away:
            self._on_outage("")
