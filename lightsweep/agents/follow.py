"""Show the output of a run while it is written to its file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

__all__ = ["Follower", "last_line"]

_POLL_SECONDS = 0.1
_TAIL_BYTES = 4096


class Follower:
    """Passes on what is appended to a file, from a thread of its own.

    Args:
        path: The file; it exists.
        emit: Gets the new bytes, as they are.
        start: Where in the file to begin.
    """

    def __init__(self, path: Path, emit: Callable[[bytes], None], start: int = 0) -> None:
        self._path = path
        self._emit = emit
        self._start = start
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lightsweep-follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pass on the rest, and end."""
        self._done.set()
        self._thread.join()

    def _work(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._start)
            while True:
                last = self._done.wait(_POLL_SECONDS)
                if found := file.read():
                    self._emit(found)
                if last:
                    return


def last_line(path: Path) -> str:
    """The last line of a file that is not blank, without what a terminal would not show; empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return "".join(character for character in lines[-1] if character.isprintable())[:500] if lines else ""
