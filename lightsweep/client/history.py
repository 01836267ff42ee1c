"""The history of a run: all numbers that its script logs, a line for each step, in its directory.

``history.jsonl`` has a JSON object for each step: the numbers by name, ``_step``, and ``_timestamp`` in seconds since
1970; NaN and infinities as Python writes them. Other lines are notes: ``{"attempt": time}`` begins a retry,
``{"every": 4}`` says how many steps the next lines leave out, and after ``{"anew": time}`` nothing before it counts.
The process of the run appends; nothing is rewritten.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightsweep.channel.messages import Numbers

__all__ = ["FILE", "History", "LineFile", "begin_attempt", "left_out", "read_history"]

FILE = "history.jsonl"
"""The file in the run's directory."""

_SECONDS = 2.0
_MOST_WAITING = 2048  # values
_WHOLE_BYTES = 8 * 2**20
_FURTHER_BYTES = 2**20
_MOST_BYTES = 32 * 2**20
_MOST_KINDS = 32
_TAIL_BYTES = 2**18


class LineFile:
    """Appends lines of JSON to a file, many by one write, so that a training step does not wait for a disk.

    Lines wait in memory for the next call that comes 2 seconds after the last write, for 2,048 values, or for `flush`.
    If a write fails, one line on stderr says so, and nothing more is written. Safe from several threads, and from
    the handler of a signal that arrives during a write; a forked child does not write what waited in its parent.

    Args:
        path: The file, made at the first write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1
        self._broken = False
        self._here(os.getpid())

    def _here(self, process: int) -> None:
        """Begin with nothing that waits, in this process."""
        self._process = process
        self._lock = threading.RLock()
        self._writing = False
        self._afterwards: Callable[[], None] | None = None
        self._waiting: list[Any] = []
        self._values = 0
        self._written = float("-inf")
        util, processes = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
        if util is not None and processes is not None and processes.parent_process() is not None:
            util.Finalize(None, self.flush, exitpriority=10)  # such a process ends without the actions of atexit

    def add(self, line: Any, values: int = 1) -> None:
        """Append a line, now or later; it counts as so many values."""
        if self._process != os.getpid():
            self._here(os.getpid())
        with self._lock:
            self._waiting.append(line)
            self._values += values
            if self._values >= _MOST_WAITING or time.monotonic() - self._written >= _SECONDS:
                self._write()

    def flush(self) -> None:
        """Write what waits in this process."""
        if self._process == os.getpid():
            with self._lock:
                self._write()

    def close(self) -> None:
        """Write what waits, and close the file; a later line opens it again."""
        with self._lock:
            if self._writing:
                self._afterwards = self.close
                return
        self.flush()
        if self._is_open():
            with suppress(OSError):  # a full disk may be reported as late as here
                os.close(self._file)
        self._file = -1

    def _is_open(self) -> bool:
        """Return whether the descriptor still is of this file: a script may have closed all of its descriptors."""
        try:
            return self._file >= 0 and os.path.samestat(os.fstat(self._file), self._status)
        except OSError:
            return False

    def _write(self) -> None:
        """Write what waits; in the midst of a write, from the handler of a signal, do so after that write."""
        if self._writing:
            self._afterwards = self._afterwards or self._write
            return
        self._writing = True
        try:
            self._write_waiting()
        finally:
            self._writing = False
            afterwards, self._afterwards = self._afterwards, None
            if afterwards is not None:
                afterwards()

    def _write_waiting(self) -> None:
        waiting, self._waiting, self._values = self._waiting, [], 0
        if not waiting or self._broken:
            return
        try:
            if not self._is_open():
                self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
                self._status = os.fstat(self._file)
                self._opened(self._status.st_size)
            content = memoryview("".join(f"{line}\n" for line in self._lines(waiting)).encode())
            while content:
                content = content[os.write(self._file, content) :]
        except OSError as error:
            self._broken = True
            print(f"lightsweep: {self._path} is not continued: {error.strerror or error}", file=sys.stderr)
        self._written = time.monotonic()

    def _opened(self, size: int) -> None:
        """Take note of the size of the file."""

    def _lines(self, waiting: Iterable[Any]) -> Iterator[str]:
        return map(json.dumps, waiting)


_Step = tuple[int, float, Numbers]
"""A step, its time, and its numbers."""


class _Kind:
    """Steps with the same names: how many there were, every how many are kept, and their bytes since that changed."""

    __slots__ = ("bytes", "count", "every", "left")

    def __init__(self) -> None:
        self.count, self.every, self.bytes = 0, 1, 0
        self.left: _Step | None = None


class History(LineFile):
    """Writes the history of a run.

    The first 8 MiB have every step. After each further MiB, half as many steps are kept as before, of those names that
    take the most room: rare ones, as of a validation, stay whole. A file never grows beyond 32 MiB.

    Attributes:
        count: The number of complete steps.
        kept: The number of those that were written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.count = self.kept = 0
        self._open: tuple[int, dict[str, float]] | None = None
        self._kinds: dict[tuple[str, ...], _Kind] = {}
        self._size = 0
        self._limit = _WHOLE_BYTES

    def log(self, step: int, numbers: Numbers, *, complete: bool) -> None:
        """Add numbers to a step; it is complete if said so, or with the first numbers of another step."""
        if self._open is not None:
            if self._open[0] != step:
                self._complete()
            else:
                numbers = Numbers({**self._open[1], **numbers})
                self._open = None
        if complete:
            self.add((step, time.time(), numbers), len(numbers))
        else:
            self._open = (step, numbers)

    def _complete(self) -> None:
        if self._open is not None:
            step, numbers = self._open
            self._open = None
            self.add((step, time.time(), Numbers(numbers)), len(numbers))

    def end(self) -> str:
        """Write the rest; return a sentence on what was left out, empty if nothing was."""
        self._complete()
        self.flush()
        for kind in self._kinds.values():
            if kind.left is not None:  # the last values count
                kind.every, kind.count, self.count = 1, kind.count - 1, self.count - 1
                self.add(kind.left)
        self.close()
        return left_out(self.kept, self.count) if self.kept < self.count else ""

    def _opened(self, size: int) -> None:
        self._size = size
        self._limit = max(_WHOLE_BYTES, size)

    def _lines(self, waiting: Iterable[_Step]) -> Iterator[str]:
        for line in waiting:
            step, moment, numbers = line
            names = tuple(numbers)
            if names not in self._kinds and len(self._kinds) >= _MOST_KINDS:
                names = ()
            kind = self._kinds.setdefault(names, _Kind())
            kind.count += 1
            self.count += 1
            if (kind.count - 1) % kind.every or self._size >= _MOST_BYTES:
                kind.left = line
                continue
            kind.left = None
            self.kept += 1
            text = f'{numbers.text[:-1]},"_step":{step},"_timestamp":{moment:.3f}}}'
            kind.bytes += len(text) + 1
            self._size += len(text) + 1
            yield text
            if self._size > self._limit:
                most = max(self._kinds.values(), key=lambda kind: kind.bytes)
                most.every, most.bytes, most.count = 2 * most.every, 0, 1
                self._limit = self._size + _FURTHER_BYTES
                yield json.dumps({"every": most.every})


def left_out(kept: int, count: int) -> str:
    """Return the sentence about a history that lacks some of its steps."""
    return f"{FILE} keeps {kept:,} of {count:,} steps: all of the first 8 MiB, then fewer of the most frequent ones"


def begin_attempt(directory: Path) -> None:
    """Note in a history that a retry begins; do nothing without a history."""
    path = directory / FILE
    if path.is_file():
        notes = LineFile(path)
        notes.add({"attempt": time.time()})
        notes.close()


def begin_anew(directory: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace the history of a run by these steps, in the same file."""
    lines = LineFile(directory / FILE)
    for line in ({"anew": time.time()}, *rows):
        lines.add(dict(line))
    lines.close()


def last_step(directory: Path) -> int:
    """Return the last step in the history of a run; -1 without one. Only the end of the file is read."""
    try:
        with (directory / FILE).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return -1
    return max((step for line in lines if (step := _step_of(_parsed(line))) is not None), default=-1)


def read_history(directories: Iterable[str | os.PathLike[str]], most_bytes: int = _MOST_BYTES) -> list[dict[str, Any]]:
    """Return the steps of a run, in order: the numbers of each by name, with ``_step`` and ``_timestamp``.

    A step that an earlier attempt has logged keeps its values, as the storage does. If processes of one attempt have
    the same step, the later one follows after the others. Lines that are cut off or not understood are left out.

    Args:
        directories: Those of the run's attempts, the latest last; one without a history counts as empty.
        most_bytes: Read no more of each file.
    """
    found: dict[int, dict[str, Any]] = {}
    begun: set[int] = set()  # steps of earlier attempts
    last = -1
    for directory in directories:
        begun.update(found)
        last = -1
        for line in _parsed_lines(Path(directory, FILE), most_bytes):
            if "anew" in line and "_step" not in line:
                found.clear()
                begun.clear()
                last = -1
            if "attempt" in line and "_step" not in line:
                begun.update(found)
                last = -1
            step = _step_of(line)
            if step is None or step in begun:
                continue
            if step in found:
                step = last + 1
                while step in found:
                    step += 1
            last = max(last, step)
            found[step] = {**{name: line[name] for name in line if _is_number(line[name])}, "_step": step}
    return [found[step] for step in sorted(found)]


def _parsed_lines(path: Path, most_bytes: int) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            while file.tell() < most_bytes and (line := file.readline(_MOST_BYTES)):
                yield _parsed(line)
    except OSError:
        return


def _parsed(line: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _step_of(line: Mapping[str, Any]) -> int | None:
    step = line.get("_step")
    return step if isinstance(step, int) and not isinstance(step, bool) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
