"""A Python function for each run, in a fresh process."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from lightsweep.agents.handler import RunHandler
from lightsweep.agents.launchers.process import Ended, Started
from lightsweep.agents.leftovers import end_leftovers
from lightsweep.agents.processes.orphans import MARK, marked, send
from lightsweep.agents.processes.reaper import Warden
from lightsweep.channel import ChannelServer
from lightsweep.errors import RunPruned, UsageError

__all__ = ["IsolatedLauncher"]

_INTERRUPTED_SECONDS = 30.0
_STORAGE = "LIGHTSWEEP_STORAGE"
_withholding = threading.Lock()


class IsolatedLauncher:
    """Calls a function for each run in a process of its own, so that memory does not pile up from run to run.

    The process is spawned, not forked: it shares no CUDA context and no lock with this one.

    Args:
        function: Called without arguments; it must be possible to pickle it.

    Raises:
        UsageError: ``function`` cannot be pickled.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        try:
            pickle.dumps(function)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UsageError(
                f"{function!r} cannot be passed to another process ({error}); define it at the top of a module, "
                "or leave out isolate"
            ) from None
        self._function = function
        self._server = ChannelServer()
        self._warden = Warden()

    def check(self) -> None:
        """Nothing can be wrong before the first run."""

    def start(
        self,
        handler: RunHandler,
        directory: Path,
        emit: Callable[[bytes], None] | None,
        environment: Mapping[str, str],
    ) -> Started:
        """Spawn the process."""
        del directory, emit
        run = handler.run
        address = {**environment, **self._server.register(run.id, handler)}
        process = multiprocessing.get_context("spawn").Process(target=_work, args=(self._function, address))
        with _storage_withheld():
            process.start()
        pid, token = process.pid, address[MARK]
        assert pid is not None  # it was started
        self._warden.add(pid, token)

        def release() -> None:
            self._warden.remove(pid)
            self._server.unregister(run.id)

        return _StartedProcess(process, pid, token, release)

    def close(self) -> None:
        """Close the channel."""
        self._server.close()
        self._warden.close()


@contextmanager
def _storage_withheld() -> Iterator[None]:
    """Without the storage's URL, which may hold a password, in the environment that a new process inherits.

    ``multiprocessing`` passes on this process's own environment, so it is taken from there while a process starts.
    """
    with _withholding:
        url = os.environ.pop(_STORAGE, None)
        try:
            yield
        finally:
            if url is not None:
                os.environ[_STORAGE] = url


def _work(function: Callable[[], Any], address: Mapping[str, str]) -> None:
    """What the process does: leave the group of the agent, find its channel, and call the function."""
    os.setsid()
    os.environ.update(address)
    with suppress(RunPruned):
        function()


@dataclass(eq=False)
class _StartedProcess:
    process: SpawnProcess
    pid: int
    token: str
    release: Callable[[], None]
    over: threading.Event = field(default_factory=threading.Event)
    deadline: float | None = None

    def wait(self) -> Ended:
        interrupted = False
        try:
            self.process.join()
        except KeyboardInterrupt:
            interrupted = True
            self.terminate(_INTERRUPTED_SECONDS)
            self.process.join()
        finally:
            self.over.set()
        end_leftovers(self.pid, self.token, self.deadline)
        self.release()
        return Ended(self.process.exitcode or 0, interrupted=interrupted)

    def terminate(self, grace: float) -> None:
        self.deadline = time.monotonic() + grace
        self.signal(signal.SIGTERM)
        threading.Thread(target=self._kill_after, args=(grace,), name="lightsweep-killer", daemon=True).start()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        for stray in marked({self.token}):
            send(stray, signal.SIGKILL)

    def _kill_after(self, grace: float) -> None:
        if not self.over.wait(grace):
            self.kill()

    def signal(self, number: int) -> None:
        """Send a signal to the process and what it started; to it alone while it has no group of its own yet."""
        if self.over.is_set():
            return
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
