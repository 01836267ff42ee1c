"""The live view of a sweep on a terminal: of an agent while it works, and of ``lightsweep status --watch``."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lightsweep.agents.displays.base import Display
from lightsweep.agents.displays.events import STYLES, Event, EventLog, seen
from lightsweep.agents.displays.frame import ASCII, MARKS, Frame
from lightsweep.controller import ClaimedRun, Outcome, Sweep, SweepRun
from lightsweep.controller.forecast import forecast_text
from lightsweep.controller.summary import part_views, summarize
from lightsweep.text import printable

_LONGEST_LINE = 2**16  # bytes of an unfinished line that are kept, such as of a progress bar


class LiveView:
    """The sweep at the end of a terminal, written again in place, below a log of one line for each run that ends.

    Args:
        console: The terminal.
        sweep: The sweep.
        redirect: Write what is printed elsewhere in this process above it.
    """

    def __init__(self, console: Console, sweep: Sweep, *, redirect: bool) -> None:
        self.console = console
        self._sweep = sweep
        self._marks = MARKS if "utf" in console.encoding.lower() else ASCII
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=redirect, redirect_stderr=redirect
        )
        self._live.start()
        self._last: list[Text] = []

    def show(
        self,
        running: Sequence[SweepRun],
        now: datetime,
        *,
        silent: Mapping[str, timedelta] | None = None,
        alone: bool = True,
        printing: str = "",
    ) -> Frame:
        """Show the sweep as of the last look at it, and return what is shown.

        Args:
            running: The runs to show one by one.
            now: The time.
            silent: See `SweepReader.silences`.
            alone: Whether nobody else tells that agents work on the sweep.
            printing: See `Frame`.
        """
        summary = summarize(self._sweep)
        standing = summary.standing(silent or {}) if alone else str(summary.state)
        parts, more = part_views(self._sweep), forecast_text(self._sweep)
        frame = Frame(summary, running, now, parts, self._marks, standing, silent or {}, printable(printing), more)
        self._last = frame.lines(self.console.width, self.console.height)
        self._draw(self._last)
        return frame

    def show_beside(self, text: str) -> None:
        """Show a message below what was shown last."""
        self._draw([*self._last, Text(printable(text), style="yellow")])

    def log(self, events: Iterable[Event]) -> None:
        """Print events above the sweep, each in one line; a failure has a second one, which says where to look."""
        signs = {"best": self._marks.best, "front": self._marks.best, "failed": self._marks.failed}
        for event in events:
            sign = f"{signs.get(event.mark, ' ')} " if event.run else ""
            for text in filter(None, [f"{sign}{event.text}", f"  {event.more}" if event.more else ""]):
                line = Text(text, style=STYLES.get(event.mark, ""), no_wrap=True, end="\n")
                line.truncate(self.console.width, overflow="ellipsis")
                self.print(line)

    def print(self, text: Text) -> None:
        """Print a text above the sweep."""
        self._live.console.print(text, soft_wrap=True)

    def close(self, *, keep: bool = False) -> None:
        """Leave the terminal to others; ``keep`` what was shown last."""
        self._live.transient = not keep
        self._live.stop()

    def _draw(self, lines: Sequence[Text]) -> None:
        # Text, so that no name is taken for markup; an empty line keeps it apart from the log.
        text = Text("\n", no_wrap=True, overflow="crop").join([Text(""), *lines])
        text.no_wrap, text.overflow = True, "crop"
        self._live.update(text, refresh=True)


class LiveDisplay(Display):
    """The live view of an agent: its own running runs, and the log of those that ended.

    Args:
        console: The terminal.
        sweep: The sweep.
    """

    def __init__(self, console: Console, sweep: Sweep) -> None:
        self._sweep = sweep
        self._lock = threading.RLock()
        self._partial = b""
        self._running: list[ClaimedRun] = []
        self._log = EventLog(sweep)
        self._view = LiveView(console, sweep, redirect=True)

    def started(self, run: ClaimedRun) -> None:
        with self._lock:
            self._running.append(run)
            self._view.log(event for event in self._log.started(run) if not event.run)
            self._update()

    def output(self, run: ClaimedRun, text: bytes) -> None:
        del run
        with self._lock:
            *lines, partial = (self._partial + text).split(b"\n")
            self._partial = partial[-_LONGEST_LINE:]
            for line in lines:
                self._view.print(_shown(line))

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        with self._lock:
            if self._partial:
                self._view.print(_shown(self._partial))
                self._partial = b""
            self._running = [each for each in self._running if each is not run]
            events = list(self._log.finished(run, outcome))
            self._update()
            self._view.log(events)

    def note(self, text: str) -> None:
        with self._lock:
            self._view.print(Text(printable(f"lightsweep: {text}"), style="yellow"))

    def hint(self, text: str) -> None:
        with self._lock:
            self._view.print(Text(printable(f"lightsweep: {text}"), style="dim"))

    def tick(self, live: Sequence[ClaimedRun], sweep: Sweep) -> None:
        del sweep
        with self._lock:
            self._running = list(live)
            self._update()

    def close(self) -> None:
        with self._lock:
            self._view.close()

    def _update(self) -> None:
        running = [seen(run, self._sweep) for run in self._running]
        printing = _shown(self._partial).plain if self._partial else ""
        self._view.show(running, datetime.now(timezone.utc), alone=False, printing=printing)


def _shown(line: bytes) -> Text:
    """Return a line of a run's output with its colours, but without other control sequences."""
    # Of a progress bar, which overwrites itself, the last state.
    shown = Text.from_ansi(line.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode(errors="replace"))
    shown.plain = printable(shown.plain)
    return shown
