"""Frames: a length of four bytes, big-endian, and a JSON object; and the handshake, which proves a run's secret."""

from __future__ import annotations

import hmac
import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from lightsweep.errors import LightsweepError

ENVIRONMENT = ("LIGHTSWEEP_CHANNEL", "LIGHTSWEEP_RUN", "LIGHTSWEEP_TOKEN")
"""The variables by which a process finds its agent: path of the socket, id and secret of the run."""

MESSAGE_LIMIT = 16 * 2**20
HANDSHAKE_LIMIT = 4 * 2**10
HANDSHAKE_SECONDS = 10.0

_LENGTH = struct.Struct("!I")
_CHUNK = 64 * 2**10


class ChannelError(LightsweepError):
    """The other end broke the protocol: no JSON object, too large, too slow, or no proof of the secret."""


class FrameStream:
    """JSON objects over a connected socket. Not thread-safe: one thread, or one lock, per stream.

    Args:
        sock: A connected stream socket, in blocking mode; the stream closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._status = os.fstat(sock.fileno())
        self._buffer = bytearray()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one object in one system call; NaN and infinities pass.

        Raises:
            ChannelError: Larger than 16 MiB.
            TypeError, ValueError: Not representable in JSON.
            OSError: The other end is gone.
        """
        body = json.dumps(message, separators=(",", ":")).encode()
        if len(body) > MESSAGE_LIMIT:
            raise ChannelError(f"a message may have {MESSAGE_LIMIT} bytes, this one has {len(body)}")
        self._sock.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self, limit: int = MESSAGE_LIMIT, deadline: float | None = None) -> dict[str, Any] | None:
        """Return the next object, or ``None`` if the other end has closed between two frames.

        Args:
            limit: Largest length that is accepted, in bytes.
            deadline: A value of ``time.monotonic()`` at which waiting ends; ``None`` waits for ever.

        Raises:
            ChannelError: Not a JSON object, longer than ``limit``, cut off, or the deadline has passed.
            OSError: The connection broke.
        """
        if not self._fill(_LENGTH.size, deadline):
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > limit:
            raise ChannelError(f"a frame may have {limit} bytes here, this one announces {length}")
        end = _LENGTH.size + length
        if not self._fill(end, deadline):
            raise ChannelError("the connection ended inside a frame")
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        try:
            message = json.loads(body)
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
            return os.path.samestat(os.fstat(self._sock.fileno()), self._status)
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


def introduce(stream: FrameStream, run_id: str, token: str) -> None:
    """Prove to an agent that this process belongs to the run, and let the agent prove that it serves the run.

    Raises:
        ChannelError: The other end is not an agent, does not serve the run, or does not know its secret.
        OSError: The connection broke.
    """
    deadline = time.monotonic() + HANDSHAKE_SECONDS
    hello = stream.receive(HANDSHAKE_LIMIT, deadline)
    if hello is None or not isinstance(hello.get("nonce"), str):
        raise ChannelError("no agent of lightsweep answers there")
    nonce = os.urandom(16).hex()
    sides = (run_id, hello["nonce"], nonce)
    stream.send({"run": run_id, "nonce": nonce, "proof": proof(token, "client", *sides)})
    welcome = stream.receive(HANDSHAKE_LIMIT, deadline)
    if welcome is None or "error" in welcome:
        raise ChannelError("it closed the connection" if welcome is None else str(welcome["error"]))
    if not is_proof(welcome.get("proof"), proof(token, "server", *sides)):
        raise ChannelError("the process that answers there does not know this run's secret")


def identify(stream: FrameStream, token_of: Callable[[str], str | None], seconds: float) -> tuple[str, dict[str, str]]:
    """Find out which run a process belongs to.

    Args:
        stream: The connection.
        token_of: The token of a run; ``None`` if it is not served.
        seconds: How long the process may take.

    Returns:
        The id of the run, and the message that welcomes the process.

    Raises:
        ChannelError: The process does not prove that it belongs to a run; it was told why.
        OSError: The connection broke.
    """
    nonce = os.urandom(16).hex()
    stream.send({"nonce": nonce})
    hello = stream.receive(HANDSHAKE_LIMIT, time.monotonic() + seconds)
    if hello is None:
        raise ChannelError("it closed before it identified itself")
    run_id, theirs = hello.get("run"), hello.get("nonce")
    if isinstance(run_id, str) and isinstance(theirs, str) and (token := token_of(run_id)) is not None:
        if is_proof(hello.get("proof"), proof(token, "client", run_id, nonce, theirs)):
            return run_id, {"proof": proof(token, "server", run_id, nonce, theirs)}
        refusal = "the secret of this run is wrong"
    else:
        refusal = "it does not serve this run, or serves it no longer"
    with suppress(OSError):  # the process may be gone
        stream.send({"error": refusal})
    raise ChannelError(f"{refusal}: {run_id!r}")


def proof(token: str, side: str, run_id: str, server_nonce: str, client_nonce: str) -> str:
    """Return the HMAC-SHA256 of the side, the run and both nonces, so that no proof can be used twice."""
    text = "\n".join((side, run_id, server_nonce, client_nonce))
    return hmac.digest(token.encode(), text.encode(errors="replace"), "sha256").hex()


def is_proof(given: object, expected: str) -> bool:
    """Compare two proofs in constant time; False if ``given`` is not a text."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), expected.encode())
