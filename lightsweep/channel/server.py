"""The agent's end of the channel: a socket in a private directory and one thread per connection.

For runs on several hosts it listens on TCP too. There the proof of the secret is the same, and nothing is encrypted. A
connection that proves nothing ends after a few seconds.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightsweep.channel.connection import ENVIRONMENT, TCP, watch_peer
from lightsweep.channel.messages import (
    HANDSHAKE_SECONDS,
    POST,
    ChannelError,
    FrameStream,
    Guarded,
    Handler,
    is_proof,
    proof,
)
from lightsweep.errors import LightsweepError, UsageError

OPERATIONS = ("start", "log", "finish")
_NOTHING_NEW = {"iterations", "next_band"}

_logger = logging.getLogger("lightsweep")


def host_name() -> str:
    """Return the name of this host; on a node of Slurm the node's, under which Slurm's commands know it."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


_PREFIX = f"lightsweep-{zlib.crc32(host_name().encode()):08x}-"  # hosts may share the directory
_SOCKET = "s"
_LONGEST_PATH = 95  # bytes; macOS allows 103, Linux 107, and the socket has a longer name at first
_CLOSE_SECONDS = 10.0
_DRAIN_SECONDS = 5.0
_BACKLOG = 128


class ChannelServer(AbstractContextManager["ChannelServer"]):
    """Serves the processes of any number of runs; usable as a context manager. All methods are thread-safe.

    A faulty message ends at most its own connection.

    Args:
        handshake_seconds: How long a connection may take to prove that it knows a run's secret.
        host: A name or address by which other hosts reach this one, to listen on TCP; ``None`` for runs on this host.

    Attributes:
        path: Path of the socket.
        address: What the processes of runs are given: the path, or ``tcp://HOST:PORT``.
    """

    def __init__(self, *, handshake_seconds: float = HANDSHAKE_SECONDS, host: str | None = None) -> None:
        self._handshake_seconds = handshake_seconds
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._runs: dict[str, _Served] = {}
        self._peers: dict[threading.Thread, FrameStream] = {}
        self._closed = False
        self._directory = _private_directory()
        self.path = self.address = str(self._directory / _SOCKET)
        self._listeners = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)]
        try:
            self._listeners[0].bind(f"{self.path}-new")
            self._listeners[0].listen(_BACKLOG)
            os.rename(f"{self.path}-new", self.path)  # noqa: PTH104  under this name it always answers
            if host is not None:
                self._listeners.append(_tcp_listener())
                name = f"[{host}]" if ":" in host else host
                self.address = f"{TCP}{name}:{self._listeners[1].getsockname()[1]}"
        except OSError:
            self._close_listeners()
            raise
        self._acceptors = [
            threading.Thread(target=self._accept, args=(each,), name="lightsweep-channel", daemon=True)
            for each in self._listeners
        ]
        for acceptor in self._acceptors:
            acceptor.start()

    def register(self, run_id: str, handler: Handler) -> dict[str, str]:
        """Serve ``run_id`` from now on, and return the environment variables that its process needs.

        Raises:
            UsageError: The id is registered already, or the server is closed.
        """
        with self._lock:
            if self._closed:
                raise UsageError("the channel is closed")
            if run_id in self._runs:
                raise UsageError(f"run {run_id!r} is registered already; unregister it first")
            served = self._runs[run_id] = _Served(handler, secrets.token_hex(32))
        return dict(zip(ENVIRONMENT, (self.address, run_id, served.token), strict=True))

    def drain(self, run_id: str) -> None:
        """Answer what the processes of a run have sent before they ended: the last report waits for no reply.

        Returns when their connections have ended, as they do with the processes, or after a few seconds.
        """
        with self._lock:
            served = self._runs.get(run_id)
            if served is not None:
                self._left.wait_for(lambda: not served.streams, _DRAIN_SECONDS)

    def unregister(self, run_id: str) -> None:
        """Release the run: requests of its processes fail, and a watch on its agent ends them. Ignores unknown ids.

        An answer under way is still sent.
        """
        with self._lock:
            served = self._runs.pop(run_id, None)
            streams = list(served.streams) if served else []
        for stream in streams:
            stream.end(socket.SHUT_RD)

    def close(self) -> None:
        """End all connections and threads; remove the socket and its directory. Idempotent.

        To processes of runs that are still registered this is the end of their agent, so they end.
        """
        with self._lock:
            first, self._closed = not self._closed, True
        if first:
            for listener, acceptor in zip(self._listeners, self._acceptors, strict=True):
                self._wake(listener)
                acceptor.join()
            self._close_listeners()
        with self._lock:
            self._runs.clear()
            peers = dict(self._peers)
        for stream in peers.values():
            stream.end()
        deadline = time.monotonic() + _CLOSE_SECONDS
        for thread in peers:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _wake(self, listener: socket.socket) -> None:
        """Connect, since closing a socket does not wake a thread that waits in ``accept``."""
        with socket.socket(listener.family, socket.SOCK_STREAM) as knock:
            try:
                if listener.family == socket.AF_UNIX:
                    knock.connect(self.path)
                else:
                    knock.connect(("localhost", listener.getsockname()[1]))
            except OSError:
                listener.shutdown(socket.SHUT_RDWR)  # the directory was removed under us

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
                if listener.family != socket.AF_UNIX:
                    watch_peer(sock)
            except OSError as error:
                if self._closed:
                    return
                _logger.warning("the channel cannot accept a connection: %s", error)
                time.sleep(0.1)  # out of file descriptors: connections that end make room
                continue
            stream = FrameStream(sock)
            thread = threading.Thread(target=self._serve, args=(stream,), name="lightsweep-peer", daemon=True)
            with self._lock:
                if self._closed:
                    stream.close()
                    return
                self._peers[thread] = stream
            try:
                thread.start()
            except RuntimeError as error:
                _logger.warning("the channel cannot serve a connection: %s", error)
                self._forget(thread, stream)
                time.sleep(0.1)  # out of threads: connections that end make room

    def _serve(self, stream: FrameStream) -> None:
        try:
            self._converse(stream)
        except (OSError, ChannelError) as error:
            _logger.debug("a connection of the channel ended: %s", error)
        finally:
            self._forget(threading.current_thread(), stream)

    def _forget(self, thread: threading.Thread, stream: FrameStream) -> None:
        with self._lock:
            self._peers.pop(thread, None)
            stream.close()

    def _converse(self, stream: FrameStream) -> None:
        """Shake hands, then send one answer per message until the other end closes."""
        run_id, served, welcome = self._identify(stream)
        with self._lock:
            if self._runs.get(run_id) is not served:  # another attempt has another token
                raise ChannelError("the run was released meanwhile")
            served.streams.add(stream)
        answers = _Answers(served.handler)
        try:
            stream.send(welcome)
            while True:
                # over TCP, what has arrived is read in spite of SHUT_RD
                message = stream.receive()
                if message is None or self._runs.get(run_id) is not served:
                    break
                reply = answers(message)
                try:
                    stream.send(reply)
                except (TypeError, ValueError, ChannelError) as error:
                    _logger.error("the agent's answer to %r cannot be sent: %s", message.get("op"), error)
                    stream.send({"error": f"the agent's answer cannot be sent: {error}"})
        finally:
            with self._left:
                served.streams.discard(stream)
                self._left.notify_all()

    def _identify(self, stream: FrameStream) -> tuple[str, _Served, dict[str, str]]:
        """Find out which run a process belongs to; return its id, the run, and the message that welcomes the process.

        Raises:
            ChannelError: The process does not prove that it belongs to a run; it was told why.
            OSError: The connection broke.
        """
        nonce = os.urandom(16).hex()
        stream.send({"nonce": nonce})
        hello = stream.receive(time.monotonic() + self._handshake_seconds)
        if hello is None:
            raise ChannelError("it closed before it identified itself")
        run_id, theirs = str(hello.get("run")), str(hello.get("nonce"))
        served = self._runs.get(run_id)
        if served is None:
            refusal = "it does not serve this run, or serves it no longer"
        elif is_proof(hello.get("proof"), proof(served.token, "client", run_id, nonce, theirs)):
            return run_id, served, {"proof": proof(served.token, "server", run_id, nonce, theirs)}
        else:
            refusal = "the secret of this run is wrong"
        with suppress(OSError):  # the process may be gone
            stream.send({"error": refusal})
        raise ChannelError(f"{refusal}: {run_id!r}")


def _tcp_listener() -> socket.socket:
    """Listen on a free port of all addresses of this host: which of them others reach is not known here."""
    if socket.has_dualstack_ipv6():
        with suppress(OSError):  # IPv6 is switched off, as in many containers
            return socket.create_server(("", 0), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
    return socket.create_server(("", 0), backlog=_BACKLOG)


@dataclass(frozen=True)
class _Served:
    """A registered run: its handler, its secret, and the connections of its processes."""

    handler: Handler
    token: str
    streams: set[FrameStream] = field(default_factory=set)


class _Answers:
    """The answers on one connection; empty for a posted message if there is nothing new to tell.

    Args:
        handler: The handler of the run.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._band: object = None

    def __call__(self, message: Mapping[str, Any]) -> dict[str, Any]:
        reply = answer(self._handler, message)
        before, self._band = self._band, reply.get("next_band", self._band)
        posted = message.get("op") == POST
        return {} if posted and self._band == before and reply.keys() == _NOTHING_NEW else reply


def answer(handler: Handler, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the handler's answer to ``message``, or ``{"error": text}``; never raises an ``Exception``."""
    operation = "log" if message.get("op") == POST else message.get("op")
    if operation not in OPERATIONS:
        return {"error": f"the operations of a run are {', '.join(OPERATIONS)}, got {operation!r}"}
    given = {name: value for name, value in message.items() if name != "op"}
    if operation != message.get("op"):
        given["posted"] = True
    try:
        with Guarded(operation):
            reply = getattr(handler, operation)(given)
            return {"ok": True} if reply is None else reply.message()
    except LightsweepError as error:
        return {"error": str(error)}


def _private_directory() -> Path:
    """Make a directory of mode 0700 whose path leaves room for a socket's name, and remove those of killed agents."""
    above = tempfile.gettempdir()
    if len(os.fsencode(above)) + len(f"/{_PREFIX}12345678/{_SOCKET}") > _LONGEST_PATH:
        above = "/tmp"  # the one short place that Unix promises
    for path in Path(above).glob(f"{_PREFIX}*/{_SOCKET}"):
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:  # of another user, or gone
            probe.setblocking(False)
            if path.is_socket() and probe.connect_ex(str(path)) == errno.ECONNREFUSED:  # its agent was killed
                path.unlink()
                path.parent.rmdir()
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
