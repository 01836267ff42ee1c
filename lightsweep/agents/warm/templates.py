"""The template process of an agent: made when a run needs it, replaced when it does not fit any more."""

from __future__ import annotations

import hashlib
import marshal
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from lightsweep.agents.launchers import Variables
from lightsweep.agents.reaper import MARK, Reaper
from lightsweep.agents.warm.imports import Leading, leading_imports

_HOOK = Path(__file__).resolve().parent / "hook"
_OWN = Path(__file__).resolve().parents[2]  # the folder of lightsweep
_VARIABLE = "LIGHTSWEEP_TEMPLATE"
_PYTHON = re.compile(r"python[0-9.]*")
_OPTIONS = re.compile(r"-[uBOs]+")
_OF_RUNS = ("CUDA_VISIBLE_DEVICES",)
_PRELOADED = re.compile(r"lib(tcmalloc|jemalloc|mimalloc|iomp5|gomp)\b[^/]*")  # which know what a fork is
_WATCHERS = (
    "LD_AUDIT",
    "COVERAGE_",
    "PYDEVD_",
    "DEBUGPY_",
    "PYTHONINSPECT",
    "PYTHONTRACEMALLOC",
    "PYTHONPROFILEIMPORTTIME",
)
_FILLER = " " * 4000  # room for the command that ps shows; the kernel shows a page at most
_IMPORT_SECONDS = 600.0
_START_SECONDS = 60.0
_END_SECONDS = 2.0
_GROWTH = 64 * 2**20
_LOOK_SHARE = 0.05  # of the time, for looks at the files that are imported: 3,000 of them take 13 ms
_MOST_NAMED = 4
_MOST_SILENT = 3


class ColdError(Exception):
    """The reason why a run starts in the usual way."""


class SilentError(ColdError):
    """The template process has not answered in time, or was killed."""


@dataclass(frozen=True)
class PythonCommand:
    """A command that starts a Python script and nothing else.

    Attributes:
        command: The command from the interpreter on.
        python: The path of the interpreter.
        options: The options of the interpreter.
        program: The script, as the command has it.
    """

    command: tuple[str, ...]
    python: str
    options: tuple[str, ...]
    program: str

    @classmethod
    def read(cls, command: Sequence[str]) -> PythonCommand:
        """Return a command with its parts.

        Raises:
            ColdError: It starts something else.
        """
        words = list(command)
        if words and Path(words[0]).name == "env":
            words.pop(0)
        python = shutil.which(words[0]) if words and _PYTHON.fullmatch(Path(words[0]).name) else None
        if python is None:
            raise ColdError("the command is not `python SCRIPT`")
        count = next((index for index, word in enumerate(words[1:]) if not _OPTIONS.fullmatch(word)), len(words) - 1)
        script = words[count + 1] if len(words) > count + 1 else "-"
        if script.startswith("-"):
            raise ColdError("the command starts no script" if script == "-" else f"the command has the option {script}")
        if not Path(script).is_file():
            raise ColdError(f"there is no file {script}")
        return cls(tuple(words), python, tuple(words[1 : count + 1]), script)


@dataclass(frozen=True)
class Kind:
    """The facts on which the state of a template depends; runs that have others need another template.

    Attributes:
        command: Interpreter, options and script.
        place: The working directory, by device and inode.
        variables: A digest of the environment, without what differs from run to run.
        leading: The leading imports of the script.
        neighbours: The modules beside the script, any of which could hide an installed one.
    """

    command: tuple[str, ...]
    place: tuple[int, int]
    variables: bytes
    leading: Leading
    neighbours: frozenset[str]


class ForkedProcess:
    """The process of a run that a template has forked; like a ``subprocess.Popen``.

    Attributes:
        pid: Its process id.
    """

    def __init__(self, pid: int, stream: socket.socket) -> None:
        self.pid = pid
        self._stream = stream

    def wait(self) -> int:
        """Return the exit code, negative for a signal; as after SIGKILL if the template was killed."""
        with self._stream, self._stream.makefile("rb") as lines:
            status = lines.readline()
        if status:
            return os.waitstatus_to_exitcode(int(status))
        with suppress(OSError):
            handle = os.pidfd_open(self.pid)
            try:
                select.select([handle], [], [])
            finally:
                os.close(handle)
        return -signal.SIGKILL


class Template:
    """A template process.

    Args:
        plain: The command.
        kind: See `Kind`.
        environment: The variables of a run.
        reaper: Ends it if the agent is killed.

    Attributes:
        pid: Its process id.
        imports: The packages that it has imported.

    Raises:
        ColdError: It cannot be started.
    """

    def __init__(self, plain: PythonCommand, kind: Kind, environment: Variables, reaper: Reaper) -> None:
        self.kind = kind
        self._seen = {name: environment.get(name) for name in _OF_RUNS}
        self._mark = secrets.token_hex(32)
        self._control, theirs = socket.socketpair()
        self._answers: socket.socket | None = None  # of the fork that is about to begin
        variables = {name: value for name, value in environment.items() if not name.startswith("LIGHTSWEEP_")}
        path = [str(_HOOK), *filter(None, [variables.get("PYTHONPATH")])]
        variables |= {"PYTHONPATH": os.pathsep.join(path), _VARIABLE: f"starting{theirs.fileno()}", MARK: self._mark}
        with theirs, tempfile.TemporaryFile() as output:
            try:
                self._process = subprocess.Popen(
                    [*plain.command[:1], *plain.options, "-c", "", plain.program, _FILLER],
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                self._control.close()
                raise ColdError(f"no template process could be started ({error.strerror})") from None
        self.pid = self._process.pid
        self._reaper = reaper
        reaper.add(self.pid, "")

    def prepare(self, program: str) -> None:
        """Let it import.

        Raises:
            ColdError: It is not fit for a fork, or has ended.
        """
        order = {
            "program": str(Path(program).absolute()),
            "statements": [(each.file, each.line, each.code, each.root) for each in self.kind.leading.statements],
            "own": f"{_OWN}{os.sep}",
            "mark": self._mark,
        }
        try:
            self._control.settimeout(_IMPORT_SECONDS)
            _send(self._control, order)
            report = _receive(self._control)
        except (OSError, EOFError, ValueError) as error:
            self.kill()
            late = isinstance(error, TimeoutError)
            why = f"needed more than {_IMPORT_SECONDS:g} s to import" if late else "ended while it imported"
            raise ColdError(f"the template process {why}") from None
        if "unfit" in report:
            self.kill()
            raise ColdError(report["unfit"])
        self.imports: list[str] = list(dict.fromkeys(report["imports"]))
        self._roots = frozenset(report["roots"])
        self._read = frozenset(report["read"])
        self._files = list(report["files"])
        self._stamps = self._look()
        self._next_look = 0.0
        self._size = self._resident()

    def hurry(self) -> None:
        """Let `prepare` or `fork`, in another thread, fail at once; its runs go on, but no other begins."""
        for stream in (self._control, self._answers):
            if stream is not None:
                with suppress(OSError):  # it is closed
                    stream.shutdown(socket.SHUT_RDWR)

    def why_not(self, kind: Kind) -> str:
        """Return why a run of some kind cannot be forked from it; empty if it can."""
        if self._process.poll() is not None:
            return "it has ended"
        if replace(kind, neighbours=self.kind.neighbours) != self.kind:
            return "the script or its environment has changed"
        if (kind.neighbours ^ self.kind.neighbours) & self._roots:
            return "a file beside the script hides a module"
        if self._differs():
            return "an installed package has changed"
        return "it has grown" if self._resident() > 1.5 * self._size + _GROWTH else ""

    def fork(self, command: Sequence[str], environment: Variables, output: BinaryIO) -> ForkedProcess:
        """Start a run.

        Raises:
            ColdError: An import depends on a variable that is another one in this run; or the process does not answer,
                and has been killed.
        """
        for name in self._read:
            if name not in self._seen or environment.get(name) != self._seen[name]:
                raise ColdError(f"an import reads {name}, which differs from run to run")
        ours, theirs = socket.socketpair()
        self._answers = ours
        try:
            with theirs:
                socket.send_fds(self._control, [b"r"], [theirs.fileno(), output.fileno()])
            ours.settimeout(_START_SECONDS)
            _send(ours, (list(command), dict(environment)))
            answer = b""
            while not answer.endswith(b"\n"):
                part = ours.recv(1)
                if not part:
                    raise EOFError
                answer += part
            ours.sendall(b"1")  # before that, the script does not begin
        except (OSError, EOFError) as error:
            ours.close()
            self.kill()
            late = isinstance(error, TimeoutError)
            raise SilentError(
                f"the template process {'does not answer' if late else 'ended, or cannot fork'}"
            ) from None
        finally:
            self._answers = None
        ours.settimeout(None)
        return ForkedProcess(int(answer), ours)

    def close(self) -> bool:
        """Let it end as soon as its runs have ended; return whether it has."""
        self._control.close()
        if self._process.poll() is None:
            return False
        self._reaper.remove(self.pid)
        return True

    def end(self) -> None:
        """Wait for its end, and kill it if that takes too long."""
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill it, and what its imports have started; not its runs."""
        self._control.close()
        if self._process.returncode is None:  # so the number of the group is still its own
            with suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self._reaper.remove(self.pid)

    def _differs(self) -> bool:
        """Return whether an installed file has changed; false for a while after a look, so that looks cost little."""
        if time.monotonic() < self._next_look:
            return False
        begun = time.thread_time()  # on a busy machine a look takes longer, and costs the same
        differs = self._look() != self._stamps
        self._next_look = time.monotonic() + (time.thread_time() - begun) / _LOOK_SHARE
        return differs

    def _look(self) -> list[tuple[int, int]]:
        """Return time and size of all that is imported, and of the places where packages are installed."""
        return _stamps(self._files) + _installed_stamps(self._files)

    def _resident(self) -> int:
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0


class Templates:
    """Starts the runs of an agent as forks of a template process, if that makes no difference to them.

    Args:
        reaper: Ends the template if the agent is killed.
        remark: Gets how runs start, in words, once and whenever that changes.
        also: Other scripts whose imports each run makes.
    """

    def __init__(self, reaper: Reaper, remark: Callable[[str], None], also: Sequence[Path] = ()) -> None:
        self._reaper = reaper
        self._remark = remark
        self._also = tuple(also)
        self._lock = threading.Lock()
        self._template: Template | None = None
        self._old: list[Template] = []
        self._unfit: tuple[Kind, str] | None = None
        self._making: Template | None = None
        self._hurried = threading.Event()
        self._silent = 0
        self._leading: tuple[object, Leading] = (None, Leading((), ()))
        self._said = ""

    def start(self, command: Sequence[str], environment: Variables, output: BinaryIO) -> ForkedProcess | None:
        """Start a run; ``None`` if it has to start in the usual way."""
        try:
            plain = PythonCommand.read(command)
            _check_environment(environment)
            with self._lock:
                template = self._fitting(plain, environment)
                process = template.fork(plain.command, environment, output)
        except ColdError as why:
            if self._hurried.is_set():
                return None
            self._silent += isinstance(why, SilentError)
            self._say(f"runs start cold: {why}")
            return None
        names = [name for name in template.imports if name not in sys.stdlib_module_names]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        shown = f", with {', '.join(names[:_MOST_NAMED])}{more} imported once" if names else ""
        self._say(f"runs start warm{shown}")
        return process

    def hurry(self) -> None:
        """Let runs start cold from now on, since they are to end at once; a start that waits for a template goes on."""
        self._hurried.set()
        for template in filter(None, [self._making, self._template]):
            template.hurry()

    def close(self) -> None:
        """End the template processes."""
        with self._lock:
            for template in filter(None, [self._template, *self._old]):
                template.end()
            self._template, self._old = None, []

    def _fitting(self, plain: PythonCommand, environment: Variables) -> Template:
        kind = self._kind(plain, environment)
        if self._hurried.is_set():
            raise ColdError("the agent ends")
        if self._silent >= _MOST_SILENT:
            raise ColdError(f"{_MOST_SILENT} template processes did not answer")
        if self._unfit is not None and self._unfit[0] == kind:
            raise ColdError(self._unfit[1])
        if self._template is not None and self._template.why_not(kind):
            self._old = [each for each in [*self._old, self._template] if not each.close()]
            self._template = None
        if self._template is None:
            try:
                made = self._making = Template(plain, kind, environment, self._reaper)
                if self._hurried.is_set():  # before that
                    made.hurry()
                made.prepare(plain.program)
            except ColdError as why:
                self._unfit = kind, str(why)
                raise
            finally:
                self._making = None
            self._template = made
        return self._template

    def _kind(self, plain: PythonCommand, environment: Variables) -> Kind:
        scripts = [*self._also, Path(plain.program).absolute()]
        neighbours = frozenset().union(*(_neighbours(path.resolve().parent) for path in scripts))
        if (neighbours, _stamps([*scripts, *self._leading[1].files])) != self._leading[0]:
            leading = leading_imports(*scripts)
            self._leading = (neighbours, _stamps([*scripts, *leading.files])), leading
        shared = sorted(
            item for item in environment.items() if not item[0].startswith("LIGHTSWEEP_") and item[0] not in _OF_RUNS
        )
        here = os.stat(".")  # noqa: PTH116
        return Kind(
            (plain.python, *plain.options, plain.program),
            (here.st_dev, here.st_ino),
            hashlib.sha256(repr(shared).encode(errors="surrogateescape")).digest(),
            self._leading[1],
            neighbours,
        )

    def _say(self, text: str) -> None:
        with self._lock:
            if text == self._said:
                return
            self._said = text
        self._remark(text)


def _check_environment(environment: Mapping[str, str]) -> None:
    if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
        raise ColdError("a fork is only trusted on Linux")
    for name in environment:
        if name.startswith(_WATCHERS):
            raise ColdError(f"{name} is set")
    for library in environment.get("LD_PRELOAD", "").replace(":", " ").split():
        if not _PRELOADED.fullmatch(Path(library).name):
            raise ColdError(f"LD_PRELOAD has {library}, which may not expect a fork")
    if "pydevd" in sys.modules:
        raise ColdError("a debugger is attached to the agent")


def _neighbours(folder: Path) -> frozenset[str]:
    """Return the names of the modules in a folder."""
    names = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            name, _, kind = entry.name.partition(".")
            package = not kind and Path(entry.path, "__init__.py").exists()
            if package or kind == "py" or kind.endswith("so"):
                names.add(name)
    return frozenset(names)


def _stamps(paths: Sequence[str | Path]) -> list[tuple[int, int]]:
    """Return the time of change and the size of files; zeros for those that do not exist."""
    return list(map(_stamp, paths))


def _stamp(path: str | Path) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _installed_stamps(files: Sequence[str]) -> list[tuple[int, int]]:
    """Return the stamps of the folders of packages in which files are, and of the ``.pth`` files there."""
    folders = {file[: file.index(part) + len(part) - 1] for file in files for part in _PARTS if part in file}
    listed = [path for folder in folders for path in Path(folder).glob("*.pth")]
    return _stamps([*sorted(folders), *sorted(listed)])


_PARTS = ("/site-packages/", "/dist-packages/")


def _send(stream: socket.socket, content: Any) -> None:
    data = marshal.dumps(content, 2)
    stream.sendall(len(data).to_bytes(8, "big") + data)


def _receive(stream: socket.socket) -> Any:
    with stream.makefile("rb") as file:
        size = file.read(8)
        data = file.read(int.from_bytes(size, "big"))
    return marshal.loads(data)
