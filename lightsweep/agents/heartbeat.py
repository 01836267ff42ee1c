"""What an agent does once a second beside its runs: signs of life, orders of the user, the display."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from lightsweep.agents.active_run import Hand
from lightsweep.agents.displays.base import Display
from lightsweep.agents.outage import OutageNotes
from lightsweep.controller import Refresher, Sweep
from lightsweep.errors import StorageUnavailableError

__all__ = ["Keeper"]

_POLL_SECONDS = 1.0
_BEATS_PER_LEASE = 4
_CLOSE_SECONDS = 5.0
_PATIENCE_SECONDS = 4.0  # a machine may be busy, and to say that the storage is away would be noise


class Keeper:
    """A thread that keeps the runs of an agent alive in the storage and hears what the user asks of the sweep.

    Args:
        sweep: The sweep.
        display: Shows the state.
        hands: The runs in hand now.
        leave: Called with the reason when no more runs are to be started.
        end: Called for a run that is to end, with the reason and ``killed`` or ``lost``.
        failed: Called with an exception that makes it impossible to go on.
        outage: Hears whether the storage answers.
    """

    def __init__(
        self,
        sweep: Sweep,
        display: Display,
        *,
        hands: Callable[[], list[Hand]],
        leave: Callable[[str], None],
        end: Callable[[Hand, str, str], None],
        failed: Callable[[BaseException], None],
        outage: OutageNotes,
    ) -> None:
        self._sweep = sweep
        self._display = display
        self._hands = hands
        self._leave = leave
        self._end = end
        self._failed = failed
        self._outage = outage
        self._refresher = Refresher(sweep, patience=_PATIENCE_SECONDS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lightsweep-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, unless it hangs in the database; does nothing where it never began."""
        self._over.set()
        self._refresher.close()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        try:
            self._keep()
        except BaseException as error:  # without a keeper other agents would take the runs: the agent must hear of it
            self._failed(error)

    def _keep(self) -> None:
        last_beat = time.monotonic()
        while not self._over.wait(min(_POLL_SECONDS, self._between())):
            if self._refresher.refresh():
                self._outage.back("looks")
                now = time.monotonic()
                if now >= last_beat + self._between() and self._beat():
                    last_beat = now
                self._listen()
            else:
                self._outage.away("looks", self._refresher.reason)
            self._display.tick([hand.run for hand in self._hands()], self._sweep)

    def _between(self) -> float:
        """Seconds between two signs of life, by the lease as it is now: that is what the others go by."""
        return self._sweep.config.options.lease / _BEATS_PER_LEASE

    def _beat(self) -> bool:
        try:
            for hand in self._hands():
                self._sweep.beat(hand.run.trial_id)
        except StorageUnavailableError:
            return False  # the next round tries again
        return True

    def _listen(self) -> None:
        state = self._sweep.known_state()
        if state.name == "cancelled":
            self._leave("the sweep was cancelled")
            for hand in self._hands():
                self._end(hand, "the sweep was cancelled", "killed")
        elif state.name in {"stopped", "finished"}:
            self._leave(f"the sweep is {state}")
        for hand in self._hands():
            if not hand.ending and (hand.run.taken or self._sweep.lost(hand.run.id, hand.run.trial_id)):
                hand.run.taken = True
                self._end(hand, "another agent took the run over", "lost")
