"""Say once that the storage is away, and once that it is back, whoever of an agent's threads noticed."""

from __future__ import annotations

import threading

from lightsweep.agents.displays.base import Display

__all__ = ["OutageNotes"]


class OutageNotes:
    """What people hear of an outage; safe from several threads.

    Args:
        display: Shows it.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._lock = threading.Lock()
        self._away = False

    def away(self, reason: str = "the storage does not answer") -> None:
        """Note that the storage does not answer."""
        with self._lock:
            told, self._away = self._away, True
        if not told:
            self._display.note(f"{reason}; runs go on, reports and new runs wait until it is back")

    def back(self) -> None:
        """Note that it answers."""
        with self._lock:
            told, self._away = self._away, False
        if told:
            self._display.note("the storage is back")
