"""The client's end of the channel: one request at a time, safe in forked children."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightsweep.channel.frames import ENVIRONMENT, ChannelError, FrameStream, introduce
from lightsweep.errors import AgentLostError, LightsweepError


class Connection:
    """Requests from one run to its agent; opened at the first request, and anew after a failure or a fork.

    Args:
        path: Path of the agent's socket.
        run_id: The run's id.
        token: The run's secret.
    """

    def __init__(self, path: str, run_id: str, token: str) -> None:
        self._path = path
        self._run_id = run_id
        self._token = token
        self._link = _Link()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Connection | None:
        """Return the connection that the environment names, or ``None`` in a process that no agent has started."""
        path, run_id, token = map(environ.get, ENVIRONMENT)
        return cls(path, run_id, token) if path and run_id and token else None

    def request(self, op: str, **message: Any) -> dict[str, Any]:
        """Send one message and wait for its answer; threads take turns.

        Raises:
            AgentLostError: The agent is gone, or serves this run no longer.
            LightsweepError: The agent answered with an error; the connection stays usable.
            TypeError, ValueError: The message is not representable in JSON.
        """
        link = self._link
        if link.pid != os.getpid():
            link = self._link = _Link()
        # An interrupted wait would leave an answer behind that the next request would take for its own.
        with link.lock, self._dropping(link.drop):
            if link.stream is None or not link.stream.is_open():
                link.drop()
                link.stream = self.open()
            link.stream.send({"op": op, **message})
            answer = link.stream.receive()
            if answer is None:
                raise ChannelError("it closed the connection")
        if "error" in answer:
            raise LightsweepError(str(answer["error"]))
        return answer

    def open(self) -> FrameStream:
        """Open another connection, beside the one for requests.

        Raises:
            AgentLostError: The agent is gone, or serves this run no longer.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with self._dropping(sock.close):
            sock.connect(self._path)
            stream = FrameStream(sock)
            introduce(stream, self._run_id, self._token)
        return stream

    def close(self) -> None:
        """Close the connection of this process; a later request opens it again."""
        link = self._link
        if link.pid == os.getpid():
            with link.lock:
                link.drop()

    @contextmanager
    def _dropping(self, drop: Callable[[], None]) -> Iterator[None]:
        """Call ``drop`` if the block fails; a broken connection becomes ``AgentLostError``."""
        try:
            yield
        except BaseException as error:
            drop()
            if isinstance(error, (OSError, ChannelError)):
                gone = f"the agent that serves run {self._run_id!r} is gone ({error})"
                raise AgentLostError(f"{gone}; end this run, another agent retries it") from None
            raise


class _Link:
    """The connection of one process: a forked child must use neither the socket nor the lock of its parent."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.stream: FrameStream | None = None

    def drop(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None
