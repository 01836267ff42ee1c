"""Take in the reports of runs, give verdicts, and record how runs end."""

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
        With ``last`` the run is not judged, since it ends after this report anyway.
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

    def close(self) -> None:
        """Read the storage no more."""
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
