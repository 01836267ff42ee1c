"""The messages between a run and its agent, as they are on the wire, and the handler that answers them.

A new field has its place here alone. A message is a frame: a length of four bytes, big-endian, and a JSON object.
A handshake proves a run's secret.
"""

from __future__ import annotations

import hmac
import json
import math
import os
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple, Protocol, TypedDict

from lightsweep.errors import LightsweepError
from lightsweep.hyperband import Verdict

encoded = json.JSONEncoder(separators=(",", ":")).encode
"""Return the JSON of a value, in the fewest characters; NaN and infinities as Python writes them."""

POST = "post"
"""The operation of a log whose reply is read later: an empty one, unless it has more to tell than the iterations."""

_FEW = 8


class StartRequest(TypedDict, total=False):
    """A process of the run calls ``init``.

    Attributes:
        defaults: The config passed to ``init``, nested.
        process: The number of the process; absent if it is of a rank above 0.
    """

    defaults: dict[str, Any]
    process: int


class StartReply(NamedTuple):
    """The run, as its script gets it.

    Attributes:
        id: The run's id, unique in the storage.
        number: The run's number, unique in its sweep.
        sweep: The sweep's id.
        name: The run's name.
        config: The sweep's values over the script's defaults, nested.
        swept: Dotted names of the parameters that the sweep searches.
        set: Dotted names of all parameters that the sweep gives.
        dir: The run's directory.
        metric: Name of the sweep's metric; ``None`` if it has none.
        goal: ``"minimize"``, ``"maximize"``, or ``None`` without a metric.
        resumed: Whether this is another attempt at a run that was cut off.
        iterations: Iterations that were reported so far, over all attempts.
        counted: Iterations that earlier attempts have reported.
        early_terminate: Whether the sweep may stop the run.
        next_band: See `LogReply`.
        checkpoint: Path of the checkpoint that an earlier attempt has left.
        keep_checkpoint: Whether the run may be retried, so that a checkpoint is worth keeping.
        smoke: Steps of a trial of the script; 0 in a run that counts.
        first: Whether no other process of the run has called ``init`` before, in this attempt.
    """

    id: str = ""
    number: str = ""
    sweep: str | None = None
    name: str = ""
    config: Mapping[str, Any] = {}
    swept: Sequence[str] = ()
    set: Sequence[str] = ()
    dir: str = ""
    metric: str | None = None
    goal: str | None = None
    resumed: bool = False
    iterations: int = 0
    counted: int = 0
    early_terminate: bool = False
    next_band: int | None = 0
    checkpoint: str | None = None
    keep_checkpoint: bool = False
    smoke: int = 0
    first: bool = True

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> StartReply:
        """Return the reply in a message."""
        return cls(**_known(cls, message))

    def message(self) -> dict[str, Any]:
        """Return the message; :meth:`read` is its inverse."""
        return self._asdict()


class Numbers(dict[str, float]):
    """Numbers by name with their JSON, which is made once: they must not change after that."""

    __slots__ = ("_text",)

    @property
    def text(self) -> str:
        """The JSON object; see `encoded`."""
        if not hasattr(self, "_text"):
            self._text: str = self._short() if len(self) <= _FEW else encoded(self)
        return self._text

    def _short(self) -> str:
        """Return the same: for few numbers this takes half the time."""
        parts = []
        for name, value in self.items():
            if not math.isfinite(value):
                return encoded(self)
            parts.append(f"{encode_basestring_ascii(name)}:{value!r}")
        return "{" + ",".join(parts) + "}"


class LogRequest(TypedDict, total=False):
    """A log of a script.

    Attributes:
        metrics: Numbers by flat name; none if the script only asks for the verdict.
        last: Whether training ends by itself now, so that the run is not judged; absent if not.
        process: The number of the process; absent if it is the first of the run that called ``init``.
        preempting: Whether the run is to be retried if its process fails from now on; absent if not.
        anew: Whether the reports of the metric before this one count no more; absent if they do.
        late: Whether training has ended without knowing of a verdict to stop, so that the verdict counts no more;
            absent if not.
        posted: Whether the script reads the answer with its next message only; absent if not.
    """

    metrics: dict[str, float]
    last: bool
    process: int
    preempting: bool
    anew: bool
    late: bool
    posted: bool


class LogReply(NamedTuple):
    """The answer to a log.

    Attributes:
        verdict: Whether to stop, and why.
        iterations: Iterations that were reported so far, over all attempts.
        next_band: The iteration from which on the script waits for the verdict on a report: the next band, or ``None``
            if there is none. 0, also of an older agent, is every iteration.
    """

    verdict: Verdict = Verdict()
    iterations: int = 0
    next_band: int | None = 0

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> LogReply:
        """Return the reply in a message."""
        given = message.get("verdict")
        verdict = Verdict(**_known(Verdict, given)) if given else _BELOW_A_BAND
        return cls(verdict, message.get("iterations", 0), message.get("next_band", 0))

    def message(self) -> dict[str, Any]:
        """Return the message; it has no verdict to go on between bands."""
        verdict = self.verdict
        told = verdict.stop or verdict.band == self.iterations
        found = {"iterations": self.iterations, "next_band": self.next_band}
        return {**found, "verdict": verdict._asdict()} if told else found


_BELOW_A_BAND = Verdict()


def _known(kind: Any, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message that this version knows: script and agent may have different ones."""
    return {name: message[name] for name in kind._fields if name in message}


class FinishRequest(TypedDict, total=False):
    """The end of a script.

    Attributes:
        state: ``"finished"``, ``"pruned"`` or ``"failed"``.
        error: Why it failed.
        unread: Dotted names of the searched parameters that the script never read; ``None`` if unknown.
        no_numbers: Names that were logged as something else than a number, and as what.
        read: If some were never read: other names that the script asked the config for.
        cut: Whether the data loaders of a smoke run that failed were cut short.
        alone: Whether rank 0 was stopped alone and has done all of its work: the agent is to kill the other ranks.
    """

    state: str
    error: str | None
    unread: list[str] | None
    no_numbers: dict[str, str]
    read: list[str]
    cut: bool
    alone: bool


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


class Guarded:
    """Turns a fault of a handler, called in the block, into ``LightsweepError``; agent and connection go on.

    Args:
        operation: The name of the handler's method, for the message.
    """

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, LightsweepError):
            import logging  # here, since a training process has no use for it

            logging.getLogger("lightsweep").error("the agent failed on %r of a run", self._operation, exc_info=error)
            raise LightsweepError(f"the agent failed on {self._operation!r}: {type(error).__name__}: {error}") from None


MESSAGE_LIMIT = 16 * 2**20
HANDSHAKE_LIMIT = 4 * 2**10
HANDSHAKE_SECONDS = 10.0
"""How long an agent waits for the proof of a process that may be a stranger."""

AGENT_SECONDS = 60.0
"""How long a run waits for its own agent, which may be slow on a machine with too much to do."""

_LENGTH = struct.Struct("!I")
_CHUNK = 64 * 2**10
_NOTHING = _LENGTH.pack(2) + b"{}"  # an empty object


class ChannelError(LightsweepError):
    """The other end broke the protocol: no JSON object, too large, too slow, or no proof of the secret."""


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
        self.send_body(encoded(message).encode())

    def send_body(self, body: bytes) -> None:
        """Send the JSON of one object, as `send` does."""
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
        return decoded(body)

    def _readable(self, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

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
            if deadline is not None and not self._readable(max(0.0, deadline - time.monotonic())):
                raise ChannelError("the other end took too long to identify itself")
            found = self._sock.recv(_CHUNK)
            if not found:
                if self._buffer:
                    raise ChannelError("the connection ended inside a frame")
                return False
            self._buffer += found
        return True


def body_of(message: Mapping[str, Any], operation: str) -> bytes:
    """Return the JSON of a message that asks for an operation; that of `Numbers` is made no second time."""
    metrics = message.get("metrics")
    if type(metrics) is not Numbers:
        return encoded({"op": operation, **message}).encode()
    if len(message) == 1:
        return f'{{"op":"{operation}","metrics":{metrics.text}}}'.encode()
    rest = encoded({"op": operation, **{name: value for name, value in message.items() if name != "metrics"}})
    return f'{rest[:-1]},"metrics":{metrics.text}}}'.encode()


def decoded(body: bytes) -> dict[str, Any]:
    """Return the object in the body of a frame. Raises ``ChannelError``."""
    try:
        message = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise ChannelError(f"a frame must hold a JSON object: {error}") from None
    if not isinstance(message, dict):
        raise ChannelError(f"a frame must hold a JSON object, this one holds a {type(message).__name__}")
    return message


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
