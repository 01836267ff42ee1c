"""What an agent tells while it works; a display shows it."""

from __future__ import annotations

from collections.abc import Sequence

from lightsweep.controller import LiveRun, Outcome, Sweep

__all__ = ["Display"]


class Display:
    """Hears everything and shows nothing; the displays of the terminal extend it. Called from several threads."""

    def started(self, run: LiveRun) -> None:
        """A run began."""

    def output(self, run: LiveRun, text: bytes) -> None:
        """A run printed something; only told where there is one slot."""

    def ended(self, run: LiveRun, outcome: Outcome) -> None:
        """A run ended."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def tick(self, live: Sequence[LiveRun], sweep: Sweep) -> None:
        """Once a second: the runs that the agent has in hand, and the sweep as of the last look at it."""

    def close(self) -> None:
        """The agent leaves."""
