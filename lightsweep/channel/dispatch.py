"""From a message to the handler's answer, and from a script's question to a message."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

from lightsweep.channel.connection import Connection
from lightsweep.channel.messages import FinishRequest, LogReply, LogRequest, StartReply, StartRequest
from lightsweep.errors import LightsweepError, UsageError

OPERATIONS = ("start", "log", "finish")

_M = TypeVar("_M")
_R = TypeVar("_R")


class Handler(Protocol):
    """The agent's side of one run.

    Methods are called from the server's threads, one thread per connection: several at once if a run has several
    processes. A ``LightsweepError`` reaches the run with its message.
    """

    def start(self, message: StartRequest) -> StartReply:
        """Answer the first message of a process of the run: its defaults in, the config out."""

    def log(self, message: LogRequest) -> LogReply:
        """Take metrics in, and give the verdict."""

    def finish(self, message: FinishRequest) -> None:
        """Take note that the run has ended by itself."""


def answer(handler: Handler, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the handler's answer to ``message``, or ``{"error": text}``; never raises an ``Exception``."""
    operation = message.get("op")
    if operation not in OPERATIONS:
        return {"error": f"the operations of a run are {', '.join(OPERATIONS)}, got {operation!r}"}
    given: Any = {name: value for name, value in message.items() if name != "op"}
    try:
        reply = _guarded(getattr(handler, operation), given)
    except LightsweepError as error:
        return {"error": str(error)}
    return {"ok": True} if reply is None else asdict(reply)


class Remote:
    """The handler of a run, asked from the run's own process."""

    def __init__(self, connection: Connection) -> None:
        self._request = connection.request

    def start(self, message: StartRequest) -> StartReply:
        """See `Handler`; each method raises as `Connection.request` does."""
        return StartReply.read(self._request("start", **message))

    def log(self, message: LogRequest) -> LogReply:
        """See `Handler`."""
        return LogReply.read(self._request("log", **message))

    def finish(self, message: FinishRequest) -> None:
        """See `Handler`."""
        self._request("finish", **message)


class InProcess:
    """The handler of an agent that runs the training function in its own process.

    Each method raises ``LightsweepError`` if the handler fails, and ``UsageError`` in a forked child, whose copy of the
    handler must not touch the agent's storage.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._pid = os.getpid()

    def start(self, message: StartRequest) -> StartReply:
        """See `Handler`."""
        return self._ask(self._handler.start, message)

    def log(self, message: LogRequest) -> LogReply:
        """See `Handler`."""
        return self._ask(self._handler.log, message)

    def finish(self, message: FinishRequest) -> None:
        """See `Handler`."""
        self._ask(self._handler.finish, message)

    def _ask(self, method: Callable[[_M], _R], message: _M) -> _R:
        if os.getpid() != self._pid:
            raise UsageError("a run of a training function can be logged to from the function's own process only")
        return _guarded(method, message)


def _guarded(method: Callable[[_M], _R], message: _M) -> _R:
    """Call a handler: its fault must end neither the connection nor the agent, so it becomes ``LightsweepError``."""
    try:
        return method(message)
    except LightsweepError:
        raise
    except Exception as error:
        import logging  # here, since a training process has no use for it

        name = method.__name__
        logging.getLogger("lightsweep").exception("the agent failed on %r of a run", name)
        raise LightsweepError(f"the agent failed on {name!r}: {type(error).__name__}: {error}") from None
