"""Processes of a run wherever they are, and a program that ends those of an agent that died.

The program runs this file alone, without any package, so that it costs little (see :mod:`.reaper`):
nothing but the standard library is imported here.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable

__all__ = ["GRACE_SECONDS", "MARK", "TERM_SECONDS", "group_lives", "has_mark", "main", "marked", "send", "send_group"]

MARK = "LIGHTSWEEP_TOKEN"
"""The variable that says whose a process is: it holds the secret of one attempt at a run, so nobody else has it."""

GRACE_SECONDS = 4.0
"""From an agent's death to SIGTERM: longer than a script with ``init`` takes, which then says why it ends."""

TERM_SECONDS = 5.0
"""From there to SIGKILL."""

_POLL_SECONDS = 0.2
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def marked(tokens: Collection[str]) -> list[int]:
    """The processes but this one that were started with one of these tokens; none where there is no ``/proc``.

    It finds those that left the group of their run, such as the workers of torchrun, each in a session of its own. One
    whose environment was cleared, or overwritten by a new title, is not found.
    """
    if not tokens:
        return []
    try:
        names = os.listdir("/proc")  # noqa: PTH208  a Path for each process would cost more than the look at it
    except OSError:
        return []
    me = str(os.getpid())
    return [int(name) for name in names if name.isdecimal() and name != me and has_mark(name, tokens)]


def has_mark(pid: int | str, tokens: Iterable[str]) -> bool:
    """Whether a process was started with one of these tokens; False once it is gone, and for a zombie."""
    try:
        # Without a buffer and a Path, since there may be thousands.
        file = os.open(f"/proc/{pid}/environ", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # gone, or of another user
    found = b""
    try:
        while chunk := os.read(file, 1 << 17):
            found += chunk
    except OSError:
        return False
    finally:
        os.close(file)
    return any(f"{MARK}={token}".encode() in found for token in tokens)


def send(pid: int, number: int) -> bool:
    """Send a signal to a process; whether it is there."""
    return _sent(os.kill, pid, number)


def send_group(group: int, number: int) -> bool:
    """Send a signal to a process group; whether it is there."""
    return _sent(os.killpg, group, number)


def group_lives(group: int) -> bool:
    """Whether there is any process in the group."""
    return send_group(group, 0)


def _sent(how: Callable[[int, int], None], pid: int, number: int) -> bool:
    try:
        how(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> None:
    """Hear of the runs of an agent on standard input, and end those that are left when it closes.

    ``+PID TOKEN`` is a run that began, ``-PID`` one that is over. An agent that ends in good order leaves none. The
    arguments are the seconds that those left have until SIGTERM, and from there until SIGKILL.
    """
    grace, term = map(float, sys.argv[1:3])
    for number in _DEAF_TO:  # a scheduler sends them to every process that it knows
        signal.signal(number, signal.SIG_IGN)
    runs: dict[int, str] = {}
    for line in sys.stdin:
        pid, _, token = line[1:].strip().partition(" ")
        if line.startswith("+"):
            runs[int(pid)] = token
        else:
            runs.pop(int(pid), None)
    _end(set(runs), {token for token in runs.values() if token}, grace, term)


def _end(leaders: set[int], tokens: set[str], grace: float, term: float) -> None:
    for number, seconds in ((0, grace), (signal.SIGTERM, term), (signal.SIGKILL, 0.0)):
        until = time.monotonic() + seconds
        for pid in {*leaders, *marked(tokens)} if number else ():
            _reach(pid, number)
        while True:
            # What was gone once is never sent a signal again: its number may belong to another by then.
            leaders = {pid for pid in leaders if _reach(pid, 0)}
            if not leaders and not marked(tokens):
                return
            if time.monotonic() >= until:
                break
            time.sleep(_POLL_SECONDS)


def _reach(pid: int, number: int) -> bool:
    """Send a signal to a process's group, or to it alone while it leads none."""
    return send_group(pid, number) or send(pid, number)


if __name__ == "__main__":
    main()
