"""What an agent says on a pipe, in a notebook, or into a log: one line per event."""

from __future__ import annotations

import codecs
import threading
from typing import TextIO

from lightsweep.agents.displays.base import Display
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.runs import best_of
from lightsweep.text import counted, number, parameters, printable

__all__ = ["LineDisplay", "describe_end"]


class LineDisplay(Display):
    """One line per event; what runs print goes through as it is, except bytes that are no UTF-8.

    Args:
        stream: Where the lines go.
        sweep: The sweep.
    """

    def __init__(self, stream: TextIO, sweep: Sweep) -> None:
        self._stream = stream
        self._sweep = sweep
        self._lock = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._within_line = False

    def started(self, run: ClaimedRun) -> None:
        again = f" (attempt {run.attempt})" if run.attempt > 1 else ""
        shown = parameters(run.values, self._sweep.config.searched([run.values]))
        self.say(f"run {run.id} started{again}{': ' if shown else ''}{shown}")

    def output(self, run: ClaimedRun, text: bytes) -> None:
        del run
        with self._lock:
            decoded = self._decoder.decode(text)
            if decoded:
                self._write(decoded)
                self._within_line = not decoded.endswith("\n")

    def ended(self, run: ClaimedRun, outcome: Outcome) -> None:
        self.say(describe_end(self._sweep, run, outcome))

    def note(self, text: str) -> None:
        self.say(f"lightsweep: {text}")

    def say(self, text: str) -> None:
        """Print one line."""
        with self._lock:
            begin = "\n" if self._within_line else ""
            self._within_line = False
            self._write(f"{begin}{printable(text)}\n")

    def _write(self, text: str) -> None:
        """Write what the stream can encode, and an escape such as ``\\xf6`` for any other character."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self._stream.flush()


def describe_end(sweep: Sweep, run: ClaimedRun, outcome: Outcome) -> str:
    """How a run ended, in one line."""
    parts = [f"run {run.id} {outcome.state}"]
    metric = sweep.config.metric
    best = best_of(run.history, metric.goal) if metric else None
    if metric and best is not None:
        parts.append(f"best {metric.name} {number(best)} in {counted(len(run.history), 'iteration')}")
    if outcome.reason:
        parts.append(outcome.reason)
    text = ": ".join([parts[0], "; ".join(parts[1:])]) if len(parts) > 1 else parts[0]
    if outcome.unread:
        text += f"; never read: {', '.join(outcome.unread)}"
    return text
