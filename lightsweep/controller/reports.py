"""Take in the reports of runs, give verdicts, and record how runs end."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from lightsweep.controller.bands import BandValues
from lightsweep.controller.outcome import ClaimedRun, Outcome, summary, trial_end
from lightsweep.controller.reader import storage_errors
from lightsweep.controller.runs import SUMMARY
from lightsweep.controller.sweeps import Sweep
from lightsweep.controller.writer import Writer
from lightsweep.errors import InputError, StorageUnavailableError
from lightsweep.hyperband import Verdict

PATIENCE_SECONDS = 2.0


class Reporter:
    """The reports and ends of one agent's runs; safe from several threads.

    Args:
        sweep: The sweep.
        writer: Delivers the reports.
    """

    def __init__(self, sweep: Sweep, writer: Writer) -> None:
        self._sweep = sweep
        self._writer = writer
        self._trials = sweep.ledger.trials
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
            metric = self._sweep.config.metric
            if metric is None or metric.name not in numbers:
                return Verdict()
            value = numbers[metric.name]
            known = len(run.history)
            step = run.report(value)
            self._writer.put(run, step, value)
            iterations = len(run.history)
        bands = self._sweep.bands_of(run.ticket)
        if bands is None or not iterations or last:
            return Verdict()
        if iterations > known and bands.is_band(iterations):
            # Not under the run's lock: a call of stop() must not wait for the storage.
            with suppress(InputError):  # the sweep or its storage was deleted, which ends the agent
                self._refresher.refresh()
        return self._judge(bands, run)

    def _judge(self, bands: BandValues, run: ClaimedRun) -> Verdict:
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

    def __init__(self, sweep: Sweep, patience: float = PATIENCE_SECONDS) -> None:
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
