"""A run while an agent works on it: its directory, the answers to its script, and its end from outside."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightsweep.agents.launchers import Job
from lightsweep.channel.messages import FinishRequest, LogReply, LogRequest, StartReply, StartRequest
from lightsweep.controller import ClaimedRun, RunState, Sweep
from lightsweep.controller.reports import Reporter
from lightsweep.controller.runs import nested
from lightsweep.errors import InputError
from lightsweep.schema import SweepConfig

RUNS = Path("lightsweep_runs")
"""In the working directory of the agent; it has a directory for each sweep, and that has one for each run."""

# What Slurm, PBS, LSF, Grid Engine, HTCondor and Kubernetes set for the jobs that they may take away at any moment.
_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "_CONDOR_JOB_AD", "KUBERNETES_SERVICE_HOST")


@dataclass(eq=False)
class ActiveRun:
    """A run while an agent works on it; safe from several threads.

    It answers its script, over the channel or in the agent's own process, and ends it from outside.

    Attributes:
        run: The run.
        sweep: Its sweep.
        reporter: Takes in its reports.
        directory: Its directory.
        environment: Variables of its slot, such as the GPUs that it may see.
        grace: Seconds from the request to end to the kill.
        job: Its process, or the call of its function; ``None`` before it began.
        connected: Whether its script ever called ``init``.
        said: The script's ``finish`` message; empty before.
        killed: Why the agent ended it; empty if the agent did not.
        outcome: Its state if the agent ended it: ``killed``, or ``lost`` if an agent is to retry it.
        deadline: When its job is killed, in seconds of the monotonic clock; ``None`` if it was not told to end.
        finished: Whether its script had finished before the agent ended it.
        ending: Whether its job has ended, so that only its end is to be recorded.
        reporters: The processes that have logged the sweep's metric: ``None`` for the first, else their numbers.
        preempting: Whether its script asked for a retry if it fails.
        untold: Whether a verdict to stop is in an answer that its script reads with its next message, if there is one.
    """

    run: ClaimedRun
    sweep: Sweep
    reporter: Reporter
    directory: Path
    environment: Mapping[str, str]
    grace: float
    job: Job | None = None
    connected: bool = False
    said: FinishRequest = field(default_factory=FinishRequest)
    killed: str = ""
    outcome: RunState = RunState.KILLED
    deadline: float | None = None
    finished: bool = False
    ending: bool = False
    reporters: set[int | None] = field(default_factory=set)
    preempting: bool = False
    untold: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._counted = len(self.run.history)
        self._first_process = FirstProcess()

    def start(self, message: StartRequest) -> StartReply:
        """Return the run's config: the sweep's values over the script's defaults."""
        config, run = self.sweep.config, self.run
        self.connected = True
        return start_reply(
            config,
            message,
            run.values,
            run=run.id,
            sweep=self.sweep.id,
            directory=self.directory,
            resumed=run.attempt > 1,
            iterations=len(run.history),
            counted=self._counted,
            early_terminate=self.sweep.bands_of(run.ticket) is not None,
            next_band=self._next_band(),
            checkpoint=kept_checkpoint(self.directory),
            keep_checkpoint=run.attempt > 1 or config.options.max_retries > 0 or may_be_preempted(),
            first=self._first_process.is_first(message),
        )

    def log(self, message: LogRequest) -> LogReply:
        """Report the numbers, and return the verdict."""
        self.preempting = self.preempting or bool(message.get("preempting"))
        if self.reporter.metric in message["metrics"]:
            self.reporters.add(message.get("process"))
        if message.get("anew"):
            self.run.begin_anew()
        if message.get("late"):
            self.run.go_on()
        verdict = self.reporter.report(self.run, message["metrics"], last=bool(message.get("last")))
        self.untold = verdict.stop and bool(message.get("posted"))
        return LogReply(verdict, len(self.run.history), self._next_band())

    def _next_band(self) -> int | None:
        """Return the next band of the run; 0 if several processes report, so that none knows the iterations."""
        bands = self.sweep.bands_of(self.run.ticket)
        if bands is None:
            return None
        return 0 if len(self.reporters) > 1 else bands.after(len(self.run.history))

    def finish(self, message: FinishRequest) -> None:
        """Keep the script's last message; the first one that failed stays.

        Ranks of a stopped run that do not know of it are killed at once, before they fail in their next collective.
        """
        self.untold = False
        with self._lock:
            if self.said.get("state") != RunState.FAILED:
                self.said = message
            if message.get("alone") and self.job is not None:
                self.job.kill()
        if not self.run.reports:
            self._first_process.forget()  # a script that follows may be the one that trains

    def begin(self, job: Job) -> None:
        """Take the job; end it at once if the run was told to end before it began."""
        with self._lock:
            self.job = job
            if self.deadline is not None:
                job.terminate(max(0.0, self.deadline - time.monotonic()))

    def end(self, reason: str, outcome: RunState) -> None:
        """Ask the job to end, and answer its next report with stop; only the first call counts."""
        with self._lock:
            if self.killed:
                return
            self.finished = self.said.get("state") == RunState.FINISHED
            self.deadline = time.monotonic() + self.grace
            self.outcome = outcome
            self.killed = reason  # last, since other threads read the rest if it is set
            if self.job is not None:
                self.job.terminate(self.grace)
        self.reporter.stop(self.run, reason)

    def kill(self) -> None:
        """Kill the job now, or as soon as it has begun."""
        with self._lock:
            self.deadline = time.monotonic()
            if self.job is not None:
                self.job.kill()

    def overdue(self) -> bool:
        """Return whether the job should have ended by now."""
        return self.deadline is not None and time.monotonic() >= self.deadline


class FirstProcess:
    """Remembers which process of a run was the first to call ``init``; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: int | None = None

    def is_first(self, message: StartRequest) -> bool:
        """Return whether the process is the first; True if it does not give its number."""
        number = message.get("process")
        with self._lock:
            if self._first is None:
                self._first = number
            return number is None or number == self._first

    def forget(self) -> None:
        """Let the next process be the first."""
        with self._lock:
            self._first = None


def start_reply(
    config: SweepConfig,
    message: StartRequest,
    values: Mapping[str, Any],
    *,
    run: str,
    sweep: str,
    directory: Path,
    **fields: Any,
) -> StartReply:
    """Return the answer to a script that starts with these flat ``values``; ``fields`` are others of `StartReply`."""
    repeats = config.options.repeats
    return StartReply(
        id=f"{sweep}-{run}",
        number=run,
        sweep=sweep,
        name=f"{config.name or sweep}-{run}",
        config=merge_config(message.get("defaults") or {}, nested(values, config)),
        swept=[*config.searched_in(values), *([repeats.seed] if repeats else [])],
        set=config.names([values]),
        dir=str(directory),
        metric=config.metric.name if config.metric else None,
        goal=config.metric.goal if config.metric else None,
        **fields,
    )


def merge_config(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` over ``defaults``, group by group."""
    merged = dict(defaults)
    for key, value in values.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = merge_config(below, value)
        else:
            merged[key] = value
    return merged


def make_directory(path: Path) -> None:
    """Make a directory for runs, with those above it.

    Raises:
        InputError: It cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        problem = None if os.access(path, os.W_OK | os.X_OK) else "no permission to write"
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise InputError(
            f"the directory of the runs, {path.absolute()}, cannot be used ({problem}); "
            "start the agent in a directory that may be written to"
        )


def discard_checkpoint(directory: Path) -> None:
    """Remove what only exists to resume a run from: ``resume`` in its directory, and names that begin with ``resume-``.

    If the link ``resume`` leads out of the directory, as to a checkpoint of the trainer's own, its target stays.

    Args:
        directory: The run's directory.
    """
    for path in (directory / "resume", directory / "resume.new", *directory.glob("resume-*")):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def kept_checkpoint(directory: Path) -> str | None:
    """Return the target of the link ``resume`` in a run's directory, or the path of the file of that name.

    The link is set once a checkpoint is complete, so a checkpoint that was cut off is never found.
    """
    link = directory / "resume"
    return str(link.resolve()) if link.exists() else None


def may_be_preempted(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a scheduler started this process, so that a checkpoint is worth its time even in attempt 1."""
    return any(name in environ for name in _SCHEDULERS)
