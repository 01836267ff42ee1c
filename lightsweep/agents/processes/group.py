"""The process of one run, with everything that it starts."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightsweep.agents.leftovers import ask_group, end_leftovers, kill_all
from lightsweep.agents.processes.orphans import MARK, send_group
from lightsweep.errors import CommandError

__all__ = ["RunProcess"]


class RunProcess:
    """A started command in a process group of its own; its output goes to a file.

    What leaves the group, as the workers of torchrun do, is found by the token in its environment.

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
        token = environment.get(MARK, "")
        self.token = "" if token == os.environ.get(MARK) else token  # ours marks this process too
        self._lock = threading.Lock()
        self._gone = False
        self._deadline: float | None = None
        self._killer: threading.Timer | None = None

    def wait(self) -> int:
        """Wait for the end; the exit code, negative for a signal. Then nothing of it is left."""
        code = self._process.wait()
        end_leftovers(self.pid, self.token, self._deadline)
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
                send_group(self.pid, number)

    def terminate(self, grace: float) -> None:
        """Ask the group to end, and kill all of the run ``grace`` seconds later if it did not.

        Only the first call counts. Processes outside of the group are the group's to ask.
        """
        with self._lock:
            if self._gone or self._killer is not None:
                return
            self._deadline = time.monotonic() + grace
            self._killer = threading.Timer(grace, self.kill)
            self._killer.name = "lightsweep-killer"
            self._killer.daemon = True
            self._killer.start()
            ask_group(self.pid)

    def kill(self) -> None:
        """End the group, and what has left it."""
        with self._lock:
            if not self._gone:
                kill_all(self.pid, self.token)
