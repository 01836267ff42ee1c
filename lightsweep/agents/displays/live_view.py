"""The live view of a sweep on a terminal: of an agent while it works, and of ``lightsweep status --watch``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lightsweep.agents.displays.base import Display
from lightsweep.agents.displays.events import STYLES, Event, EventLog, seen
from lightsweep.agents.displays.frame import ASCII, MARKS, Frame
from lightsweep.controller import ClaimedRun, Outcome, RunState, Sweep, SweepStatus
from lightsweep.errors import StorageUnavailableError
from lightsweep.text import printable

_LONGEST_LINE = 2**16  # bytes of an unfinished line that are kept, such as of a progress bar


class LiveView:
    """The sweep at the end of a terminal, written again in place, below a log of one line for each run that ends.

    Args:
        console: The terminal.
        redirect: Write what is printed elsewhere in this process above it.
    """

    def __init__(self, console: Console, *, redirect: bool) -> None:
        self.console = console
        self.marks = MARKS if "utf" in console.encoding.lower() else ASCII
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=redirect, redirect_stderr=redirect
        )
        self._live.start()
        self._last: list[Text] = []

    def show(self, frame: Frame) -> None:
        """Show the sweep at a moment."""
        self._last = frame.lines(self.console.width, self.console.height)
        self._draw(self._last)

    def show_beside(self, text: str) -> None:
        """Show a message below what was shown last."""
        self._draw([*self._last, Text(printable(text), style="yellow")])

    def log(self, events: Iterable[Event]) -> None:
        """Print events above the sweep, each in one line; a failure has a second one, which says where to look."""
        signs = {"best": self.marks.best, "front": self.marks.best, "failed": self.marks.failed}
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
        self._view = LiveView(console, redirect=True)

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
        now, marks = datetime.now(timezone.utc), self._view.marks
        self._view.show(Frame.of(self._sweep, running, now, marks, alone=False, printing=printing))


def _shown(line: bytes) -> Text:
    """Return a line of a run's output with its colours, but without other control sequences."""
    # Of a progress bar, which overwrites itself, the last state.
    shown = Text.from_ansi(line.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode(errors="replace"))
    shown.plain = printable(shown.plain)
    return shown


def watch(
    sweep: Sweep,
    console: Console,
    every: float,
    *,
    on_terminal: bool,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> None:
    """Show a sweep until it has ended or the user presses Ctrl-C: on a terminal in place, else one line per update.

    A stopped sweep has ended when all of its runs have ended. While the database does not answer, a message says so.

    Args:
        sweep: The sweep.
        console: Where to show it.
        every: Seconds between two updates.
        on_terminal: Whether the console is a terminal.
        sleep: Waits.
        clock: Tells the time.

    Raises:
        NotFoundError: The sweep was deleted.
    """
    view = LiveView(console, redirect=False) if on_terminal else None
    log, told = EventLog(sweep), False
    try:
        while True:
            ended = False
            try:
                changed = sweep.refresh()
                silent = sweep.silences()
            except StorageUnavailableError as error:
                line = f"{error}; trying again"
                if view:
                    view.show_beside(line)
            else:
                running = [run for run in sweep.known_runs() if run.state == RunState.RUNNING]
                if view and told:  # not of all that ended before
                    for entry in sorted(changed, key=lambda entry: entry.record.ended or clock()):
                        if not entry.running and not entry.prior:
                            view.log(log.ended(sweep.view(entry)))
                frame = Frame.of(sweep, running, clock(), view.marks if view else MARKS, silent)
                if view:
                    view.show(frame)
                line = frame.line()
                told = True
                state = frame.summary.state.name
                ended = state in (SweepStatus.FINISHED, SweepStatus.CANCELLED)
                ended |= state == SweepStatus.STOPPED and not running
            if not view:
                print(line, file=console.file, flush=True)
            if ended:
                return
            sleep(every)
    except KeyboardInterrupt:
        return
    finally:
        if view:
            view.close(keep=True)
