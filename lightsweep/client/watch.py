"""The end of a run whose agent has died: nothing that it does would be recorded, so it leaves."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from lightsweep.channel import Connection, Lifeline

__all__ = ["AgentWatch"]

GRACE_SECONDS = 2.0
TERM_SECONDS = 5.0
_TERMINATED = 128 + signal.SIGTERM


class AgentWatch:
    """A daemon thread that waits for the agent's end, and then ends this process.

    The script has ``GRACE_SECONDS`` to end by itself (its next ``log`` raises ``AgentLostError``), then gets SIGTERM,
    and is gone ``TERM_SECONDS`` later; so is whatever it started and left in its process group. An agent that releases
    the run in good order ends only the watch.

    Args:
        connection: Where the lifeline is opened; raises ``AgentLostError``.
    """

    def __init__(self, connection: Connection) -> None:
        self._lifeline: Lifeline = connection.lifeline()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._told = False
        self._thread = threading.Thread(target=self._watch, name="lightsweep-lifeline", daemon=True)
        self._thread.start()

    def close(self, *, lost: bool = False) -> None:
        """End the watch.

        Args:
            lost: Whether the run has met the agent's end itself, perhaps before this watch did.
        """
        if lost:
            self._end_group()
        self._over.set()
        self._lifeline.close()
        self._thread.join(GRACE_SECONDS)

    def _watch(self) -> None:
        if self._lifeline.wait() or self._over.is_set():
            return
        self._end_group()
        if self._over.wait(GRACE_SECONDS):
            return
        print("lightsweep: the agent is gone; ending this run, it will be retried", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(TERM_SECONDS)
        os._exit(_TERMINATED)

    def _end_group(self) -> None:
        with self._lock:
            told, self._told = self._told, True
        if not told:
            _end_group_later()


def _end_group_later() -> None:
    """Let a process outside of the run's group end all of it, also where this one is gone by then.

    Only where the group leads a session, as it does when an agent has started it: no group of a user's shell.
    """
    group = os.getpgrp()
    if group != os.getsid(0):
        return
    steps = f"sleep {GRACE_SECONDS + 0.5}; kill -TERM -{group}; sleep {TERM_SECONDS}; kill -KILL -{group}"
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    # Not subprocess, which would want to wait for it.
    os.posix_spawn("/bin/sh", ["sh", "-c", steps], os.environ, file_actions=quiet, setsid=True)
