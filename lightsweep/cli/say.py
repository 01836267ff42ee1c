"""Print for a reader who may leave before the end, such as ``head``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TextIO

__all__ = ["discard", "flush", "say"]


def say(text: str, *, error: bool = False) -> None:
    """Print a line of a command that does more than show something; once the reader has left, nothing is shown.

    Args:
        text: The line, or several.
        error: Whether it goes to stderr.
    """
    stream = sys.stderr if error else sys.stdout
    _unless_unread(stream, lambda: print(text, file=stream, flush=True))


def flush() -> None:
    """Hand over what was printed on stdout, if there is somebody left to read it."""
    _unless_unread(sys.stdout, sys.stdout.flush)


def discard(stream: TextIO) -> None:
    """Let everything from now on, and what Python flushes at its end, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _unless_unread(stream: TextIO, action: Callable[[], None]) -> None:
    try:
        action()
    except BrokenPipeError:
        discard(stream)
