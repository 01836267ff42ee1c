"""Signals to an agent: the handlers, and the actions on them."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any

from lightsweep.agents.launchers.function import FunctionLauncher
from lightsweep.agents.worker import Agent
from lightsweep.controller import RunState

_POLL_SECONDS = 0.1
_KILLED_SECONDS = 10.0
_FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


@contextmanager
def handled(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], Any]]) -> Iterator[None]:
    """Handle signals inside of the block, and restore the earlier handlers after it, if this is the main thread.

    Other threads cannot handle signals. A handler that the block has replaced by another one is left alone.
    """
    before: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, earlier in before.items():
            if signal.getsignal(number) == handlers[number]:
                signal.signal(number, earlier)


def function_ended(agent: Agent, calls: FunctionLauncher) -> AbstractContextManager[None]:
    """Let the first SIGTERM, SIGHUP or SIGUSR1 end the function by ``SystemExit``, so that its run is given back.

    Signals that are ignored or that the program handles itself are left alone. A second one ends the process.
    """

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_DFL)
        agent.signalled = agent.signalled or number
        if calls.calling:
            raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    return handled({number: end for number in numbers if signal.getsignal(number) == signal.SIG_DFL})


class Interrupts:
    """Collects signals in the handler, and acts on them in the main thread's loop, where any lock may be taken.

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
        self._forwarded = _FORWARDED if forward else ()
        self._came: deque[int] = deque()
        self._pressed = 0
        self._patient_until = math.inf

    def installed(self) -> AbstractContextManager[None]:
        """Handle the signals inside of the block, and restore the earlier handlers after it."""
        numbers = [signal.SIGINT, signal.SIGTERM, *self._forwarded]
        if not self._forwarded and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        if not self._forwarded and signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
            numbers.append(signal.SIGUSR1)
        return handled(dict.fromkeys(numbers, self._note))

    def wait(self, thread: threading.Thread) -> None:
        """Wait for a thread to end, and act on signals meanwhile; for ten seconds at most once the runs were killed."""
        while thread.is_alive() and time.monotonic() < self._patient_until:
            thread.join(_POLL_SECONDS)
            while self._came:
                self._act(self._came.popleft())

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Keep a signal for the main loop. A scheduler's also ends the runs, and the agent must begin no others."""
        del frame
        self._came.append(number)
        if number != signal.SIGINT and number not in self._forwarded:
            self._agent.signalled = self._agent.signalled or number

    def _act(self, number: int) -> None:
        agent = self._agent
        if number in self._forwarded:
            agent.signal(number)
            return
        agent.signalled = agent.signalled or number
        if number != signal.SIGINT:
            agent.terminate(f"the agent was told to end ({signal.Signals(number).name})", outcome=RunState.LOST)
            return
        self._pressed += 1
        if self._pressed == 1:
            running = len(agent.active_runs())
            agent.leave("interrupted by Ctrl-C")
            if running:
                runs, them = ("the running run", "it") if running == 1 else (f"{running} running runs", "them")
                agent.display.note(f"waiting for {runs} to end; press Ctrl-C again to end {them} now")
        elif self._pressed == 2:
            agent.display.note("ending the running runs; press Ctrl-C again to kill them")
            agent.terminate("ended by Ctrl-C")
        else:
            agent.kill()
            self._patient_until = min(self._patient_until, time.monotonic() + _KILLED_SECONDS)
