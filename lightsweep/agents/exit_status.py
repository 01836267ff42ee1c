"""The outcome of a run from the exit of its process, and the end of an agent from the failures of its runs."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

from lightsweep.agents.active_run import ActiveRun
from lightsweep.agents.launchers import ExitStatus
from lightsweep.channel.messages import FinishRequest
from lightsweep.client.parts import PARTS
from lightsweep.controller import Outcome, RunState
from lightsweep.errors import closest
from lightsweep.schema import SweepConfig

PREEMPTED = 75
"""The exit code of a run that was interrupted and is to be retried (``EX_TEMPFAIL`` of sysexits.h)."""

# Schedulers, the system and administrators end processes by these; a program that crashes ends by others.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)

_FLAPPING_FAILURES = 3
_FLAPPING_SECONDS = 60.0
_FIRST_RUNS = 5


def classify_exit(config: SweepConfig, active: ActiveRun, status: ExitStatus) -> Outcome:
    """Return the outcome of a run whose job has ended.

    A verdict to stop that the script had not read when its process ended has not stopped the run.
    A run that was ended from outside (killed, or told to end by a scheduler), or that exits with :data:`PREEMPTED`, is
    lost: an agent retries it. So is a run that fails after its script marked it as preempting. A run that said that it
    finished, with its metric logged, is finished, whatever signal ends its process after that. After the agent has
    ended a run, it is only finished if its script had finished before: a script may end on SIGTERM as at its end.
    """
    run, said, exit_code = active.run, active.said, status.exit_code
    if active.untold:
        run.go_on()
    unread = list(said.get("unread") or ())
    if run.pruned:
        return Outcome(RunState.PRUNED, run.stop_reason, unread)
    # Of earlier attempts only the reports are known.
    known = {*run.metrics, *(metric.name for metric in config.metrics[:1] if run.reports)}
    missing = [metric.name for metric in config.metrics if metric.name not in known]
    done = said.get("state") == RunState.FINISHED and not missing and (active.finished or not active.killed)
    if done and no_code_of_its_own(exit_code):
        return Outcome(RunState.FINISHED, "", unread)
    if active.killed:
        return Outcome(active.outcome, active.killed, unread)
    if preempted := _preempted(exit_code):
        return Outcome(RunState.LOST, preempted, unread)
    if exit_code or said.get("state") == RunState.FAILED:
        if active.preempting:
            why = _crash(exit_code, str(said.get("error") or ""), status.last_line)
            return Outcome(RunState.LOST, f"marked as preempting, then {why}", unread)
        return Outcome(RunState.FAILED, _crash(exit_code, str(said.get("error") or ""), status.last_line), unread)
    if not missing:
        return Outcome(RunState.FINISHED, "", unread)
    return Outcome(RunState.FAILED, _missing(missing[0], active), unread)


def no_code_of_its_own(exit_code: int) -> bool:
    """Return whether the exit code says nothing of failure: it is 0, or of a signal, or 128 + N of one from outside."""
    return exit_code <= 0 or _signal(exit_code) in _FROM_OUTSIDE


def _preempted(exit_code: int) -> str:
    """Return why a run with this exit code is to be retried; empty if it is not."""
    if exit_code == PREEMPTED:
        return f"preempted (exit code {PREEMPTED})"
    number = _signal(exit_code)
    return f"ended from outside by {_signal_name(number)}" if number in _FROM_OUTSIDE else ""


def _signal(exit_code: int) -> int:
    """Return the signal that ended a process, if one did."""
    # A shell between the agent and the run turns signal N into exit code 128 + N.
    return -exit_code if exit_code < 0 else exit_code - 128


def _crash(exit_code: int, error: str, last_line: str) -> str:
    detail = error or last_line
    if not exit_code:
        return detail or "it said that it failed, though its exit code was 0"
    how = f"ended by {_signal_name(-exit_code)}" if exit_code < 0 else f"exit code {exit_code}"
    return f"{how}: {detail}" if detail else how


def _signal_name(number: int) -> str:
    if number == signal.SIGKILL:
        return "SIGKILL, which is what the system sends when memory runs out"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def logged_as(metric: str, said: FinishRequest) -> str:
    """Return as what other than a number a metric was logged, such as ``text ('0.5')``; empty if it was not."""
    return (said.get("no_numbers") or {}).get(metric, "")


def _missing(metric: str, active: ActiveRun) -> str:
    logged, more = list(active.run.metrics), "; more: lightsweep help logging"
    if (active.directory / PARTS).exists():
        return (
            f"it ended without logging the metric {metric!r}; what its parts have logged does not count (parts are "
            "further calls of init(), as with group=): log one value in the run itself, after its parts"
        )
    if not active.connected:
        return f"it ended without a call of lightsweep.init(), so it never logged the metric {metric!r}{more}"
    if how := logged_as(metric, active.said):
        return f"it ended without a number for the metric {metric!r}; it logged {metric!r} as {how}: log one number"
    if not logged:
        return f"it ended without logging the metric {metric!r}: call run.log({{{metric!r}: value}}){more}"
    names = ", ".join(repr(name) for name in sorted(logged)[:20])
    return f"it ended without logging the metric {metric!r}; it logged {names}{closest(metric, logged)}"


@dataclass
class FailureLimits:
    """Counts failures, and ends the agent if there are too many, so that a broken script does not use up a sweep.

    Attributes:
        max_consecutive: Failures in a row after which the agent gives up; ``None`` for no such limit.
        started: When the agent began, by the clock of ``note``, in seconds.
        ended: Number of runs that finished, were stopped early or failed.
        failed: Number of those that failed.
    """

    max_consecutive: int | None = None
    started: float = 0.0
    ended: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    _in_a_row: int = field(default=0, init=False)
    _early: int = field(default=0, init=False)

    def note(self, failed: bool, now: float) -> str | None:
        """Count a run that ended; return why to give up, or ``None`` to go on. Runs stopped early did not fail."""
        self.ended += 1
        self.failed += failed
        self._early += failed and now - self.started <= _FLAPPING_SECONDS
        self._in_a_row = self._in_a_row + 1 if failed else 0
        if not failed:
            return None
        if self.max_consecutive is not None and self._in_a_row >= self.max_consecutive:
            what = "a run" if self._in_a_row == 1 else f"{self._in_a_row} runs in a row"
            return f"{what} failed (max_consecutive_failed_runs: {self.max_consecutive})"
        if self._early >= _FLAPPING_FAILURES:
            return f"{self._early} runs failed within the first {_FLAPPING_SECONDS:.0f} s"
        if self.failed >= _FIRST_RUNS and self.failed == self.ended:
            return f"the first {self.failed} runs all failed"
        return None
