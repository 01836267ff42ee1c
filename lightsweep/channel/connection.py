"""The run's end of the channel: one request at a time, safe in forked children."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from lightsweep.channel.messages import (
    HANDSHAKE_SECONDS,
    POST,
    ChannelError,
    FinishRequest,
    FrameStream,
    Guarded,
    Handler,
    LogReply,
    LogRequest,
    Numbers,
    StartReply,
    StartRequest,
    body_of,
    introduce,
)
from lightsweep.errors import AgentLostError, LightsweepError, UsageError

ENVIRONMENT = ("LIGHTSWEEP_CHANNEL", "LIGHTSWEEP_RUN", "LIGHTSWEEP_TOKEN")
"""The variables by which a process finds its agent: address of the channel, id and secret of the run.

The address is the path of a socket; or ``tcp://HOST:PORT`` if the run has processes on several hosts.
"""

TCP = "tcp://"


class Connection:
    """The handler of a run, asked from the run's own process; each method raises as `request` does.

    The connection is opened at the first request, and anew after a failure or a fork.

    Args:
        address: See `ENVIRONMENT`.
        run_id: The run's id.
        token: The run's secret.
    """

    def __init__(self, address: str, run_id: str, token: str) -> None:
        self._address = address
        self._run_id = run_id
        self._token = token
        self._link = _Link(self)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Connection | None:
        """Return the connection that the environment names, or ``None`` in a process that no agent has started."""
        address, run_id, token = map(environ.get, ENVIRONMENT)
        return cls(address, run_id, token) if address and run_id and token else None

    def start(self, message: StartRequest) -> StartReply:
        """See `Handler`."""
        return StartReply.read(self.request("start", **message))

    def log(self, message: LogRequest) -> LogReply:
        """See `Handler`."""
        return LogReply.read(self.request("log", **message))

    def finish(self, message: FinishRequest) -> None:
        """See `Handler`."""
        self.request("finish", **message)

    def post(self, metrics: Numbers) -> list[LogReply] | None:
        """Send the numbers of a log, and leave its reply to the next call, or to `settle`: one reply at most is left.

        If the reply to the log before says something new, nothing is sent.

        Returns:
            ``None`` if the log was sent, else the replies, each once.

        Raises as `request`; errors that the agent answers with are those of the log before.
        """
        link = self._of_this_process()
        with link.lock:
            if link.busy:  # in the handler of a signal
                link.late.append(self._exchange(POST, {"metrics": metrics}))
                return None
            with link:
                stream = link.ready()
                if not link.late:
                    stream.send_body(body_of({"metrics": metrics}, POST))
                    link.posted = True
                    return None
            return link.replies()

    def settle(self) -> list[LogReply]:
        """Return the replies to the logs that this process has posted, each once; wait for the last of them.

        Replies with nothing new are left out.

        Raises as `request`.
        """
        link = self._link
        if not (link.posted or link.late) or link.pid != os.getpid():
            return []
        with link.lock:
            if link.posted and not link.busy:
                with link:
                    link.ready()
            return link.replies()

    def request(self, op: str, **message: Any) -> dict[str, Any]:
        """Send one message and wait for its answer; threads take turns.

        The handler of a signal that arrives meanwhile, in the same thread, gets a connection of its own.

        Raises:
            AgentLostError: The agent is gone, or serves this run no longer.
            LightsweepError: The agent answered with an error; the connection stays usable.
            TypeError, ValueError: The message is not representable in JSON.
        """
        return _good(self._exchange(op, message))

    def _exchange(self, op: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Send one message; return its answer."""
        link = self._of_this_process()
        with link.lock:
            if not link.busy:
                with link:
                    stream = link.ready()
                    stream.send_body(body_of(message, op))
                    return _answer(stream)
        with closing(Connection(self._address, self._run_id, self._token)) as other:
            return other._exchange(op, message)

    def _of_this_process(self) -> _Link:
        if self._link.pid != os.getpid():
            self._link.drop()
            self._link = _Link(self)
        return self._link

    @property
    def is_local(self) -> bool:
        """Whether the agent is on this host for sure."""
        return not self._address.startswith(TCP)

    def open(self) -> FrameStream:
        """Open another connection, beside the one for requests.

        Raises:
            AgentLostError: The agent is gone, or serves this run no longer.
        """
        try:
            sock = _connected(self._address)
        except (OSError, ChannelError) as error:
            raise self.gone(error) from None
        try:
            stream = FrameStream(sock)
            introduce(stream, self._run_id, self._token)
        except BaseException as error:
            sock.close()
            if isinstance(error, (OSError, ChannelError)):
                raise self.gone(error) from None
            raise
        return stream

    def close(self) -> None:
        """Close the connection of this process; a later request opens it again."""
        link = self._link
        if link.pid == os.getpid():
            with link.lock:
                if not link.busy:
                    link.drop()

    def gone(self, error: Exception) -> AgentLostError:
        """Return the error that says that the agent is gone."""
        gone = f"the agent that serves run {self._run_id!r} is gone ({error})"
        return AgentLostError(f"{gone}; end this run, another agent retries it; more: lightsweep help gone")


def _connected(address: str) -> socket.socket:
    """Return a socket that is connected to an address of a channel. Raises ``OSError``."""
    if not address.startswith(TCP):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        return sock
    host, _, port = address.removeprefix(TCP).rpartition(":")
    if not port.isdecimal():
        raise OSError(f"{address!r} is not tcp://HOST:PORT")
    sock = socket.create_connection((host.strip("[]"), int(port)), HANDSHAKE_SECONDS)
    sock.settimeout(None)
    watch_peer(sock)
    return sock


def watch_peer(sock: socket.socket) -> None:
    """Let a TCP connection end within half a minute after its other host has vanished, and send small frames at once.

    Systems other than Linux lack some of the options; there it takes longer.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    tcp = {"TCP_NODELAY": 1, "TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
    for name, value in tcp.items():
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


class _Link:
    """The connection of one process: a forked child must use neither the socket nor the lock of its parent.

    As a context manager it is ``busy``, for the one thread that holds the lock, and raises ``AgentLostError`` for
    errors of the connection.

    Attributes:
        busy: Whether the thread that holds the lock is in the midst of a message.
        posted: Whether the answer to the last message is still to be read from the connection.
        late: Answers to posted messages that say something new, until `replies` returns them.
    """

    def __init__(self, owner: Connection) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.busy = self.posted = False
        self.late: list[dict[str, Any]] = []
        self._owner = owner
        self.stream: FrameStream | None = None

    def __enter__(self) -> None:
        self.busy = True

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        self.busy = False
        if error is not None:
            # An interrupted wait would leave an answer behind that the next request would take for its own.
            self.drop()
            if isinstance(error, (OSError, ChannelError)):
                raise self._owner.gone(error) from None

    def ready(self) -> FrameStream:
        """Return a stream that is open and has no answer left in it."""
        if self.stream is None or not self.stream.is_open():
            self.drop()
            self.stream = self._owner.open()
        if self.posted:
            if answer := _answer(self.stream):
                self.late.append(answer)
            self.posted = False
        return self.stream

    def replies(self) -> list[LogReply]:
        """Return the answers to posted messages, each once. Raises ``LightsweepError`` for an error among them."""
        answers, self.late = self.late, []
        return [LogReply.read(_good(answer)) for answer in answers if answer]

    def drop(self) -> None:
        self.posted = False
        if self.stream is not None:
            self.stream.close()
            self.stream = None


def _answer(stream: FrameStream) -> dict[str, Any]:
    found = stream.receive()
    if found is None:
        raise ChannelError("it closed the connection")
    return found


def _good(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer; raise ``LightsweepError`` if it is an error."""
    if "error" in answer:
        raise LightsweepError(str(answer["error"]))
    return answer


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
        with self._asking("start"):
            return self._handler.start(message)

    def log(self, message: LogRequest) -> LogReply:
        """See `Handler`."""
        with self._asking("log"):
            return self._handler.log(message)

    def finish(self, message: FinishRequest) -> None:
        """See `Handler`."""
        with self._asking("finish"):
            self._handler.finish(message)

    def _asking(self, operation: str) -> Guarded:
        if os.getpid() != self._pid:
            raise UsageError("a run of a training function can be logged to from the function's own process only")
        return Guarded(operation)
