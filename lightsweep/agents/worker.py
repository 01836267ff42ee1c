"""The agent: claims runs, starts them, listens to them, and records how they ended."""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lightsweep.agents.active_run import Hand
from lightsweep.agents.checkpoint import discard_checkpoint
from lightsweep.agents.directory import RUNS, make_directory
from lightsweep.agents.displays.base import Display, GuardedDisplay
from lightsweep.agents.exit_status import conclude
from lightsweep.agents.handler import RunHandler
from lightsweep.agents.heartbeat import Keeper
from lightsweep.agents.launchers.process import Ended, Launcher
from lightsweep.agents.limits import FailureLimits
from lightsweep.agents.outage import OutageNotes
from lightsweep.controller import ClaimedRun, Outcome, Reporter, RunClaimer, Sweep, Writer
from lightsweep.errors import CommandError, LightsweepError, StorageError, StorageUnavailableError

__all__ = ["Agent"]

_PAUSE_SECONDS = 1.0
_LAST_RUNS_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0


class Agent:
    """Works on one sweep until there is nothing left to do, or it is told to leave.

    Args:
        sweep: The sweep.
        launcher: Starts the runs.
        display: Hears what happens.
        directory: Where the directories of runs are, ``lightsweep_runs`` here by default.
        count: Leave after this number of runs; ``None`` for no limit.
        jobs: Number of runs at once.
        slots: For each run at once the variables that its process gets besides; ``jobs`` empty ones by default.
        max_consecutive_failed: See :class:`FailureLimits`.
        term_timeout: Seconds between SIGTERM and SIGKILL.
        show_output: Whether the display gets what runs print; only with one job.
        stay: See :class:`RunClaimer`.

    Attributes:
        name: Host, process and a random part: unique among the agents.
        left: Why it left, in words; empty while it works.
        gave_up: Whether it left because too many runs failed.
        ended: Number of runs that ended by themselves, were stopped early or failed.
        failed: Number of those that failed.
        signalled: The signal that made it leave; 0 where none did.
    """

    def __init__(
        self,
        sweep: Sweep,
        launcher: Launcher,
        *,
        display: Display | None = None,
        directory: Path | None = None,
        count: int | None = None,
        jobs: int = 1,
        slots: Sequence[Mapping[str, str]] | None = None,
        max_consecutive_failed: int | None = None,
        term_timeout: float = 30.0,
        show_output: bool = False,
        stay: bool = False,
    ) -> None:
        self.sweep = sweep
        self.display: Display = GuardedDisplay(display or Display())
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"
        self.left = ""
        self.gave_up = False
        self.ended = 0
        self.failed = 0
        self.signalled = 0
        self._launcher = launcher
        self._directory = (directory or RUNS).absolute() / sweep.id
        self._count = count
        self._slots: Sequence[Mapping[str, str]] = [{}] * jobs if slots is None else slots
        self._term_timeout = term_timeout
        self._show_output = show_output and len(self._slots) == 1
        self._limits = FailureLimits(max_consecutive_failed, time.monotonic())
        self._lock = threading.Lock()
        self._begun = 0
        self._idle = _LAST_RUNS_SECONDS
        self._hands: list[Hand] = []
        self._leaving = threading.Event()
        self._abandon = threading.Event()
        self._error: BaseException | None = None
        self._outage = OutageNotes(self.display)
        self._writer = Writer(sweep.storage, self._reports_wait, self._give_back)
        self._dealer = RunClaimer(sweep, self.name, stay=stay)
        self._reporter = Reporter(sweep, self._writer)
        self._keeper = Keeper(
            sweep,
            self.display,
            hands=self.hands,
            leave=self.leave,
            end=self._end,
            failed=self._give_back,
            outage=self._outage,
        )

    @property
    def exit_code(self) -> int:
        """0 where it did what it was asked to, 1 where it gave up or all of its runs failed, 128 + N after signal N."""
        if self.signalled:
            return 128 + self.signalled
        return int(self.gave_up or 0 < self.ended == self.failed)

    # --- working

    def run(self) -> None:
        """Work in the calling thread, one run at a time; returns when the agent leaves.

        Raises:
            LightsweepError: What made it impossible to go on.
        """
        self._work(lambda: self._slot(self._slots[0]))

    def run_slots(self, wait: Callable[[threading.Thread], None]) -> None:
        """Work in a thread for each slot; the calling thread, which gets the signals, waits for each by ``wait``."""

        def work() -> None:
            threads = [
                # Daemons, since a database that hangs must not keep the process from ending.
                threading.Thread(target=self._slot, args=(slot,), name=f"lightsweep-slot-{number}", daemon=True)
                for number, slot in enumerate(self._slots)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                wait(thread)

        self._work(work)

    def _work(self, work: Callable[[], None]) -> None:
        try:
            self._launcher.check()
            make_directory(self._directory)
            self._keeper.start()
            work()
        finally:
            self._keeper.close()
            self._launcher.close()
            self._writer.close()
            self._reporter.close()
            self._rescue()
            self.display.close()
        if self._error is not None:
            raise self._error
        self.left = self.left or f"--count {self._count} reached"

    def _slot(self, environment: Mapping[str, str]) -> None:
        try:
            while not self._leaving.is_set() and self._reserve():
                found = self._claim()
                if found is None:
                    self._release()
                else:
                    self._serve(found, environment)
        except KeyboardInterrupt:
            self.leave("interrupted")
        except OSError as error:
            self._fail(LightsweepError(f"the agent cannot go on: {error}"))
        except BaseException as error:  # kept, so that the thread that called the agent raises it
            self._fail(error)

    def _reserve(self) -> bool:
        with self._lock:
            if self._count is not None and self._begun >= self._count:
                return False
            self._begun += 1
            return True

    def _release(self) -> None:
        with self._lock:
            self._begun -= 1

    def _claim(self) -> ClaimedRun | None:
        try:
            found = self._dealer.next_run()
        except StorageUnavailableError as error:
            self._outage.away("claims", str(error))
            self._leaving.wait(_PAUSE_SECONDS)
            return None
        self._outage.back("claims")
        if isinstance(found, ClaimedRun):
            self._idle = _LAST_RUNS_SECONDS
            return found
        if found.for_good:
            self.leave(found.reason)
        else:
            self._leaving.wait(self._idle if found.exhausted else _PAUSE_SECONDS)
            self._idle = min(1.2 * self._idle, _LONGEST_PAUSE_SECONDS)
        return None

    def _serve(self, run: ClaimedRun, environment: Mapping[str, str]) -> None:
        hand = Hand(run, environment)
        with self._lock:
            self._hands.append(hand)
        try:
            outcome = self._outcome(hand)
            hand.ending = True
            self._finish(hand, outcome)
        except BaseException as error:
            if not hand.ending:
                hand.ending = True
                self._finish(hand, Outcome("lost", f"the agent failed: {error}"))
            raise
        finally:
            with self._lock:
                self._hands.remove(hand)

    def _outcome(self, hand: Hand) -> Outcome:
        run = hand.run
        directory = self._directory / run.id
        directory.mkdir(parents=True, exist_ok=True)
        handler = hand.handler = RunHandler(self.sweep, run, self._reporter, directory)
        emit = (lambda text: self.display.output(run, text)) if self._show_output else None
        self.display.started(run)
        try:
            started = self._launcher.start(handler, directory, emit, hand.environment)
        except CommandError as error:
            return Outcome("failed", str(error))
        hand.begin(started)
        return self._conclude(hand, handler, started.wait())

    def _conclude(self, hand: Hand, handler: RunHandler, ended: Ended) -> Outcome:
        if ended.interrupted:
            self._end(hand, "interrupted", "killed")
            self.leave("interrupted")
        outcome = conclude(
            self.sweep.config,
            hand.run,
            exit_code=ended.exit_code,
            connected=handler.connected,
            said=handler.said,
            killed=hand.killed,
            before=hand.finished,
            last_line=ended.last_line,
        )
        state = hand.outcome if outcome.state == "killed" else outcome.state
        reason = "; ".join(filter(None, [outcome.reason, hand.run.not_finite]))
        return Outcome(state, reason, outcome.unread)

    def _finish(self, hand: Hand, outcome: Outcome) -> None:
        kept = self._record(hand, outcome)
        if kept is None:
            self.display.note(f"the end of run {hand.run.id} was not recorded; an agent will start it again")
            return
        if not kept:
            self.display.note(f"run {hand.run.id} was taken over by another agent")
            return
        if outcome.state in {"finished", "pruned"}:
            discard_checkpoint(self._directory / hand.run.id)
        self.display.ended(hand.run, outcome)
        if outcome.state in {"killed", "lost"}:
            return
        failed = outcome.state == "failed"
        with self._lock:
            self.ended += 1
            self.failed += failed
            why = self._limits.note(failed, time.monotonic())
        if why:
            self.gave_up = True
            self.leave(f"giving up: {why}; last: {outcome.reason}")

    def _record(self, hand: Hand, outcome: Outcome) -> bool | None:
        """Write the end of a run, however long the storage is away; ``None`` where the agent has to leave before."""
        told = False
        while True:
            try:
                if self._writer.flush(_PAUSE_SECONDS):
                    return self._reporter.finish(hand.run, outcome)
            except StorageUnavailableError as error:
                if not told:
                    told = True
                    self.display.note(f"{error}; the end of run {hand.run.id} waits to be recorded")
                self._abandon.wait(_PAUSE_SECONDS)
            if self._abandon.is_set() or (hand.outcome == "lost" and hand.overdue()):
                return None

    def _rescue(self) -> None:
        """Save what an SQLite file held that was removed or replaced meanwhile."""
        try:
            saved = self.sweep.storage.rescue()
        except (StorageError, sqlite3.Error) as error:
            self.display.note(f"what the storage held could not be saved: {error}")
            return
        if saved is not None:
            self.display.note(f"what the storage held is saved in {saved}; go on with --storage sqlite:///{saved}")

    # --- leaving

    def leave(self, reason: str) -> None:
        """Start no more runs; running ones go on."""
        with self._lock:
            self.left = self.left or reason
        self._leaving.set()

    def terminate(self, reason: str, *, outcome: str = "killed") -> None:
        """Ask every run to end, and kill it ``term_timeout`` seconds later; start no more."""
        self.leave(reason)
        for hand in self.hands():
            self._end(hand, reason, outcome)

    def kill(self) -> None:
        """End every run now, and wait no longer for a storage that does not answer."""
        self._abandon.set()
        for hand in self.hands():
            hand.kill()

    def signal(self, number: int) -> None:
        """Pass a signal on to every run."""
        for hand in self.hands():
            if hand.started:
                hand.started.signal(number)

    def hands(self) -> list[Hand]:
        """The runs in hand now."""
        with self._lock:
            return list(self._hands)

    def _end(self, hand: Hand, reason: str, outcome: str) -> None:
        if hand.end(reason, outcome, self._term_timeout):
            self._reporter.stop(hand.run, reason)

    def _reports_wait(self, reason: str) -> None:
        if reason:
            self._outage.away("reports", reason)
        else:
            self._outage.back("reports")

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self.leave("an error")

    def _give_back(self, error: BaseException) -> None:
        self._fail(error)
        self.terminate("the agent failed", outcome="lost")
