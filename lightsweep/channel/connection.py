"""The run's end of the channel: one request at a time, safe in forked children; and the frames and proofs of both ends.

A frame is a length of four bytes, big-endian, and a JSON object. The handshake proves a run's secret.
"""

from __future__ import annotations

import hmac
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import Any

from lightsweep.channel.messages import (
    FinishRequest,
    Guarded,
    Handler,
    LogReply,
    LogRequest,
    Numbers,
    StartReply,
    StartRequest,
    encoded,
)
from lightsweep.errors import AgentLostError, LightsweepError, UsageError

ENVIRONMENT = ("LIGHTSWEEP_CHANNEL", "LIGHTSWEEP_RUN", "LIGHTSWEEP_TOKEN")
"""The variables by which a process finds its agent: address of the channel, id and secret of the run.

The address is the path of a socket; or ``tcp://HOST:PORT`` if the run has processes on several hosts.
"""

POST = "post"
"""The operation of a log whose reply is read later: an empty one, unless it has more to tell than the iterations."""

MESSAGE_LIMIT = 16 * 2**20
HANDSHAKE_LIMIT = 4 * 2**10
HANDSHAKE_SECONDS = 10.0
"""How long an agent waits for the proof of a process that may be a stranger."""

AGENT_SECONDS = 60.0
"""How long a run waits for its own agent, which may be slow on a machine with too much to do."""

TCP = "tcp://"

_LENGTH = struct.Struct("!I")
_CHUNK = 64 * 2**10
_NOTHING = _LENGTH.pack(2) + b"{}"  # an empty object


class ChannelError(LightsweepError):
    """The other end broke the protocol: no JSON object, too large, too slow, or no proof of the secret."""


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

    def post(self, message: LogRequest) -> list[LogReply] | None:
        """Send a log and leave its reply to the next call, or to `settle`: one reply at most is left.

        If the reply to the log before says something new, nothing is sent.

        Returns:
            ``None`` if the log was sent, else the replies, each once.

        Raises as `request`; errors that the agent answers with are those of the log before.
        """
        link = self._of_this_process()
        with link.lock:
            if link.busy:  # in the handler of a signal
                link.late.append(self._exchange(POST, message))
                return None
            with link as stream:
                if not link.late:
                    stream.send({"op": POST, **message})
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
                    pass
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
                with link as stream:
                    stream.send({"op": op, **message})
                    return _answer(stream)
        with closing(Connection(self._address, self._run_id, self._token)) as other:
            return other._exchange(op, message)

    def _of_this_process(self) -> _Link:
        if self._link.pid != os.getpid():
            self._link = _Link(self)
        return self._link

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

    As a context manager, for the one thread that holds the lock and is not ``busy``, it gives a stream that is open and
    has no answer left in it. It raises ``AgentLostError`` for errors of the connection.

    Attributes:
        busy: Whether the thread that holds the lock is in the midst of a message.
        posted: Whether the answer to the last message is still to be read.
        late: Answers to posted messages that say something new, until `replies` returns them.
    """

    def __init__(self, owner: Connection) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.busy = self.posted = False
        self.late: list[dict[str, Any]] = []
        self._owner = owner
        self.stream: FrameStream | None = None

    def __enter__(self) -> FrameStream:
        self.busy = True
        try:
            if self.stream is None or not self.stream.is_open():
                self.drop()
                self.stream = self._owner.open()
            if self.posted:
                if answer := _answer(self.stream):
                    self.late.append(answer)
                self.posted = False
        except BaseException as error:
            self.__exit__(None, error)
            raise
        return self.stream

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        self.busy = False
        if error is not None:
            # An interrupted wait would leave an answer behind that the next request would take for its own.
            self.drop()
            if isinstance(error, (OSError, ChannelError)):
                raise self._owner.gone(error) from None

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


class FrameStream:
    """JSON objects over a connected socket. Not thread-safe: one thread, or one lock, per stream.

    Args:
        sock: A connected stream socket, in blocking mode; the stream closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        status = os.fstat(sock.fileno())
        self._identity = status.st_ino, status.st_dev
        self._buffer = bytearray()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one object in one system call; NaN and infinities pass.

        Raises:
            ChannelError: Larger than 16 MiB.
            TypeError, ValueError: Not representable in JSON.
            OSError: The other end is gone.
        """
        body = _body(message)
        if len(body) > MESSAGE_LIMIT:
            raise ChannelError(f"a message may have {MESSAGE_LIMIT} bytes, this one has {len(body)}")
        self._sock.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self, deadline: float | None = None) -> dict[str, Any] | None:
        """Return the next object, or ``None`` if the other end has closed between two frames.

        Args:
            deadline: Of the handshake, whose objects have 4 KiB at most: a value of ``time.monotonic()`` at which
                waiting ends. ``None`` waits for ever.

        Raises:
            ChannelError: Not a JSON object, longer than 16 MiB, cut off, or the deadline has passed.
            OSError: The connection broke.
        """
        if deadline is None and not self._buffer:
            found = self._sock.recv(_CHUNK)
            if found == _NOTHING:  # the answer to most reports
                return {}
            self._buffer += found
        if not self._fill(_LENGTH.size, deadline):
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        limit = MESSAGE_LIMIT if deadline is None else HANDSHAKE_LIMIT
        if length > limit:
            raise ChannelError(f"a frame may have {limit} bytes here, this one announces {length}")
        end = _LENGTH.size + length
        if not self._fill(end, deadline):
            raise ChannelError("the connection ended inside a frame")
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        try:
            message = json.loads(body.decode())
        except (ValueError, RecursionError) as error:
            raise ChannelError(f"a frame must hold a JSON object: {error}") from None
        if not isinstance(message, dict):
            raise ChannelError(f"a frame must hold a JSON object, this one holds a {type(message).__name__}")
        return message

    def end(self, how: int = socket.SHUT_RDWR) -> None:
        """Let reader and writer, in whichever threads they wait, see the end.

        After ``SHUT_RD`` only the reader sees it: an answer under way can still be sent.
        """
        if self.is_open():
            with suppress(OSError):  # the other end was faster
                self._sock.shutdown(how)

    def close(self) -> None:
        """Close the socket in this process only; a forked copy stays open."""
        if self.is_open():
            self._sock.close()
        else:
            self._sock.detach()  # the number may belong to a file of the script by now

    def is_open(self) -> bool:
        """Return whether the descriptor still is this socket: a script may have closed all of its descriptors."""
        try:
            status = os.fstat(self._sock.fileno())
            return (status.st_ino, status.st_dev) == self._identity
        except (OSError, ValueError):
            return False

    def _fill(self, size: int, deadline: float | None) -> bool:
        """Read until the buffer holds ``size`` bytes; False at the end of the stream with nothing read."""
        while len(self._buffer) < size:
            if deadline is not None:
                poll = select.poll()
                poll.register(self._sock, select.POLLIN)
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise ChannelError("the other end took too long to identify itself")
            found = self._sock.recv(_CHUNK)
            if not found:
                if self._buffer:
                    raise ChannelError("the connection ended inside a frame")
                return False
            self._buffer += found
        return True


def _body(message: Mapping[str, Any]) -> bytes:
    """Return the JSON of a message; that of `Numbers` is made no second time."""
    metrics = message.get("metrics")
    if type(metrics) is not Numbers:
        return encoded(message).encode()
    if len(message) == 2 and message.get("op") in ("log", POST):
        return f'{{"op":"{message["op"]}","metrics":{metrics.text}}}'.encode()
    rest = encoded({name: value for name, value in message.items() if name != "metrics"})
    return f'{rest[:-1]},"metrics":{metrics.text}}}'.encode()


def introduce(stream: FrameStream, run_id: str, token: str) -> None:
    """Prove to an agent that this process belongs to the run, and let the agent prove that it serves the run.

    Raises:
        ChannelError: The other end is not an agent, does not serve the run, or does not know its secret.
        OSError: The connection broke.
    """
    deadline = time.monotonic() + AGENT_SECONDS
    hello = stream.receive(deadline)
    if hello is None or not isinstance(hello.get("nonce"), str):
        raise ChannelError("no agent of lightsweep answers there")
    nonce = os.urandom(16).hex()
    sides = (run_id, hello["nonce"], nonce)
    stream.send({"run": run_id, "nonce": nonce, "proof": proof(token, "client", *sides)})
    welcome = stream.receive(deadline)
    if welcome is None or "error" in welcome:
        raise ChannelError("it closed the connection" if welcome is None else str(welcome["error"]))
    if not is_proof(welcome.get("proof"), proof(token, "server", *sides)):
        raise ChannelError("the process that answers there does not know this run's secret")


def proof(token: str, side: str, run_id: str, server_nonce: str, client_nonce: str) -> str:
    """Return the HMAC-SHA256 of the side, the run and both nonces, so that no proof can be used twice."""
    text = "\n".join((side, run_id, server_nonce, client_nonce))
    return hmac.digest(token.encode(), text.encode(errors="replace"), "sha256").hex()


def is_proof(given: object, expected: str) -> bool:
    """Compare two proofs in constant time; False if ``given`` is not a text."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), expected.encode())
