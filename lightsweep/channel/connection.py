"""The client's end of the channel: one request at a time, safe in forked children."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from typing import Any

from lightsweep.channel.frames import ENVIRONMENT, ChannelError, FrameStream, introduce
from lightsweep.errors import AgentLostError, LightsweepError

__all__ = ["Connection"]

_GONE = "the agent that serves run {run!r} is gone ({why}); end this run, another agent retries it"


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

    @property
    def run_id(self) -> str:
        """The id of the run that this process belongs to."""
        return self._run_id

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
        with link.lock:
            try:
                if link.stream is not None and not link.stream.is_open():
                    link.drop()
                if link.stream is None:
                    link.stream = self._open()
                link.stream.send({"op": op, **message})
                answer = link.stream.receive()
            except (OSError, ChannelError) as error:
                link.drop()
                raise self._lost(error) from None
            except BaseException:
                link.drop()  # an interrupted wait leaves an answer behind that the next request would take for its own
                raise
            if answer is None:
                link.drop()
                raise self._lost("it closed the connection")
        if "error" in answer:
            raise LightsweepError(str(answer["error"]))
        return answer

    def open(self) -> FrameStream:
        """Open another connection, beside the one for requests.

        Raises:
            AgentLostError: The agent is gone, or serves this run no longer.
        """
        try:
            return self._open()
        except (OSError, ChannelError) as error:
            raise self._lost(error) from None

    def close(self) -> None:
        """Close the connection of this process; a later request opens it again."""
        link = self._link
        if link.pid == os.getpid():
            with link.lock:
                link.drop()

    def _lost(self, why: object) -> AgentLostError:
        return AgentLostError(_GONE.format(run=self._run_id, why=why))

    def _open(self) -> FrameStream:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self._path)
            stream = FrameStream(sock)
            introduce(stream, self._run_id, self._token)
        except BaseException:
            sock.close()
            raise
        return stream


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
