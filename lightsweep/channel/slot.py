"""Reports in shared memory: a run leaves one there and trains on, and its agent takes it without being woken.

To wake another process costs a training step more than all else of a report. So the agent looks by itself, four times
in the time between two reports, and the run wakes it only if it has ceased to look. One report at most is there; the
next waits until it is settled: answered, and the run has been told if there is anything to tell.

Linux only: the memory has no name and needs no room on a disk, and it cannot become shorter under its reader.
"""

from __future__ import annotations

import json
import mmap
import os
import threading
import time
from array import array
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from lightsweep.channel.frames import AGENT_SECONDS, ChannelError, FrameStream
from lightsweep.channel.messages import POST, encoded

SLOT, LOOK, COLLECT = "slot", "look", "collect"
"""What a run asks for beside its messages: the memory; a look into it, without an answer; the answer to its report."""

SIZE = 64 * 2**10
_HEAD = 64
_END = b"\n"  # of the names of a report, which are JSON; 8 bytes for each number follow
_WRITTEN, _SETTLED, _ASLEEP, _CHECK = range(4)  # numbers of 8 bytes in the head

_LOOKS, _SLEEPS, _LEFT = range(3)  # what the agent does, at _ASLEEP
_WATCH_SECONDS = 0.25
_LONGEST_PAUSE = 0.05
_SHORT_PAUSE = 0.002
_SHORTEST_PAUSE = 0.0002


class Slot:
    """The memory of one process of a run and its agent, as one of them has it. Not thread-safe.

    The run writes a report, then its length and checksum, then the number of reports. Not every processor shows these
    to the other side in this order, hence the checksum. A report is the JSON of its names, and 8 bytes for each number:
    to write numbers as text would take a third of a report's time.

    Args:
        descriptor: Of the memory; it may be closed afterwards.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SIZE)
        self._head = memoryview(self._memory)[:_HEAD].cast("Q")
        self._taken = 0
        self._names: tuple[str, ...] = ()
        self._listed = b""

    @property
    def settled(self) -> bool:
        """Whether the agent has answered all reports, and has nothing to tell."""
        return self._head[_WRITTEN] == self._head[_SETTLED]

    @property
    def asleep(self) -> bool:
        """Whether the agent looks only when it is woken, or no more."""
        return self._head[_ASLEEP] != _LOOKS

    @asleep.setter
    def asleep(self, value: bool) -> None:
        self._head[_ASLEEP] = _SLEEPS if value else _LOOKS

    def put(self, metrics: Mapping[str, float]) -> bool:
        """Leave a report; False if it is too long, or the one before is not settled."""
        head = self._head
        written = head[_WRITTEN]
        if written != head[_SETTLED]:
            return False
        if (names := tuple(metrics)) != self._names:
            self._names, self._listed = names, encoded(names).encode() + _END
        body = self._listed + array("d", metrics.values()).tobytes()
        size = len(body)
        if size > SIZE - _HEAD:
            return False
        self._memory[_HEAD : _HEAD + size] = body
        head[_CHECK] = crc32(body) << 32 | size
        head[_WRITTEN] = written + 1
        return True

    def leave(self) -> None:
        """Take nothing any more; what was taken is settled."""
        self._head[_SETTLED] = self._taken
        self._head[_ASLEEP] = _LEFT

    def untaken(self) -> dict[str, float] | None:
        """Wait until the agent has left, for a minute at most; return the report that it has not taken, if any."""
        until = time.monotonic() + AGENT_SECONDS
        while self._head[_ASLEEP] != _LEFT:
            if time.monotonic() >= until:
                return None
            time.sleep(_SHORT_PAUSE)
        return None if self.settled else _numbers(self._memory[_HEAD : _HEAD + (self._head[_CHECK] & 0xFFFFFFFF)])

    def take(self) -> dict[str, float] | None:
        """Return a report that was not taken before, once it is there as a whole.

        Raises:
            ChannelError: What is there is none; it is taken.
        """
        written = self._head[_WRITTEN]
        if written == self._taken:
            return None
        check = self._head[_CHECK]
        body = self._memory[_HEAD : _HEAD + (check & 0xFFFFFFFF)]
        if crc32(body) != check >> 32:
            return None
        self._taken = written
        return _numbers(body)

    def settle(self) -> bool:
        """Let the run leave its next report; tell whether every report that was left has been taken."""
        taken, self._taken = self._taken, self._head[_WRITTEN]
        self._head[_SETTLED] = self._taken
        return taken == self._taken

    def close(self) -> None:
        """Give the memory back."""
        self._head.release()
        self._memory.close()


def _numbers(body: bytes) -> dict[str, float]:
    listed, _, packed = body.partition(_END)
    values = array("d")
    try:
        values.frombytes(packed)
        return dict(zip(json.loads(listed), values, strict=True))
    except (TypeError, ValueError) as error:
        raise ChannelError(f"the report in shared memory cannot be read: {error}") from None


def made_slot() -> tuple[Slot, int] | None:
    """Make a slot and return it with the descriptor of its memory; ``None`` where this system has no such memory."""
    try:
        import fcntl

        descriptor = os.memfd_create("lightsweep", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, ImportError, OSError):  # not Linux, or forbidden in this container
        return None
    try:
        os.ftruncate(descriptor, SIZE)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        return Slot(descriptor), descriptor
    except OSError:
        os.close(descriptor)
        return None


def received_slot(stream: FrameStream) -> Slot | None:
    """Ask the agent for a slot; ``None`` if this system has none, or the agent.

    Raises:
        ChannelError, OSError: The connection ended.
    """
    if not hasattr(os, "memfd_create"):
        return None
    stream.send({"op": SLOT})
    descriptor = stream.receive_descriptor()
    if descriptor is None:
        return None
    try:
        return Slot(descriptor)
    except (OSError, ValueError):
        return None
    finally:
        os.close(descriptor)


class Mailbox:
    """The agent's end: takes reports from a slot while it waits for messages on the connection beside it.

    Only `wait` and `close` belong to the thread of that connection.

    Args:
        slot: The slot.
        stream: The connection.
        answer: Answers a message; an empty answer tells the run nothing.
    """

    def __init__(self, slot: Slot, stream: FrameStream, answer: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._slot = slot
        self._stream = stream
        self._answer = answer
        self._lock = threading.Lock()
        self._closed = False
        self._held: dict[str, Any] = {}
        self._last = time.monotonic()
        self._pause = _LONGEST_PAUSE

    def wait(self) -> None:
        """Return when the connection has a message, or ends; answer reports meanwhile."""
        while not self._stream.waits(self._rested()):
            self.look()
            if time.monotonic() - self._last > _WATCH_SECONDS:
                self._slot.asleep = True
                # What the run left before it could know of this is there by now.
                if not self._stream.waits(0.001) and not self.look():
                    self._stream.waits(None)
                self._slot.asleep = False
                self._last = time.monotonic()

    def _rested(self) -> float:
        """Return how long to wait; a wait for a message has milliseconds, so sleep first if that is too long."""
        if self._pause >= _SHORT_PAUSE:
            return self._pause
        time.sleep(self._pause)
        return 0.0

    def look(self) -> bool:
        """Answer a report, if one was left; tell whether."""
        with self._lock:
            try:
                metrics = None if self._closed else self._slot.take()
            except ChannelError as error:
                self._held = {"error": str(error)}
                return True
            if metrics is None:
                return False
            now = time.monotonic()
            self._pause, self._last = min(max((now - self._last) / 4, _SHORTEST_PAUSE), _LONGEST_PAUSE), now
            self._held = self._answer({"op": POST, "metrics": metrics})
            if not self._held:
                self._slot.settle()
            return True

    def collect(self) -> dict[str, Any]:
        """Return the answer to the last report, empty if it tells nothing new; the run may leave the next one."""
        self.look()
        held, self._held = self._held, {}
        if not self._slot.settle():
            return {"error": "the report in shared memory is damaged"}
        return held

    def close(self) -> None:
        """Leave, and give the memory back."""
        with self._lock:
            self._closed = True
            self._slot.leave()
            self._slot.close()
