"""A run that the agent has in hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from lightsweep.agents.handler import RunHandler
from lightsweep.agents.launchers.process import Started
from lightsweep.controller import ClaimedRun

__all__ = ["Hand"]


@dataclass(eq=False)
class Hand:
    """A run that the agent has in hand, with its process; safe from several threads.

    Attributes:
        run: The run.
        environment: Variables of its slot, such as the GPUs that it may see.
        started: Its process, or the call of its function; ``None`` before it began.
        killed: Why the agent ended it; empty while it did not.
        outcome: What it ends as where the agent ended it: ``killed``, or ``lost`` where an agent shall start it again.
        deadline: When its process is killed, in seconds of the monotonic clock; ``None`` unless it was told to end.
        handler: What its process says comes here; ``None`` before it began.
        finished: Whether it had said that it finished before the agent ended it.
        ending: Whether its process ended, so that only the storage has to hear of it.
    """

    run: ClaimedRun
    environment: Mapping[str, str] = field(default_factory=dict)
    started: Started | None = None
    killed: str = ""
    outcome: str = "killed"
    deadline: float | None = None
    handler: RunHandler | None = None
    finished: bool = False
    ending: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def begin(self, started: Started) -> None:
        """Note the process; it is ended at once where the run was told to end before it began."""
        with self._lock:
            self.started = started
            told = self.deadline
        if told is not None:
            started.terminate(max(0.0, told - time.monotonic()))

    def end(self, reason: str, outcome: str, grace: float) -> bool:
        """Ask its process to end, and let it be killed ``grace`` seconds later; False where that was done before."""
        with self._lock:
            if self.killed:
                return False
            self.killed, self.outcome = reason, outcome
            self.finished = self.handler is not None and self.handler.said.get("state") == "finished"
            self.deadline = time.monotonic() + grace
            started = self.started
        if started is not None:
            started.terminate(grace)
        return True

    def kill(self) -> None:
        """End its process now, or as soon as it has begun."""
        with self._lock:
            self.deadline = time.monotonic()
            started = self.started
        if started is not None:
            started.kill()

    def overdue(self) -> bool:
        """Whether it should be gone by now."""
        return self.deadline is not None and time.monotonic() >= self.deadline
