"""From how a process ended, and what it said, to how its run ended."""

from __future__ import annotations

import signal

from lightsweep.channel import FinishRequest
from lightsweep.controller import ClaimedRun, Outcome
from lightsweep.errors import closest
from lightsweep.schema import SweepConfig

__all__ = ["PREEMPTED", "conclude", "logged_as", "no_code_of_its_own"]

PREEMPTED = 75
"""Exit code by which a run says that it was interrupted and should be started again (``EX_TEMPFAIL`` of sysexits.h)."""

# What schedulers, the system and administrators end processes with; a crash of the program's own is none of these.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def conclude(
    config: SweepConfig,
    run: ClaimedRun,
    *,
    exit_code: int,
    connected: bool,
    said: FinishRequest,
    killed: str = "",
    before: bool = False,
    last_line: str = "",
) -> Outcome:
    """The outcome of a run.

    One that was ended from outside (killed, or told to end by a scheduler), or that exits with :data:`PREEMPTED`, is
    lost: it goes back and is started again. One that said that it had finished, with its metric logged, has: whatever
    signal ends its process after that takes nothing from it.

    Args:
        config: The sweep's config.
        run: The run, with what it reported.
        exit_code: Of its process; negative for a signal.
        connected: Whether it ever called ``init``.
        said: Its ``finish`` message; empty where there was none.
        killed: Why the agent ended it; empty where it did not.
        before: Whether it had said that it finished before the agent ended it: a script may leave by SIGTERM as by
            its end.
        last_line: The last line that it printed, for a run that crashed before it could say why.
    """
    unread = list(said.get("unread") or ())
    if run.pruned:
        return Outcome("pruned", run.stop_reason, unread)
    # What attempts before this one reported is known by the reports alone.
    known = {*run.metrics, *(metric.name for metric in config.metrics[:1] if run.reports)}
    missing = [metric.name for metric in config.metrics if metric.name not in known]
    done = said.get("state") == "finished" and not missing and (before or not killed)
    if done and no_code_of_its_own(exit_code):
        return Outcome("finished", "", unread)
    if killed:
        return Outcome("killed", killed, unread)
    if preempted := _preempted(exit_code):
        return Outcome("lost", preempted, unread)
    if exit_code or said.get("state") == "failed":
        return Outcome("failed", _crash(exit_code, str(said.get("error") or ""), last_line), unread)
    if not missing:
        return Outcome("finished", "", unread)
    if not connected:
        return Outcome(
            "failed",
            f"it ended without a call of lightsweep.init(), so it never logged the metric {missing[0]!r}",
            unread,
        )
    return Outcome("failed", _missing(missing[0], list(run.metrics), said), unread)


def no_code_of_its_own(exit_code: int) -> bool:
    """Whether the program gave no verdict on itself by its exit code: it ended well, or by a signal."""
    return exit_code <= 0 or _signal(exit_code) in _FROM_OUTSIDE


def _preempted(exit_code: int) -> str:
    """Why a run that ended with this code is to be started again; empty where it is not."""
    if exit_code == PREEMPTED:
        return f"preempted (exit code {PREEMPTED})"
    number = _signal(exit_code)
    return f"ended from outside by {_signal_name(number)}" if number in _FROM_OUTSIDE else ""


def _signal(exit_code: int) -> int:
    """The signal by which a process has ended, if it was one."""
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
    """As what other than a number a metric was logged, such as ``text ('0.5')``; empty where it was not logged."""
    return (said.get("no_numbers") or {}).get(metric, "")


def _missing(metric: str, logged: list[str], said: FinishRequest) -> str:
    if how := logged_as(metric, said):
        return f"it ended without a number for the metric {metric!r}; it logged {metric!r} as {how}: log one number"
    if not logged:
        return f"it ended without logging the metric {metric!r}; it logged nothing: call run.log({{{metric!r}: value}})"
    names = ", ".join(repr(name) for name in sorted(logged)[:20])
    return f"it ended without logging the metric {metric!r}; it logged {names}{closest(metric, logged)}"
