"""``lightsweep storage serve`` as a process, for tests."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

READY = "stop it with Ctrl-C"


class Serving:
    """The command in a directory; its lines are read as they come."""

    def __init__(self, place: Path, *options: str, before: Sequence[str] = ()) -> None:
        self.place = place
        self.directory = place / "lightsweep_storage"
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "lightsweep", "storage", "serve", *options],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP_")},
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def ready(self, timeout: float = 120) -> Serving:
        while (line := self._queue.get(timeout=timeout)) != READY:
            assert line is not None, self.text
            self.lines.append(line)
        return self

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        return (self.directory / "url").read_text().strip()

    @property
    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.directory / "data" / "postmaster.pid").read_text().split()[0]))

    def end(self, number: int = signal.SIGTERM, timeout: float = 120) -> int:
        """Send a signal, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.result(timeout)

    def result(self, timeout: float = 120) -> int:
        code = self.process.wait(timeout)
        while (line := self._queue.get(timeout=timeout)) is not None:
            self.lines.append(line)
        self._reader.join()
        self.process.stdout.close()
        return code


@contextmanager
def open_place() -> Iterator[Path]:
    """A directory that any user may enter, unlike those of pytest, as a project's usually is."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made)
