"""End the processes of runs: what a run leaves behind, and the runs of an agent that was killed.

The program that ends the runs of a killed agent is this file, run by its path, so that it costs little: it imports
nothing of the package.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

if __name__ == "__main__":  # a scheduler sends them to every process that it knows, perhaps during the import below
    for _number in _IGNORED:
        signal.signal(_number, signal.SIG_IGN)

import psutil  # noqa: E402

MARK = "LIGHTSWEEP_TOKEN"
"""The variable that marks the processes of an attempt at a run: its value is a secret that no other process has."""

GRACE_SECONDS = 4.0
"""From the death of an agent to SIGTERM: a script with ``init`` ends before, and says why."""

TERM_SECONDS = 5.0
"""From there to SIGKILL."""

_POLL_SECONDS = 0.05
_START_SECONDS = 1.0
_KILL_SECONDS = 2.0
_CLOSE_SECONDS = 2.0


def marked(tokens: Collection[str], mark: str = MARK) -> list[Any]:
    """Return the processes, but this one, that were started with one of these tokens, as ``psutil.Process``.

    They include those that left the group of their run, such as the workers of torchrun, each in a session of its own.
    A process is not found if its environment was cleared, or overwritten by a new title, or belongs to another user.
    """
    if not tokens:
        return []
    found = []
    for each in psutil.process_iter():
        if each.pid != os.getpid() and variables_of(each).get(mark) in tokens:
            with suppress(psutil.Error):
                found.append(psutil.Process(each.pid))  # not `each`, which may be an earlier process with this id
    return found


def variables_of(process: Any) -> dict[str, str]:
    """Return the environment of a ``psutil.Process``; empty if it has ended, or belongs to another user."""
    try:
        found: dict[str, str] = process.environ()
    except (psutil.Error, OSError):
        found = {}
    return found


class Processes:
    """The processes of some runs: the groups that their main processes lead, and marked ones outside of these.

    Args:
        runs: The token of each run by the id of its main process; an empty token marks nothing.
        mark: The variable that holds the token.
        others: The tokens of runs whose main processes are not known.
    """

    def __init__(self, runs: Mapping[int, str], mark: str = MARK, others: Collection[str] = ()) -> None:
        self._groups = set(runs)
        self._tokens = frozenset([*runs.values(), *others]) - {""}
        self._mark = mark
        self._marked: list[Any] = []

    def alive(self) -> bool:
        """Return whether any process is left; zombies count as long as they are in a group."""
        # A group that was gone once gets no signal again: its number may belong to another one by then.
        self._groups = {group for group in self._groups if _sent(group, 0)}
        self._marked = [each for each in self._marked if variables_of(each).get(self._mark) in self._tokens]
        self._marked = self._marked or marked(self._tokens, self._mark)
        return bool(self._groups or self._marked)

    def signal(self, number: int) -> None:
        """Send a signal to the groups."""
        for group in self._groups:
            _sent(group, number)
            if number == signal.SIGTERM:
                _sent(group, signal.SIGCONT)  # a stopped process does not act on SIGTERM

    def kill(self) -> None:
        """Send SIGKILL to all of them, stopped ones by then: none sees that another is gone, and prints an error."""
        for number in (signal.SIGSTOP, signal.SIGKILL):
            self.signal(number)
            self._signal_outside(number)

    def wait(self, seconds: float) -> bool:
        """Wait until none is left; False if some are left after so many seconds."""
        until = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def end(self, seconds: float, *, asked: bool = False) -> None:
        """Send SIGTERM to all of them, and SIGKILL to those that are left after so many seconds.

        Args:
            seconds: From SIGTERM to SIGKILL.
            asked: Whether the groups got SIGTERM before, so that only processes outside of them get it now.
        """
        if not self.alive():
            return
        if not asked:
            self.signal(signal.SIGTERM)
        self._signal_outside(signal.SIGTERM)
        if self.wait(seconds):
            return
        self.kill()
        # The next attempt may use the same directory and GPU; and a process may just have started another one.
        until = time.monotonic() + _KILL_SECONDS
        while marked(self._tokens, self._mark) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            self.kill()

    def _signal_outside(self, number: int) -> None:
        for process in marked(self._tokens, self._mark):
            with suppress(psutil.Error, OSError):
                if os.getpgid(process.pid) not in self._groups:
                    process.send_signal(number)
                    if number == signal.SIGTERM:
                        process.send_signal(signal.SIGCONT)


def _sent(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Reaper:
    """A small process that outlives the agent, and ends the runs that the agent leaves behind.

    It waits for the end of a pipe that only the agent holds. It starts with the first run.

    Args:
        grace: Seconds from the agent's end to SIGTERM.
        term: Seconds from SIGTERM to SIGKILL.
    """

    def __init__(self, grace: float = GRACE_SECONDS, term: float = TERM_SECONDS) -> None:
        self._seconds = (str(grace), str(term))
        self._lock = threading.Lock()
        self._runs: dict[int, str] = {}
        self._starting: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    @contextmanager
    def starting(self, token: str) -> Iterator[None]:
        """Take care of a run that starts inside of the block: the agent may be killed before it can :meth:`add` it.

        Args:
            token: See :meth:`add`.
        """
        with self._lock:
            if token:
                self._starting.add(token)
                self._tell()
        try:
            yield
        finally:
            with self._lock:
                if token in self._starting:  # it did not start
                    self._starting.remove(token)
                    self._tell()

    def add(self, pid: int, token: str) -> None:
        """Take care of a run.

        Args:
            pid: Its main process, which leads a group.
            token: The token in the environment of its processes; empty if they have none of their own.
        """
        with self._lock:
            self._runs[pid] = token
            self._starting.discard(token)
            self._tell()

    def remove(self, pid: int) -> None:
        """Forget a run that has ended with all that it had started."""
        with self._lock:
            if self._runs.pop(pid, None) is not None:
                self._tell()

    def close(self) -> None:
        """End the process; it first ends the runs that were not removed. Idempotent."""
        with self._lock:
            self._closed = True
            process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_CLOSE_SECONDS)

    def _start(self) -> None:
        # Without the mark of the run in which this agent may itself have been started, and without the storage's URL.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP_")}
        environment["PYTHONSAFEPATH"] = "1"  # no module beside this file hides another one; Python 3.10 ignores it
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process = subprocess.Popen(
                [sys.executable, __file__, *self._seconds],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd="/",
                env=environment,
                start_new_session=True,  # out of reach of Ctrl-C
            )
        except OSError:
            self._process = None  # too many processes: runs go on without a reaper

    def _tell(self) -> None:
        if self._closed:
            return
        if self._process is None or self._process.poll() is not None:
            self._start()
        runs = " ".join(
            [f"{pid}:{token}" for pid, token in self._runs.items()] + [f":{each}" for each in self._starting]
        )
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it was killed; the next run starts another one
                self._process.stdin.write(f"{runs}\n".encode())


def main() -> None:
    """Read the runs of an agent from standard input, and end those that are left when it closes.

    Each line holds all runs of that moment as ``PID:TOKEN``, and as ``:TOKEN`` those that were about to start; a line
    without its end, as the agent was killed, does not count. An agent that ends normally leaves none. The arguments are
    the seconds until SIGTERM, and from there until SIGKILL.
    """
    grace, term = map(float, sys.argv[1:3])
    last: list[tuple[str, str]] = []
    for line in sys.stdin:
        if not line.endswith("\n"):
            break
        last = [(pid, token) for pid, _, token in (item.partition(":") for item in line.split())]
    starting = [token for pid, token in last if not pid]
    if starting:
        time.sleep(_START_SECONDS)  # a process that has just been started does not show its token yet
    left = Processes({int(pid): token for pid, token in last if pid}, others=starting)
    if not left.wait(grace):
        left.end(term)


if __name__ == "__main__":
    main()
