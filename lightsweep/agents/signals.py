"""Ctrl-C in three steps, SIGTERM, and the signals that are passed on to runs."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightsweep.agents.worker import Agent

__all__ = ["Interrupts"]

_POLL_SECONDS = 0.1
_KILLED_SECONDS = 10.0
_FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


class Interrupts:
    """Counts signals in the handler, acts on them in the main thread's loop, where any lock may be taken.

    The first Ctrl-C waits for the running runs, the second terminates them, the third kills them. SIGTERM, by which a
    scheduler takes the machine away, terminates them and leaves them for another agent to start again. So does SIGHUP,
    a terminal that closes, unless it is passed on or was ignored before (``nohup``); and SIGUSR1, by which a scheduler
    warns (``sbatch --signal=USR1@60``), unless it is passed on or the program that called the agent has its own use
    for it.

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
        """Handle the signals inside of the block; the handlers before are put back after it."""
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
        """Wait for a thread to end, acting on signals meanwhile; not for ever once the runs were killed."""
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
            running = len(agent.hands())
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
