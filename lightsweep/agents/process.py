"""The process of one run, with everything that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lightsweep.errors import CommandError

__all__ = ["RunProcess"]

_LEFTOVER_SECONDS = 2.0
_POLL_SECONDS = 0.02


class RunProcess:
    """A started command in a process group of its own; its output goes to a file.

    The output goes to the file directly, not through the agent, so that a run does not depend on the agent to print.

    Args:
        command: Program and arguments; no shell sees them.
        environment: The whole environment of the process.
        output: The file; what is there is kept, so that the attempts of one run stand one after the other.

    Raises:
        CommandError: The program cannot be started: not found, no permission.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as sink:
            try:
                self._process = subprocess.Popen(
                    command,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandError(f"cannot start {command[0]!r}: {error.strerror or error}") from None
        self.pid = self._process.pid
        self._lock = threading.Lock()
        self._gone = False
        self._deadline: float | None = None
        self._killer: threading.Timer | None = None

    def wait(self) -> int:
        """Wait for the end; the exit code, negative for a signal. Then nothing of its group is left."""
        code = self._process.wait()
        self._sweep_up()
        with self._lock:
            # From here on the number may belong to another group.
            self._gone = True
            if self._killer is not None:
                self._killer.cancel()
        if self._killer is not None:
            self._killer.join()
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; nothing happens once it is gone."""
        with self._lock:
            if not self._gone:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)

    def terminate(self, grace: float) -> None:
        """Ask the group to end, and kill it ``grace`` seconds later if it did not; only the first call counts."""
        with self._lock:
            if self._gone or self._killer is not None:
                return
            self._deadline = time.monotonic() + grace
            self._killer = threading.Timer(grace, self.kill)
            self._killer.name = "lightsweep-killer"
            self._killer.daemon = True
            self._killer.start()
        self._ask()

    def kill(self) -> None:
        """End the group."""
        self.signal(signal.SIGKILL)

    def _ask(self) -> None:
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # a stopped process takes no SIGTERM

    def _sweep_up(self) -> None:
        """End what the run's main process left behind, such as data loader workers."""
        if not self._group_lives():
            return
        deadline = self._deadline
        if deadline is None:
            self._ask()
            deadline = time.monotonic() + _LEFTOVER_SECONDS
        while self._group_lives() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self.kill()

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True
