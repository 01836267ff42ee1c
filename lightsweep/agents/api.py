"""Start an agent from Python or from the command line, and end it by signals."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from lightsweep.agents.displays.base import Display, LineDisplay, closing
from lightsweep.agents.launchers.call import IMPORTING
from lightsweep.agents.launchers.function import FunctionLauncher, IsolatedLauncher
from lightsweep.agents.launchers.process import CommandLauncher
from lightsweep.agents.worker import Agent
from lightsweep.client.processes import rank
from lightsweep.controller import Sweep
from lightsweep.errors import UsageError
from lightsweep.storage import Storage

__all__ = ["Interrupts", "agent", "work"]

_POLL_SECONDS = 0.1
_KILLED_SECONDS = 10.0
_FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


class StoredSweep(Protocol):
    """A sweep and its storage, such as a ``lightsweep.Sweep``."""

    @property
    def id(self) -> str: ...

    @property
    def storage(self) -> Storage: ...


def agent(
    sweep_id: str | StoredSweep,
    function: Callable[[], Any] | None = None,
    entity: str | None = None,
    project: str | None = None,
    count: int | None = None,
    *,
    jobs: int = 1,
    isolate: bool = False,
    max_consecutive_failed_runs: int | None = None,
    storage: str | None = None,
) -> None:
    """Work on a sweep until it is done, and print each event.

    Args:
        sweep_id: The sweep's id, or the sweep.
        function: Called without arguments for each run, one after the other in this thread; its ``init()`` gives the
            run. Without it the sweep's ``program`` or ``command`` is started, one process for each run.
        entity: Accepted and ignored, as is ``project``: the id is enough.
        project: See ``entity``.
        count: Number of runs after which the agent leaves.
        jobs: Number of processes at once; one with ``function``.
        isolate: Call ``function`` in a fresh process for each run, so that memory does not pile up. If it is a function
            of the script itself, the script must guard its work by ``if __name__ == "__main__"``.
        max_consecutive_failed_runs: Number of failed runs in a row after which the agent gives up.
        storage: A storage URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

    Raises:
        NotFoundError: No such sweep, or its program does not exist.
        StorageError: The storage cannot be opened.
        UsageError: ``jobs`` with ``function``, a number below 1, ``isolate`` with a function that cannot be passed to
            another process, a script without the guard, or ``function`` in a process whose rank is above 0.
    """
    del entity, project
    for name, value in (("count", count), ("jobs", jobs), ("max_consecutive_failed_runs", max_consecutive_failed_runs)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be 1 or more, not {value}")
    if function is not None and jobs != 1:
        raise UsageError(
            f"a function runs in this process, one run at a time, so jobs={jobs} is not possible; "
            "give the sweep a `program` and leave out `function` to run several at once"
        )
    if function is not None and (me := rank()):
        raise UsageError(
            f"this process is rank {me} of a distributed training (by RANK or LOCAL_RANK), and an agent in each rank "
            "would take other runs; give the sweep a `program`, whose process launches the ranks of its run; or call "
            "agent(..., function=..., isolate=True) in one process alone, and let the function fork or spawn its ranks"
        )
    if IMPORTING in os.environ:
        raise UsageError('with isolate=True call lightsweep.agent() below `if __name__ == "__main__":`')
    if isinstance(sweep_id, str):
        sweep = Sweep.load(sweep_id, storage=storage)
    else:
        sweep = Sweep.load(sweep_id.id, storage=sweep_id.storage)
    display = LineDisplay(sys.stdout, sweep)
    worker = work(
        sweep,
        function,
        isolate=isolate,
        display=display,
        count=count,
        jobs=jobs,
        max_consecutive_failed=max_consecutive_failed_runs,
    )
    for line in closing(sweep, worker.left).splitlines():
        display.say(line)
    if function is not None and worker.signalled not in (0, signal.SIGINT):
        signal.raise_signal(worker.signalled)  # the runs are given back; now the signal does what it always does


def work(
    sweep: Sweep,
    function: Callable[[], Any] | None = None,
    *,
    isolate: bool = False,
    display: Display,
    forward_signals: bool = False,
    **options: Any,
) -> Agent:
    """Run an agent in the calling thread until it leaves, and return it.

    Args:
        sweep: The sweep.
        function: See :func:`agent`.
        isolate: See :func:`agent`.
        display: Shows what happens.
        forward_signals: Pass SIGUSR1, SIGUSR2 and SIGHUP on to the runs.
        **options: Of :class:`~lightsweep.agents.worker.Agent`.
    """
    if function is not None and not isolate:
        calls = FunctionLauncher(function)
        worker = Agent(sweep, calls, display=display, **options)
        with _function_ended(worker, calls):
            worker.run()
        return worker
    launcher = CommandLauncher(sweep) if function is None else IsolatedLauncher(function)
    worker = Agent(sweep, launcher, display=display, show_output=True, **options)
    if threading.current_thread() is not threading.main_thread():
        worker.run_slots(threading.Thread.join)
        return worker
    interrupts = Interrupts(worker, forward=forward_signals)
    with interrupts.installed():
        worker.run_slots(interrupts.wait)
    return worker


@contextmanager
def _function_ended(agent: Agent, calls: FunctionLauncher) -> Iterator[None]:
    """Let the first SIGTERM, SIGHUP or SIGUSR1 end the function by ``SystemExit``, so that its run is given back.

    Signals that are ignored or that the program handles itself are left alone. A second one ends the process.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        agent.signalled = agent.signalled or number
        if calls.calling:
            raise SystemExit(128 + number)

    numbers = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]
    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in numbers if main and signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)


class Interrupts:
    """Counts signals in the handler, and acts on them in the main thread's loop, where any lock may be taken.

    The first Ctrl-C waits for the running runs, the second terminates them, the third kills them. SIGTERM, by which a
    scheduler takes the machine away, terminates them and gives them back, so that another agent retries them. So does
    SIGHUP, from a terminal that closes, unless it is passed on or was ignored before (``nohup``); and SIGUSR1, by which
    a scheduler warns (``sbatch --signal=USR1@60``), unless it is passed on or the calling program handles it.

    Args:
        agent: The agent.
        forward: Pass SIGUSR1, SIGUSR2 and SIGHUP on to the runs.
    """

    def __init__(self, agent: Agent, *, forward: bool = False) -> None:
        self._agent = agent
        self._forward = forward
        self._pressed = 0
        self._acted = 0
        self._told: int = 0
        self._patient_until = math.inf
        self._to_forward: list[int] = []

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals inside of the block, and restore the earlier handlers after it."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if self._forward:
            numbers += _FORWARDED
        else:
            if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
                numbers.append(signal.SIGHUP)
            if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
                numbers.append(signal.SIGUSR1)
        before = {}
        try:
            for number in numbers:
                before[number] = signal.signal(number, self._note)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait(self, thread: threading.Thread) -> None:
        """Wait for a thread to end, and act on signals meanwhile; for ten seconds at most once the runs were killed."""
        while thread.is_alive() and time.monotonic() < self._patient_until:
            thread.join(_POLL_SECONDS)
            self._act()

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGINT:
            self._pressed += 1
        elif self._forward and number in _FORWARDED:
            self._to_forward.append(number)
        else:
            self._told = number

    def _act(self) -> None:
        while self._to_forward:
            self._agent.signal(self._to_forward.pop(0))
        if self._told:
            number, self._told = self._told, 0
            self._agent.signalled = self._agent.signalled or number
            self._agent.terminate(f"the agent was told to end ({signal.Signals(number).name})", outcome="lost")
        while self._acted < self._pressed:
            self._acted += 1
            self._step(self._acted)

    def _step(self, times: int) -> None:
        agent = self._agent
        agent.signalled = agent.signalled or signal.SIGINT
        if times == 1:
            running = len(agent.active_runs())
            agent.leave("interrupted by Ctrl-C")
            if running:
                runs = "the running run" if running == 1 else f"{running} running runs"
                agent.display.note(f"waiting for {runs} to end; press Ctrl-C again to end it now")
        elif times == 2:
            agent.display.note("ending the running runs; press Ctrl-C again to kill them")
            agent.terminate("ended by Ctrl-C")
        else:
            agent.kill()
            self._patient_until = min(self._patient_until, time.monotonic() + _KILLED_SECONDS)
