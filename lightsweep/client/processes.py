"""The processes of a run: their ranks, and ends that come from another process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightsweep.channel.connection import Connection
from lightsweep.errors import AgentLostError, LightsweepError, RunPruned

GRACE_SECONDS = 2.0
"""From the end of the agent to SIGTERM: the next ``log`` of the script raises ``AgentLostError`` before."""

TERM_SECONDS = 5.0
"""From SIGTERM to SIGKILL."""

_ENDS = tuple(f"{kind.__module__}.{kind.__qualname__}: " for kind in (RunPruned, AgentLostError))
_LONGEST_ERROR = 2000
_MOST_WORKERS = 4
_STANDARD_LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120 - compared as text


def rank(environ: Mapping[str, str] = os.environ) -> int:
    """Return the global rank: from torch.distributed if it runs, else from RANK or LOCAL_RANK, else 0.

    torch is asked only if the script has imported it. SLURM_PROCID does not count: several agents under one ``srun``
    have different ones, and each serves its own runs.
    """
    found = rank_of_torch()
    if found is not None:
        return found
    for name in ("RANK", "LOCAL_RANK"):
        value = environ.get(name, "")
        if value.isdecimal():
            return int(value)
    return 0


def rank_of_torch() -> int | None:
    """Return the global rank by torch.distributed, or ``None`` if it does not run."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    return None


def several(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process is one of several ranks: by torch.distributed if it runs, else by WORLD_SIZE."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_world_size()) > 1
    value = environ.get("WORLD_SIZE", "")
    return value.isdecimal() and int(value) > 1


def end_workers(spared: Collection[object] = ()) -> None:
    """End the processes of ``multiprocessing`` that this one has started and would wait for at its exit.

    They get SIGTERM, and SIGKILL if they have not ended ``TERM_SECONDS`` later.

    Args:
        spared: Processes that are left alone.
    """
    workers = [each for each in _workers() if each not in spared]
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + TERM_SECONDS
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            worker.kill()


def name_workers(run: str) -> None:
    """Say on stderr for which processes of ``multiprocessing`` this one waits at its exit, after the end of ``run``."""
    workers = _workers()
    if workers:
        names = ", ".join(worker.name for worker in workers[:_MOST_WORKERS])
        more = ", ..." if len(workers) > _MOST_WORKERS else ""
        count = len(workers)
        print(
            f"lightsweep: run {run} has ended, but its process still waits for {count} of its own ({names}{more})\n"
            "lightsweep: if they never end, the agent waits too: end them before the script does",
            file=sys.stderr,
        )


def _workers() -> list[Any]:
    multiprocessing = sys.modules.get("multiprocessing")
    return [] if multiprocessing is None else [each for each in multiprocessing.active_children() if not each.daemon]


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
            _end_group()

    def _watch(self) -> None:
        with suppress(OSError, LightsweepError):
            self._stream.receive()
        self._stream.close()
        if self._closed.wait(GRACE_SECONDS):
            return
        said = "the agent is gone; ending this run, another agent retries it; more: lightsweep help gone"
        print(f"lightsweep: {said}", file=sys.stderr, flush=True)
        if _leads_session():
            _end_group()
        else:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(TERM_SECONDS)
            os.kill(os.getpid(), signal.SIGKILL)


def _end_group() -> None:
    """Send SIGTERM to the process group, and later SIGKILL, from outside of it as this process may have ended."""
    later = f"sleep {TERM_SECONDS}; kill -KILL -{os.getpgrp()}"
    import subprocess  # here, since every training script would load it

    quiet = subprocess.DEVNULL
    # Without the token of the run, by which the reaper of the agent would find it.
    subprocess.Popen(["/bin/sh", "-c", later], stdin=quiet, stdout=quiet, stderr=quiet, env={}, start_new_session=True)
    os.killpg(0, signal.SIGTERM)


def _leads_session() -> bool:
    """Tell whether the process group leads a session, as that of a run does; the group of a job in a shell does not."""
    return os.getpgrp() == os.getsid(0)


def described(error: BaseException) -> str:
    """Return class, message and line of an exception: ``ValueError: no data (train.py:12)``.

    The line is the innermost one of the user's own code, or else the innermost of all. An exception that wraps the
    traceback of a process that torch started counts as the one at the end of that traceback.
    """
    from traceback import walk_tb  # here, since most runs have no use for it

    torch = sys.modules.get("torch.multiprocessing")
    if torch is not None and isinstance(error, torch.ProcessRaisedException):
        text = f"{_last_line(error)} (in a process that torch started)"
    else:
        text = f"{type(error).__name__}: {error}"
    places: list[str] = []
    own: list[str] = []
    for frame, line in walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        places.append(f" ({Path(file).name}:{line})")
        if not _is_library(file, str(frame.f_globals.get("__name__"))):
            own.append(places[-1])
    return text[:_LONGEST_ERROR] + (own or places or [""])[-1]


def _is_library(file: str, module: str) -> bool:
    """Tell whether code is of this package, of an installed one, of the standard library, or of no file at all."""
    installed = {"site-packages", "dist-packages"} & set(Path(file).parts)
    return bool(installed) or file.startswith(("<", _STANDARD_LIBRARY)) or module.partition(".")[0] == "lightsweep"


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[-1]


def from_child(error: BaseException) -> bool:
    """Tell whether a process that torch started may have ended by ``RunPruned`` or ``AgentLostError``.

    ``torch.multiprocessing`` (``ddp_spawn``, ``ddp_fork``, ``mp.spawn``) passes on the text of what a process raised,
    or only that it ended, if it was killed.
    """
    torch = sys.modules.get("torch.multiprocessing")
    if torch is None:
        return False
    raised = isinstance(error, torch.ProcessRaisedException) and _last_line(error).startswith(_ENDS)
    return raised or isinstance(error, torch.ProcessExitedException)
