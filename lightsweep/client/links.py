"""Who answers for a run: an agent behind a socket, or a handler in this process."""

from __future__ import annotations

import os
from typing import Any, Protocol

from lightsweep.channel import Handler, answer
from lightsweep.errors import LightsweepError, UsageError

__all__ = ["InProcess", "Link"]


class Link(Protocol):
    """Carries a message to the agent and its answer back."""

    def request(self, op: str, **message: Any) -> dict[str, Any]:
        """The answer; ``AgentLostError`` or ``LightsweepError`` as ``lightsweep.channel.Connection.request``."""


class InProcess:
    """The handler of an agent that runs the training function in its own process."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._pid = os.getpid()

    def request(self, op: str, **message: Any) -> dict[str, Any]:
        """The handler's answer.

        Raises:
            LightsweepError: The handler answers with an error.
            UsageError: Called in a forked child, whose copy of the handler must not touch the agent's storage.
        """
        if os.getpid() != self._pid:
            raise UsageError("a run of a training function can be logged to from the function's own process only")
        reply = answer(self._handler, {"op": op, **message})
        if "error" in reply:
            raise LightsweepError(str(reply["error"]))
        return reply
