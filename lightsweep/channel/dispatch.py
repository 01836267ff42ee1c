"""From a message to the handler's answer; the same for a socket and for a function in the agent's own process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lightsweep.channel.messages import FinishReply, FinishRequest, LogReply, LogRequest, StartReply, StartRequest
from lightsweep.errors import LightsweepError

__all__ = ["OPERATIONS", "Handler", "answer"]

OPERATIONS = ("start", "log", "finish")


class Handler(Protocol):
    """What the agent does for one run.

    Methods are called from the server's threads, one thread per connection: several at once where a run has several
    processes. A ``LightsweepError`` reaches the run with its message.
    """

    def start(self, message: StartRequest) -> StartReply:
        """A process of the run begins: its defaults in, the config out."""

    def log(self, message: LogRequest) -> LogReply:
        """Metrics in, the verdict out."""

    def finish(self, message: FinishRequest) -> FinishReply:
        """The run has ended by itself."""


def answer(handler: Handler, message: Mapping[str, Any]) -> dict[str, Any]:
    """The handler's answer to ``message``, or ``{"error": text}``; never raises an ``Exception``."""
    operation = message.get("op")
    if operation not in OPERATIONS:
        return {"error": f"the operations of a run are {', '.join(OPERATIONS)}, got {operation!r}"}
    given: Any = {name: value for name, value in message.items() if name != "op"}
    try:
        if operation == "start":
            return dict(vars(handler.start(given)))
        return dict(handler.log(given) if operation == "log" else handler.finish(given))
    except LightsweepError as error:
        return {"error": str(error)}
    except Exception as error:  # a fault in a handler must end neither the connection nor the agent
        import logging  # here, since a training process has no use for it

        logging.getLogger("lightsweep").exception("the agent failed on %r of a run", operation)
        return {"error": f"the agent failed on {operation!r}: {type(error).__name__}: {error}"}
