"""Take what a run reports, give the verdict, and record how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from lightsweep.controller.bands import BandValues
from lightsweep.controller.outcome import ClaimedRun, Outcome, summary, trial_end
from lightsweep.controller.reader import storage_errors
from lightsweep.controller.refresher import Refresher
from lightsweep.controller.runs import SUMMARY
from lightsweep.controller.sweeps import Sweep
from lightsweep.controller.writer import Writer
from lightsweep.errors import InputError, StorageUnavailableError
from lightsweep.hyperband import Verdict

__all__ = ["Reporter"]


class Reporter:
    """The reports and ends of the runs that one agent has in hand; safe from several threads.

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

        Below a band the verdict comes from memory and the report is committed afterwards. At a band the storage is
        read first, so that the run is compared with all runs of all agents; while the database is away it is compared
        with those that are known. With ``last`` the run ends by itself after this report, so that it is not judged.
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
            # Not under the run's lock: whoever tells the run to stop must not wait for the storage.
            with suppress(InputError):  # the sweep or its storage is gone, which ends the agent
                self._refresher.refresh()
        return self._judge(bands, run)

    def close(self) -> None:
        """Ask the storage no more."""
        self._refresher.close()

    def _judge(self, bands: BandValues, run: ClaimedRun) -> Verdict:
        with run.lock:
            if run.stop_reason:
                return Verdict(stop=True, reason=run.stop_reason)
            verdict = bands.judge(run.id, run.history)
            if verdict.stop:
                run.stop_reason = verdict.reason
                run.pruned = True
            return verdict

    def stop(self, run: ClaimedRun, reason: str) -> None:
        """Let the run's next report, and each later one, answer with stop."""
        with run.lock:
            run.stop_reason = run.stop_reason or reason

    def finish(self, run: ClaimedRun, outcome: Outcome) -> bool:
        """Record how the run ended, after its last report; False where another agent holds it now, or it was deleted.

        Raises:
            StorageUnavailableError: The database does not answer; try again, nothing was lost.
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
