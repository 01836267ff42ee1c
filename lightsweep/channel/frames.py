"""Frames, the JSON objects of both ends of a channel, and the proofs of a run's secret.

A frame is a length of four bytes, big-endian, and a JSON object. The handshake proves a run's secret.
"""

from __future__ import annotations

import hmac
import json
import os
import select
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lightsweep.channel.messages import Numbers, encoded
from lightsweep.errors import LightsweepError

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

    def send_descriptor(self, descriptor: int) -> None:
        """Send an empty object, and a descriptor with it."""
        socket.send_fds(self._sock, [_NOTHING], [descriptor])

    def receive_descriptor(self) -> int | None:
        """Read an object that may come with a descriptor, and return that; the caller closes it.

        Raises:
            ChannelError: The other end has closed.
            OSError: The connection broke.
        """
        found, descriptors, *_ = socket.recv_fds(self._sock, _CHUNK, 1, socket.MSG_CMSG_CLOEXEC)
        if not found:
            raise ChannelError("it closed the connection")
        return descriptors[0] if descriptors else None

    def waits(self, seconds: float | None) -> bool:
        """Return whether an object or the end can be read, as soon as it can; ``None`` waits for ever."""
        return bool(self._buffer) or self._readable(seconds)

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
