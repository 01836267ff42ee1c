"""The agent: claim runs, start them, answer them, and record how they ended."""

from __future__ import annotations

import os
import random
import secrets
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from lightsweep.agents.active_run import RUNS, ActiveRun, discard_checkpoint, make_directory
from lightsweep.agents.displays.base import Display, GuardedDisplay
from lightsweep.agents.drain import DRAINED, Drain
from lightsweep.agents.exit_status import FailureLimits, classify_exit
from lightsweep.agents.heartbeat import Heartbeat, OutageNotes
from lightsweep.agents.launchers import Launcher
from lightsweep.agents.launchers.process import place_variables, places
from lightsweep.agents.run_files import BestCheckpoints, SharedFiles
from lightsweep.channel.server import host_name
from lightsweep.controller import ClaimedRun, Outcome, RunState, Sweep
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.plan import SweepStatus
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.errors import CommandError, LightsweepError, StorageError, StorageUnavailableError
from lightsweep.text import counted

_PAUSE_SECONDS = 1.0
_LAST_RUNS_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0


class Agent:
    """Works on one sweep until nothing is left to do, or until it is told to leave.

    Args:
        sweep: The sweep.
        launcher: Starts the runs.
        display: Shows what happens.
        count: Leave after this number of runs; ``None`` for no limit.
        jobs: Number of runs at once.
        slots: For each run at once, variables that its process gets; ``jobs`` empty ones by default.
        max_consecutive_failed: See :class:`FailureLimits`.
        term_timeout: Seconds between SIGTERM and SIGKILL.
        show_output: Whether the display gets what runs print; only with one job.
        stay: See :class:`RunClaimer`.
        drain: Says from when on no run begins.

    Attributes:
        name: Host, process and a random part: unique among the agents.
        left: Why it left, in words; empty while it works.
        gave_up: Whether it left because too many runs failed.
        drained: Whether it left because its job ends soon.
        signalled: The signal that made it leave; 0 if none did. It may be set from outside, to start no more runs.
    """

    def __init__(
        self,
        sweep: Sweep,
        launcher: Launcher,
        *,
        display: Display | None = None,
        count: int | None = None,
        jobs: int = 1,
        slots: Sequence[Mapping[str, str]] | None = None,
        max_consecutive_failed: int | None = None,
        term_timeout: float = 30.0,
        show_output: bool = False,
        stay: bool = False,
        drain: Drain | None = None,
    ) -> None:
        self.sweep = sweep
        self.display: Display = GuardedDisplay(display or Display())
        self.name = f"{host_name()}:{os.getpid()}:{secrets.token_hex(2)}"
        self.left = ""
        self.gave_up = False
        self.drained = False
        self.signalled = 0
        self._launcher = launcher
        self._directory = RUNS.absolute() / sweep.id
        self._count = count
        self._permits = threading.Semaphore(sys.maxsize if count is None else count)
        self._slots: Sequence[Mapping[str, str]] = [{}] * jobs if slots is None else slots
        self._term_timeout = term_timeout
        self._drain = drain
        self._show_output = show_output and len(self._slots) == 1
        self._limits = FailureLimits(max_consecutive_failed, time.monotonic())
        self._lock = threading.Lock()
        self._idle = _LAST_RUNS_SECONDS
        self._waiting_for = ""
        self._told_of_reporters = False
        self._active: list[ActiveRun] = []
        self._leaving = threading.Event()
        self._told: tuple[str, RunState] | None = None
        self._abandon = threading.Event()
        self._error: BaseException | None = None
        self._outage = OutageNotes(self.display)
        self._writer = Writer(sweep.storage, partial(self._outage.note, "reports"), self._give_back)
        self._checkpoints = BestCheckpoints(sweep, self._directory)
        self._shared: SharedFiles | None = None
        self._claimer = RunClaimer(sweep, self.name, home=str(self._directory), stay=stay)
        self._reporter = Reporter(sweep, self._writer)
        self._heartbeat = Heartbeat(
            *(sweep, self.display, self.active_runs, self.leave, self.terminate, self._give_back, self._outage),
            self._claimer.prepare,
        )

    @property
    def exit_code(self) -> int:
        """The exit code of its process.

        0 for success, 1 if it gave up or all of its runs failed, 128 + N after signal N, and :data:`DRAINED` if it left
        by its drain and the sweep was not over at the last look.
        """
        if self.signalled:
            return 128 + self.signalled
        open_states = (SweepStatus.RUNNING, SweepStatus.PAUSED)
        if self.drained and not self.gave_up and self.sweep.known_state().name in open_states:
            return DRAINED
        return int(self.gave_up or 0 < self._limits.ended == self._limits.failed)

    # --- working

    def run(self) -> None:
        """Work in the calling thread, one run at a time, until the agent leaves.

        Raises:
            LightsweepError: The reason why the agent cannot go on.
        """
        with self._working():
            self._slot(self._slots[0])

    def run_slots(self, wait: Callable[[threading.Thread], None]) -> None:
        """Work in a thread for each slot; the calling thread, which gets the signals, calls ``wait`` for each."""
        with self._working():
            threads = [
                # Daemons, since a database that hangs must not keep the process from ending.
                threading.Thread(target=self._slot, args=(slot,), name=f"lightsweep-slot-{number}", daemon=True)
                for number, slot in enumerate(self._slots)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                wait(thread)

    @contextmanager
    def _working(self) -> Iterator[None]:
        try:
            self._launcher.check()
            make_directory(self._directory)
            self._shared = SharedFiles(Path.cwd())
            self._heartbeat.start()
            yield
        finally:
            self._heartbeat.close()
            self._claimer.close()
            self._launcher.close()
            self._writer.close()
            self._reporter.close()
            self._rescue()
            self.display.close()
        if self._error is not None:
            raise self._error
        if self.signalled:
            self.leave(f"the agent was told to end ({signal.Signals(self.signalled).name})")
        self.left = self.left or f"count {self._count} reached"

    def _slot(self, environment: Mapping[str, str]) -> None:
        try:
            while self._may_begin() and self._permits.acquire(blocking=False):
                found = self._claim()
                if found is None:
                    self._permits.release()
                else:
                    self._serve(found, environment)
        except KeyboardInterrupt:
            self.leave("interrupted")
        except OSError as error:
            self._fail(LightsweepError(f"the agent cannot go on: {error}"))
        except BaseException as error:  # kept, so that the thread that called the agent raises it
            self._fail(error)

    def _may_begin(self) -> bool:
        """Return whether the agent may begin another run; it leaves if its job ends too soon."""
        if self._leaving.is_set() or self.signalled:
            return False
        if self._drain is not None and (why := self._drain.reason(time.time())):
            self.drained = True
            self.leave(why)
            if running := len(self.active_runs()):
                self.display.note(f"{why}; {counted(running, 'running run')} {'goes' if running == 1 else 'go'} on")
            return False
        return True

    def _claim(self) -> ClaimedRun | None:
        try:
            found = self._claimer.next_run()
        except StorageUnavailableError as error:
            self._outage.note("claims", str(error))
            self._leaving.wait(random.uniform(0.5, 1.5) * _PAUSE_SECONDS)  # hundreds of agents do not come back at once
            return None
        self._outage.note("claims", "")
        if isinstance(found, ClaimedRun):
            self._idle, self._waiting_for = _LAST_RUNS_SECONDS, ""
            return found
        if not (found.for_good or found.exhausted) and found.reason != self._waiting_for:
            self._waiting_for = found.reason
            self.display.note(
                f"{found.reason}; waiting for: lightsweep resume {self.sweep.id}{self.sweep.storage.option}"
            )
        if found.for_good:
            self.leave(found.reason)
        else:
            self._leaving.wait(self._idle if found.exhausted else _PAUSE_SECONDS)
            self._idle = min(1.2 * self._idle, _LONGEST_PAUSE_SECONDS)
        return None

    def _serve(self, run: ClaimedRun, environment: Mapping[str, str]) -> None:
        active = ActiveRun(run, self.sweep, self._reporter, self._directory / run.id, environment, self._term_timeout)
        with self._lock:
            self._active.append(active)
            told = self._told
        if told is not None:  # while the run was claimed
            active.end(*told)
        try:
            self._finish(active, self._outcome(active))
        except BaseException as error:
            if not active.ending:
                self._finish(active, Outcome(RunState.LOST, f"the agent failed: {error}"))
            raise
        finally:
            with self._lock:
                self._active.remove(active)

    def _outcome(self, active: ActiveRun) -> Outcome:
        run = active.run
        if active.killed:
            return Outcome(active.outcome, active.killed)
        active.directory.mkdir(parents=True, exist_ok=True)
        began = time.time_ns()
        emit = (lambda text: self.display.output(run, text)) if self._show_output else None
        self.display.started(run)
        try:
            here = place_variables(places(self.sweep.id, run.id, active.directory))
            job = self._launcher.start(run, active, active.directory, {**active.environment, **here}, emit)
        except CommandError as error:
            return Outcome(RunState.FAILED, str(error))
        active.begin(job)
        status = job.wait()
        if status.interrupted:
            active.end("interrupted", RunState.KILLED)
            self.leave("interrupted")
        outcome = classify_exit(self.sweep.config, active, status)
        shared = ""
        if self._shared is not None:
            if note := self._shared.look(run.id, began):
                self.display.note(note)
            if outcome.state == RunState.FAILED and (where := self._shared.resumed_from(began)):
                shared = (
                    f"{where} holds checkpoints of an earlier run: if the script resumes from its output_dir, give "
                    "each run its own, such as --output_dir=${run_dir} in `command`"
                )
        return replace(outcome, reason="; ".join(filter(None, [outcome.reason, run.not_finite, shared])))

    def _finish(self, active: ActiveRun, outcome: Outcome) -> None:
        active.ending = True
        kept = self._record(active, outcome)
        if kept is None:
            self.display.note(f"the end of run {active.run.id} was not recorded; an agent will retry it")
            return
        if not kept:
            self.display.note(f"run {active.run.id} was taken over by another agent")
            return
        if outcome.state in {RunState.FINISHED, RunState.PRUNED}:
            discard_checkpoint(active.directory)
        self.display.ended(active.run, outcome)
        with suppress(StorageUnavailableError):
            for lost in self._checkpoints.clear():
                self.display.hint(f"removed the checkpoints of run {lost}, which is not among the best")
        if len(active.reporters) > 1 and not self._told_of_reporters:
            self._told_of_reporters = True
            self.display.note(
                f"run {active.run.id}: {len(active.reporters)} of its processes have logged the metric, and each value "
                "counts as an iteration; call init(group=...) in workers, and log one value for all of them"
            )
        if outcome.state in {RunState.KILLED, RunState.LOST}:
            return
        failed = outcome.state == RunState.FAILED
        with self._lock:
            why = self._limits.note(failed, time.monotonic())
        if why:
            self.gave_up = True
            self.leave(f"giving up: {why}; last: {outcome.reason}")

    def _record(self, active: ActiveRun, outcome: Outcome) -> bool | None:
        """Write the end of a run, however long the storage is away; ``None`` if the agent has to leave before."""
        told = False
        while True:
            try:
                if self._writer.flush(_PAUSE_SECONDS):
                    return self._reporter.finish(active.run, outcome)
            except StorageUnavailableError as error:
                if not told:
                    told = True
                    self.display.note(f"{error}; the end of run {active.run.id} waits to be recorded")
                self._abandon.wait(_PAUSE_SECONDS)
            if self._abandon.is_set() or (active.outcome == RunState.LOST and active.overdue()):
                return None

    def _rescue(self) -> None:
        """Save the content of an SQLite file that was removed or replaced meanwhile."""
        try:
            saved = self.sweep.storage.rescue()
        except (StorageError, sqlite3.Error) as error:
            self.display.note(f"the content of the storage could not be saved: {error}")
            return
        if saved is not None:
            self.display.note(
                f"the content of the storage is saved in {saved}; continue with the storage sqlite:///{saved}"
            )

    # --- leaving

    def leave(self, reason: str) -> None:
        """Start no more runs; running ones continue."""
        with self._lock:
            self.left = self.left or reason
        self._leaving.set()

    def terminate(self, reason: str, *, outcome: RunState = RunState.KILLED) -> None:
        """Ask every run to end, and kill it ``term_timeout`` seconds later; start no more."""
        with self._lock:
            self._told = self._told or (reason, outcome)
        self.leave(reason)
        for active in self.active_runs():
            active.end(reason, outcome)
        self._launcher.hurry()

    def kill(self) -> None:
        """End every run now, and wait no longer for a storage that does not answer."""
        self._abandon.set()
        for active in self.active_runs():
            active.kill()
        self._launcher.hurry()

    def signal(self, number: int) -> None:
        """Pass a signal on to every run."""
        for active in self.active_runs():
            if active.job:
                active.job.signal(number)

    def active_runs(self) -> list[ActiveRun]:
        """Return the runs that the agent works on now."""
        with self._lock:
            return list(self._active)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self.leave("an error")

    def _give_back(self, error: BaseException) -> None:
        self._fail(error)
        self.terminate("the agent failed", outcome=RunState.LOST)
