"""Say once that the storage is away, and once that it is back, whichever of an agent's threads notice it."""

from __future__ import annotations

import threading

from lightsweep.agents.displays.base import Display

__all__ = ["OutageNotes"]


class OutageNotes:
    """The messages about an outage; safe from several threads.

    The parts of an agent are told apart, since a full disk can be read but not written to: the storage is back once
    each part that it failed has succeeded again.

    Args:
        display: Shows them.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._lock = threading.Lock()
        self._failing: set[str] = set()

    def away(self, part: str, reason: str) -> None:
        """Note that the storage failed a part of the agent, such as ``claims``."""
        with self._lock:
            told = bool(self._failing)
            self._failing.add(part)
        if not told:
            self._display.note(f"{reason}; runs go on, reports and new runs wait until it is back")

    def back(self, part: str) -> None:
        """Note that a part of the agent succeeded."""
        with self._lock:
            told = part in self._failing
            self._failing.discard(part)
            told = told and not self._failing
        if told:
            self._display.note("the storage is back")
