"""The agent: claims runs, starts them, listens to them, and records how they ended."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lightsweep.agents.conclude import conclude
from lightsweep.agents.events import Display
from lightsweep.agents.handler import RunHandler
from lightsweep.agents.launch import Ended, Launcher, Started
from lightsweep.agents.limits import FailureLimits
from lightsweep.controller import Dealer, LiveRun, NothingToDo, Outcome, Reporter, Sweep, Writer
from lightsweep.errors import CommandError, LightsweepError, StorageUnavailableError

__all__ = ["Agent", "Hand"]

_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 1.0
_LAST_RUNS_SECONDS = 0.2
_HEARTBEATS_PER_LEASE = 4


@dataclass(eq=False)
class Hand:
    """A run that the agent has in hand, with its process.

    Attributes:
        run: The run.
        started: Its process, or the call of its function; ``None`` before it began.
        killed: Why the agent ended it; empty while it did not.
        outcome: ``killed``, or ``lost`` where another agent shall start it again.
        kill_at: When to kill it, in seconds of the monotonic clock; ``None`` unless it was told to end.
        ending: Whether its process ended, so that only the storage has to hear of it.
    """

    run: LiveRun
    started: Started | None = None
    killed: str = ""
    outcome: str = "killed"
    kill_at: float | None = None
    ending: bool = False


class Agent:
    """Works on one sweep until there is nothing left to do, or it is told to leave.

    Args:
        sweep: The sweep.
        launcher: Starts the runs.
        display: Hears what happens.
        directory: Where the directories of runs are, ``lightsweep_runs`` here by default.
        count: Leave after this number of runs; ``None`` for no limit.
        jobs: Number of runs at once.
        max_consecutive_failed: See :class:`FailureLimits`.
        term_timeout: Seconds between SIGTERM and SIGKILL.
        show_output: Whether the display gets what runs print; only with one job.
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
        max_consecutive_failed: int | None = None,
        term_timeout: float = 30.0,
        show_output: bool = False,
    ) -> None:
        self.sweep = sweep
        self.display = display or Display()
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}"
        self.left = ""
        self.gave_up = False
        self.failed = 0
        self._launcher = launcher
        self._directory = (directory or Path("lightsweep_runs")).absolute() / sweep.id
        self._count, self._jobs = count, jobs
        self._term_timeout = term_timeout
        self._show_output = show_output and jobs == 1
        self._limits = FailureLimits(max_consecutive_failed, time.monotonic())
        self._writer = Writer(sweep.storage, self._outage)
        self._dealer = Dealer(sweep, self.name)
        self._reporter = Reporter(sweep, self._writer)
        self._lock = threading.Lock()
        self._begun = 0
        self._hands: list[Hand] = []
        self._leaving = threading.Event()
        self._over = threading.Event()
        self._error: BaseException | None = None

    # --- working

    def run(self) -> None:
        """Work in the calling thread, one run at a time; returns when the agent leaves.

        Raises:
            LightsweepError: What made it impossible to go on.
        """
        self._with_keeper(self._slot)

    def run_slots(self, wait: Callable[[threading.Thread], None]) -> None:
        """Work in ``jobs`` threads, while the calling thread, which gets the signals, waits for each by ``wait``."""

        def work() -> None:
            slots = [threading.Thread(target=self._slot, name=f"lightsweep-slot-{n}") for n in range(self._jobs)]
            for slot in slots:
                slot.start()
            for slot in slots:
                wait(slot)

        self._with_keeper(work)

    def _with_keeper(self, work: Callable[[], None]) -> None:
        keeper = threading.Thread(target=self._keep, name="lightsweep-keeper", daemon=True)
        try:
            self._launcher.check()
            keeper.start()
            work()
        finally:
            self._over.set()
            if keeper.is_alive():
                keeper.join()
            self._launcher.close()
            self._writer.close()
            self.display.close()
        if self._error is not None:
            raise self._error

    def _slot(self) -> None:
        try:
            while not self._leaving.is_set() and self._reserve():
                found = self._claim()
                if found is None:
                    self._release()
                else:
                    self._serve(found)
        except KeyboardInterrupt:
            self.leave("interrupted")
        except BaseException as error:  # kept, so that the main thread raises it
            self._error = self._error or error
            self.leave("an error")

    def _reserve(self) -> bool:
        with self._lock:
            if self._count is not None and self._begun >= self._count:
                self.left = self.left or f"--count {self._count} reached"
                return False
            self._begun += 1
            return True

    def _release(self) -> None:
        with self._lock:
            self._begun -= 1

    def _claim(self) -> LiveRun | None:
        try:
            found = self._dealer.next_run()
        except StorageUnavailableError as error:
            self.display.note(f"{error}; trying again")
            self._leaving.wait(_PAUSE_SECONDS)
            return None
        if isinstance(found, LiveRun):
            return found
        self._idle(found)
        return None

    def _idle(self, why: NothingToDo) -> None:
        # What this agent has in hand itself may yet have to be started again.
        if why.for_good and not (why.exhausted and self.hands()):
            self.leave(why.reason)
        else:
            self._leaving.wait(_PAUSE_SECONDS if not why.for_good else _LAST_RUNS_SECONDS)

    def _serve(self, run: LiveRun) -> None:
        hand = Hand(run)
        with self._lock:
            self._hands.append(hand)
        directory = self._directory / run.id
        handler = RunHandler(self.sweep, run, self._reporter, directory)
        try:
            outcome = self._outcome(hand, handler, directory)
            hand.ending = True
            self._finish(hand, outcome)
        except BaseException as error:
            hand.ending = True
            self._finish(hand, Outcome("lost", f"the agent failed: {error}"))
            raise
        finally:
            with self._lock:
                self._hands.remove(hand)

    def _outcome(self, hand: Hand, handler: RunHandler, directory: Path) -> Outcome:
        run = hand.run
        directory.mkdir(parents=True, exist_ok=True)
        emit = (lambda text: self.display.output(run, text)) if self._show_output else None
        self.display.started(run)
        try:
            started = self._launcher.start(handler, directory, emit)
        except CommandError as error:
            return Outcome("failed", str(error))
        with self._lock:
            hand.started = started
        if hand.killed:  # told to end before it began
            started.terminate()
        ended = started.wait()
        return self._conclude(hand, handler, ended)

    def _conclude(self, hand: Hand, handler: RunHandler, ended: Ended) -> Outcome:
        if ended.interrupted:
            self._mark(hand, "interrupted", "killed")
            self.leave("interrupted")
        outcome = conclude(
            self.sweep.config,
            hand.run,
            exit_code=ended.exit_code,
            connected=handler.connected,
            said=handler.said,
            killed=hand.killed,
            last_line=ended.last_line,
        )
        return Outcome(hand.outcome, outcome.reason, outcome.unread) if outcome.state == "killed" else outcome

    def _finish(self, hand: Hand, outcome: Outcome) -> None:
        told = False
        while True:
            try:
                kept = self._reporter.finish(hand.run, outcome)
                break
            except StorageUnavailableError as error:
                if not told:
                    told = True
                    self.display.note(f"{error}; the end of run {hand.run.id} waits to be recorded")
                if self._over.wait(_PAUSE_SECONDS):
                    return
        if not kept:
            self.display.note(f"run {hand.run.id} was taken over by another agent")
            return
        self.display.ended(hand.run, outcome)
        failed = outcome.state == "failed"
        with self._lock:
            self.failed += failed
            if outcome.state in {"killed", "lost"}:
                return
            why = self._limits.note(failed, time.monotonic())
        if why:
            self.gave_up = True
            self.leave(f"giving up: {why}; last: {outcome.reason}")

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
            self._mark(hand, reason, outcome)

    def kill(self) -> None:
        """End every run now."""
        for hand in self.hands():
            if hand.started:
                hand.started.kill()

    def signal(self, number: int) -> None:
        """Pass a signal on to every run."""
        for hand in self.hands():
            if hand.started:
                hand.started.signal(number)

    def hands(self) -> list[Hand]:
        """The runs in hand now."""
        with self._lock:
            return list(self._hands)

    def _mark(self, hand: Hand, reason: str, outcome: str) -> None:
        if hand.killed:
            return
        hand.outcome, hand.killed = outcome, reason
        hand.kill_at = time.monotonic() + self._term_timeout
        self._reporter.stop(hand.run, reason)
        if hand.started:
            hand.started.terminate()

    # --- keeping

    def _keep(self) -> None:
        """Send signs of life, hear what the user asks of the sweep, kill what does not end, show the state."""
        lease = self.sweep.config.options.lease
        next_beat = time.monotonic() + lease / _HEARTBEATS_PER_LEASE
        while not self._over.wait(min(_POLL_SECONDS, lease / _HEARTBEATS_PER_LEASE)):
            now = time.monotonic()
            try:
                if now >= next_beat:
                    self._beat()
                    next_beat = now + lease / _HEARTBEATS_PER_LEASE
                self._listen()
            except StorageUnavailableError:
                pass  # the writer says so; the next round tries again
            except LightsweepError as error:
                self.display.note(str(error))
            for hand in self.hands():
                if hand.started and hand.kill_at is not None and now >= hand.kill_at:
                    hand.started.kill()
            self.display.tick([hand.run for hand in self.hands()], self.sweep)

    def _beat(self) -> None:
        for hand in self.hands():
            self.sweep.beat(hand.run.trial_id)

    def _listen(self) -> None:
        state = self.sweep.state
        if state.name == "cancelled":
            self.terminate("the sweep was cancelled")
        elif state.name in {"stopped", "finished"}:
            self.leave(f"the sweep is {state}")
        for hand in self.hands():
            if hand.ending:
                continue
            if hand.run.taken or self.sweep.lost(hand.run.id, hand.run.trial_id):
                hand.run.taken = True
                self._mark(hand, "another agent took the run over", "lost")

    def _outage(self, away: bool) -> None:
        with suppress(LightsweepError):
            self.display.note(
                "the storage does not answer: training goes on, reports wait here" if away else "the storage is back"
            )
