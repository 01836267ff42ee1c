"""The thread of an agent that keeps its runs alive in the storage, and what it says while the storage is away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from lightsweep.agents.active_run import ActiveRun
from lightsweep.agents.displays.base import Display
from lightsweep.controller import RunState, Sweep, SweepStatus
from lightsweep.controller.leases import lease_share
from lightsweep.controller.reports import Refresher
from lightsweep.errors import StorageUnavailableError

_POLL_SECONDS = 1.0
_SEEN_EACH_SECOND = 100
_LONGEST_PAUSE = 15.0  # a user who stops or cancels the sweep waits so long
_CLOSE_SECONDS = 5.0
_PATIENCE_SECONDS = 4.0  # on a busy machine, a message that the storage is away would be noise


@dataclass(eq=False)
class Heartbeat:
    """A thread that writes heartbeats for the runs of an agent, and acts on the state that users give to the sweep.

    Args:
        sweep: The sweep.
        display: Shows the state once a second.
        runs: Returns the runs that the agent works on.
        leave: Called with the reason if no more runs are to be started.
        terminate: Called with the reason if the runs are to end, too.
        failed: Called with an exception if the thread cannot go on.
        outage: Notes whether the storage answers.
        looked: Called after each look at the sweep.
    """

    sweep: Sweep
    display: Display
    runs: Callable[[], list[ActiveRun]]
    leave: Callable[[str], None]
    terminate: Callable[[str], None]
    failed: Callable[[BaseException], None]
    outage: OutageNotes
    looked: Callable[[], None]

    def __post_init__(self) -> None:
        looks = Looks(self.sweep, lambda: [active.run.trial_id for active in self.runs()])
        self._refresher = Refresher(looks, patience=_PATIENCE_SECONDS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lightsweep-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, if it was started; give up after five seconds if it hangs in the database."""
        self._over.set()
        self._refresher.close()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        try:
            self._keep()
        except BaseException as error:  # without heartbeats other agents would take the runs
            self.failed(error)

    def _keep(self) -> None:
        while not self._over.wait(pause(self.sweep)):
            if self._refresher.refresh():
                self.outage.note("looks", "")
                self._listen()
                self.looked()
            else:
                self.outage.note("looks", self._refresher.reason)
            self.display.tick([active.run for active in self.runs()], self.sweep)

    def _listen(self) -> None:
        state = self.sweep.known_state()
        if state.name == SweepStatus.CANCELLED:
            self.terminate("the sweep was cancelled")
        elif state.name in {SweepStatus.STOPPED, SweepStatus.FINISHED}:
            self.leave(f"the sweep is {state}")
        for active in self.runs():
            if not active.ending and (active.run.taken or self.sweep.lost(active.run.id, active.run.trial_id)):
                active.run.taken = True
                active.end("another agent took the run over", RunState.LOST)


class Looks:
    """The looks of an agent at its sweep while runs are at work.

    The heartbeats of its runs come before a look, which a busy server may answer late, since other agents take runs
    without heartbeats.

    Args:
        sweep: The sweep.
        trials: Returns the trials that the agent works on.
    """

    def __init__(self, sweep: Sweep, trials: Callable[[], list[int]]) -> None:
        self._sweep = sweep
        self._trials = trials
        self._beaten = time.monotonic()

    def refresh(self) -> None:
        """Write heartbeats if they are due, and look at the sweep; raises as :meth:`Sweep.refresh`."""
        trials, now = self._trials(), time.monotonic()
        if now >= self._beaten + lease_share(self._sweep):
            with suppress(StorageUnavailableError):  # the next look tries again
                self._sweep.beat(*trials)
                self._beaten = now
        self._sweep.refresh()


def pause(sweep: Sweep) -> float:
    """Return the seconds between two looks at the sweep.

    The looks of N agents are N times as many, for the server too. Beyond a hundred running runs agents look
    less often, but twice between two heartbeats, and every 15 seconds.
    """
    between = lease_share(sweep)
    crowded = min(len(sweep.running()) / _SEEN_EACH_SECOND, between / 2, _LONGEST_PAUSE)
    return min(max(_POLL_SECONDS, crowded), between)


class OutageNotes:
    """Says once that the storage is away, and once that it is back; safe from several threads.

    A full disk can be read but not written to, so the parts of an agent are noted one by one: the storage is back once
    each part that failed has succeeded again.

    Args:
        display: Shows them.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._lock = threading.Lock()
        self._failing: set[str] = set()

    def note(self, part: str, reason: str) -> None:
        """Note why a part of the agent, such as ``claims``, failed to reach the storage; empty if it succeeded."""
        with self._lock:
            before = bool(self._failing)
            if reason:
                self._failing.add(part)
            else:
                self._failing.discard(part)
            away = bool(self._failing)
        if away and not before:
            self._display.note(f"{reason}; runs continue; reports and new runs wait until it is back")
        elif before and not away:
            self._display.note("the storage is back")
