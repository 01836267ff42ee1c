"""Who ends an agent's runs when the agent itself is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress

from lightsweep.agents.processes import orphans

__all__ = ["Warden"]

_CLOSE_SECONDS = 2.0


class Warden:
    """A small process that outlives the agent, and ends the runs that the agent leaves behind.

    A script with ``lightsweep.init()`` notices by itself that its agent is gone; one that never calls it, or has not
    yet, would live on beside the next attempt at its run. The process waits for the end of a pipe that only the agent
    holds. It starts with the first run, after that has begun.

    Args:
        grace: Seconds from the agent's end to SIGTERM.
        term: Seconds from SIGTERM to SIGKILL.
    """

    def __init__(self, grace: float = orphans.GRACE_SECONDS, term: float = orphans.TERM_SECONDS) -> None:
        self._seconds = (str(grace), str(term))
        self._lock = threading.Lock()
        self._runs: dict[int, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def add(self, pid: int, token: str) -> None:
        """Watch over a run.

        Args:
            pid: Its main process, which leads a group, or will.
            token: What its processes were started with, so that they are found outside of the group too.
        """
        with self._lock:
            if self._closed:
                return
            self._runs[pid] = token
            if self._process is None or self._process.poll() is not None:
                self._start()
            else:
                self._tell(f"+{pid} {token}\n")

    def remove(self, pid: int) -> None:
        """Forget a run that is over, with all that it had started."""
        with self._lock:
            if self._runs.pop(pid, None) is not None and not self._closed:
                self._tell(f"-{pid}\n")

    def close(self) -> None:
        """End the process; runs that were not removed are ended by it first. Idempotent."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_CLOSE_SECONDS)

    def _start(self) -> None:
        # Not marked as a process of the run in which this agent may itself have been started.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP_")}
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", orphans.__file__, *self._seconds],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env=environment,
                start_new_session=True,  # out of reach of Ctrl-C
            )
        except OSError:
            self._process = None  # no process to spare: the runs are as well off without
            return
        for pid, token in self._runs.items():
            self._tell(f"+{pid} {token}\n")

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it was killed; the next run starts another
                self._process.stdin.write(line.encode())
