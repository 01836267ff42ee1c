"""Displays of an agent: the base class, and one line of text for each event."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TextIO

import yaml

from lightsweep.agents.displays.events import STYLES, Event, EventLog
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.reports import Refresher
from lightsweep.controller.summary import summarize
from lightsweep.text import paint, printable


class Display:
    """Shows nothing; the base class of all displays. Its methods are called from several threads."""

    def started(self, run: ClaimedRun) -> None:
        """Show that a run started."""

    def output(self, run: ClaimedRun, text: bytes) -> None:
        """Show what a run printed; called only if the agent runs one run at a time."""

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        """Show that a run ended."""

    def note(self, text: str) -> None:
        """Show a message to the user."""

    def hint(self, text: str) -> None:
        """Show a message that a quiet display leaves out."""
        self.note(text)

    def tick(self, live: Sequence[ClaimedRun], sweep: Sweep) -> None:
        """Show the agent's running runs and the sweep as of the last look at it; called once a second."""

    def close(self) -> None:
        """Show nothing more."""


class GuardedDisplay(Display):
    """Passes everything to a display until it cannot write any more, so that training does not depend on a terminal.

    Args:
        display: The display.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        for name in ("started", "output", "ended", "note", "hint", "tick", "close"):
            setattr(self, name, partial(self._show, name))

    def _show(self, name: str, *given: Any) -> None:
        try:
            getattr(self._display, name)(*given)
        except OSError:
            self._display = Display()
        except UnicodeError:
            pass  # this terminal cannot show the text; it may show the next
        except ValueError as error:
            if "closed file" not in str(error):  # the message of a stream that was closed in this process
                raise
            self._display = Display()


class LineDisplay(Display):
    """One line per event, for pipes, notebooks and logs.

    The output of runs is passed on, with replacements for bytes that are not UTF-8 and for characters that the stream
    cannot encode.

    Args:
        stream: Where the lines go.
        sweep: The sweep.
        quiet: Show only failures, warnings and messages.
    """

    def __init__(self, stream: TextIO, sweep: Sweep, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._log = EventLog(sweep)
        self._lock = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._within_line = False

    def started(self, run: ClaimedRun) -> None:
        with self._lock:
            self._show(self._log.started(run))

    def output(self, run: ClaimedRun, text: bytes) -> None:
        del run
        with self._lock:
            decoded = self._decoder.decode(text)
            if decoded and not self._quiet:
                self._write(decoded)
                self._within_line = not decoded.endswith("\n")

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        with self._lock:
            self._show(self._log.finished(run, outcome))

    def note(self, text: str) -> None:
        self.say(f"lightsweep: {text}")

    def hint(self, text: str) -> None:
        if not self._quiet:
            self.note(text)

    def say(self, text: str) -> None:
        """Print one line."""
        with self._lock:
            self._line(text)

    def _show(self, events: Iterable[Event]) -> None:
        for event in events:
            if not self._quiet or event.mark in {"failed", "warning"}:
                new = {"best": " (new best)", "front": " (on the Pareto front)"}.get(event.mark, "")
                where = f"; {event.more}" if event.more else ""
                line = f"{'run ' if event.run else ''}{event.text}{new}{where}"
                self._line(line, STYLES.get(event.mark, ""))

    def _line(self, text: str, style: str = "") -> None:
        begin = "\n" if self._within_line else ""
        self._within_line = False
        self._write(f"{begin}{paint(printable(text), style, self._stream)}\n")

    def _write(self, text: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()


def closing(sweep: Sweep, left: str) -> str:
    """Return the last words of an agent: why it left, what the sweep lacks, and its best run with all parameters."""
    refresher = Refresher(sweep)
    if not refresher.refresh():
        left = f"{left}; the storage does not answer, so the rest is as of the last look"
    refresher.close()
    summary = summarize(sweep)
    lines = [f"agent of sweep {sweep.id} ended: {left}", *summary.remarks]
    if summary.best is not None and summary.best_value:
        config = yaml.safe_dump(summary.best.config, sort_keys=False, allow_unicode=True, default_flow_style=False)
        lines += [summary.best_line, *(f"  {line}" for line in config.splitlines())]
    return "\n".join(map(printable, lines))
