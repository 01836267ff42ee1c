"""What an agent tells while it works: a display shows it, and can fail without harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lightsweep.controller import ClaimedRun, Outcome, Sweep

__all__ = ["Display", "GuardedDisplay"]


class Display:
    """Hears everything and shows nothing; the displays of the terminal extend it. Called from several threads."""

    def started(self, run: ClaimedRun) -> None:
        """A run began."""

    def output(self, run: ClaimedRun, text: bytes) -> None:
        """A run printed something; only told where there is one slot."""

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        """A run ended."""

    def note(self, text: str) -> None:
        """Something that the user should know."""

    def tick(self, live: Sequence[ClaimedRun], sweep: Sweep) -> None:
        """Once a second: the runs that the agent has in hand, and the sweep as of the last look at it."""

    def close(self) -> None:
        """The agent leaves."""


class GuardedDisplay(Display):
    """Passes everything on to a display until that cannot write any more; from then on nothing is shown.

    Training does not depend on somebody who watches it.

    Args:
        display: The display.
    """

    def __init__(self, display: Display) -> None:
        self._display = display

    def started(self, run: ClaimedRun) -> None:
        self._tell(lambda: self._display.started(run))

    def output(self, run: ClaimedRun, text: bytes) -> None:
        self._tell(lambda: self._display.output(run, text))

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        self._tell(lambda: self._display.ended(run, outcome))

    def note(self, text: str) -> None:
        self._tell(lambda: self._display.note(text))

    def tick(self, live: Sequence[ClaimedRun], sweep: Sweep) -> None:
        self._tell(lambda: self._display.tick(live, sweep))

    def close(self) -> None:
        self._tell(self._display.close)

    def _tell(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError:
            self._display = Display()
        except UnicodeError:
            pass  # this terminal cannot show the text; it may show the next
        except ValueError as error:
            if "closed file" not in str(error):  # what a stream says that was closed in this process
                raise
            self._display = Display()
