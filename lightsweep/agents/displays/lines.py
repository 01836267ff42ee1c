"""What an agent says on a pipe, in a notebook, or into a log: one line per event."""

from __future__ import annotations

import codecs
import json
import threading
from collections.abc import Mapping
from typing import Any, TextIO

from lightsweep.agents.displays.base import Display
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.runs import best_of

__all__ = ["LineDisplay", "number", "parameters", "plain", "shortened"]

_WIDTH = 160


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
            self._write(f"{begin}{plain(text)}\n")

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
        iterations = "1 iteration" if len(run.history) == 1 else f"{len(run.history)} iterations"
        parts.append(f"best {metric.name} {number(best)} in {iterations}")
    if outcome.reason:
        parts.append(outcome.reason)
    text = ": ".join([parts[0], "; ".join(parts[1:])]) if len(parts) > 1 else parts[0]
    if outcome.unread:
        text += f"; never read: {', '.join(outcome.unread)}"
    return text


def parameters(values: Mapping[str, Any], names: list[str]) -> str:
    """The searched parameters of a run in one line."""
    text = ", ".join(f"{name}={_value(values[name])}" for name in names if name in values)
    return shortened(text, _WIDTH)


def shortened(text: str, width: int) -> str:
    """No more than ``width`` characters, with a mark where some were left out."""
    return text if len(text) <= width else text[: width - 1] + "…"


def number(value: float) -> str:
    """A metric's value, with as many digits as a reader compares."""
    return f"{value:.5g}"


def plain(text: str) -> str:
    """One line without control characters, so that no name or message can steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return str(value)
    return number(value) if isinstance(value, float) else json.dumps(value, default=str)
