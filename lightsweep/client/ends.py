"""Ends of a run that come from another process: the death of its agent, and exceptions in processes of torch."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from lightsweep.channel import Connection
from lightsweep.errors import AgentLostError, LightsweepError, RunPruned

__all__ = ["AgentWatch", "cause", "words"]

GRACE_SECONDS = 2.0
"""From the end of the agent to SIGTERM: the next ``log`` of the script raises ``AgentLostError`` before."""

TERM_SECONDS = 5.0
"""From SIGTERM to SIGKILL."""

_ENDS = tuple(f"{kind.__module__}.{kind.__qualname__}: " for kind in (RunPruned, AgentLostError))


class AgentWatch:
    """Ends this process when its agent has died or has released the run, on whichever host the agent is.

    A daemon thread waits for the end of a connection on which nothing is sent. Then the script has ``GRACE_SECONDS`` to
    end by itself; after that its process group gets SIGTERM, and ``TERM_SECONDS`` later SIGKILL. On the agent's own
    host the agent's reaper also ends scripts that never call ``init``.

    Args:
        connection: Opens the connection; raises ``AgentLostError``.
    """

    def __init__(self, connection: Connection) -> None:
        self._stream = connection.open()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lightsweep-watch", daemon=True)
        self._thread.start()

    def close(self, *, lost: bool = False) -> None:
        """End the watch.

        Args:
            lost: Whether the script ends because its agent was gone: what it has started ends with it.
        """
        self._closed.set()
        self._stream.end()
        self._thread.join(GRACE_SECONDS)
        if lost and _leads_session():
            with suppress(ValueError):  # not in the main thread: this process ends by the signal too
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)

    def _watch(self) -> None:
        with suppress(OSError, LightsweepError):
            self._stream.receive()
        self._stream.close()
        if self._closed.wait(GRACE_SECONDS):
            return
        print("lightsweep: the agent has ended; ending this run, another agent retries it", file=sys.stderr, flush=True)
        for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, 0.0)):
            if _leads_session():
                os.killpg(0, number)
            else:
                os.kill(os.getpid(), number)
            time.sleep(seconds)


def _leads_session() -> bool:
    """Whether the process group leads a session, as that of a run does; the group of a job in a shell does not."""
    return os.getpgrp() == os.getsid(0)


def cause(error: BaseException, stopped: Callable[[], str]) -> BaseException:
    """Return what ended a training: ``RunPruned`` or ``AgentLostError`` if a process that torch started raised it.

    ``torch.multiprocessing`` (``ddp_spawn``, ``ddp_fork``, ``mp.spawn``) passes on only the text of an exception, or
    only that the process ended; the agent knows whether it told the run to stop. Other errors are returned as they are.

    Args:
        error: The exception in the process that started the others.
        stopped: Asks the agent why the run was told to stop; empty if it was not.
    """
    if not _from_child(error):
        return error
    try:
        reason = stopped()
    except AgentLostError as lost:
        return lost
    except LightsweepError:
        return error
    return RunPruned(reason) if reason else error


def words(error: BaseException) -> str:
    """Return class and message of an exception; if it wraps the traceback of a process, the last line of that."""
    torch = sys.modules.get("torch.multiprocessing")
    if torch is not None and isinstance(error, torch.ProcessRaisedException):
        return f"{_last_line(error)} (in a process that torch started)"
    return f"{type(error).__name__}: {error}"


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[-1]


def _from_child(error: BaseException) -> bool:
    """Whether one of our exceptions may have ended a process that torch started; a killed process leaves no text."""
    torch = sys.modules.get("torch.multiprocessing")
    if torch is None:
        return False
    raised = isinstance(error, torch.ProcessRaisedException) and _last_line(error).startswith(_ENDS)
    return raised or isinstance(error, torch.ProcessExitedException)
