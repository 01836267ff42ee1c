"""The template process: it imports what a program imports, and forks itself for each run.

It is not a module of the agent. The interpreter of the runs executes it as the module ``sitecustomize``, when
it knows which script to run and has not begun to. So each fork returns from here, and Python itself runs the script, as
it does at any start: ``__main__``, tracebacks, exit codes and threads at the exit are its own affair.

Nothing here may be seen by the script. That is why no module is imported that is not loaded anyway, but for some that
are built in.

The control socket, whose number is in ``LIGHTSWEEP_TEMPLATE``, gives the order of work. It answers with the state after
the imports. Then it brings two files for each run: a socket and the output. The child reads its arguments and its
environment from that socket, so that the template never holds the secret of a run. The child answers with its process
id, and begins the script when the agent has taken that in; so no run begins that the agent has given up. The template
answers with its status when it has ended.
"""

from __future__ import annotations

import _io
import _signal  # type: ignore[import-not-found]
import _socket
import atexit
import gc
import marshal
import os
import select
import sys
import time

TYPE_CHECKING = False  # typing itself would be a module more
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

VARIABLE = "LIGHTSWEEP_TEMPLATE"
_MARK = "LIGHTSWEEP_TOKEN"
_STARTING = "starting"
_INSTALLED = ("/site-packages/", "/dist-packages/")
_LENGTH = 8
_BUFFERED = (_io.TextIOWrapper, _io.BufferedWriter, _io.BufferedRandom)
_MASKED = (
    *(_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGUSR1, _signal.SIGUSR2),
    *(_signal.SIGTSTP, _signal.SIGALRM),
)


class UnfitError(Exception):
    """The reason why no run can be forked from this process."""


def main() -> bool:
    """Be the template; return in each child, with true unless the user has a module ``sitecustomize`` too."""
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return True
    others = os.environ["PYTHONPATH"].split(os.pathsep)[1:]
    if number.startswith(_STARTING):  # now it is certain that this module is found: begin again, with the script
        number = number[len(_STARTING) :]
        os.environ[VARIABLE] = number
        python, *options = sys.orig_argv
        program, filler = sys.argv[1:]
        os.execv(sys.executable, [python, *options[: options.index("-c")], program, filler])
    if others:
        os.environ["PYTHONPATH"] = os.pathsep.join(others)
    else:
        del os.environ["PYTHONPATH"]
    try:
        return _work(_socket.socket(fileno=int(number)))
    except BaseException:  # as when the agent has gone: Python would report it, go on, and run the script unasked
        os._exit(1)


def _work(control: _socket.socket) -> bool:
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _MASKED)  # signals to all processes of a job are for the runs
    template = Template(control, mask, marshal.loads(_read(control)))
    try:
        template.place = "sitecustomize"
        alone = _run_other_sitecustomize()
        report = template.prepare()
    except UnfitError as error:
        report = {"unfit": str(error)}
    except BaseException as error:
        report = {"unfit": f"{template.place}: {type(error).__name__}: {error}"}
    _write(control, marshal.dumps(report, 2))
    if "unfit" in report:
        os._exit(0)
    template.serve()
    return alone


def _run_other_sitecustomize() -> bool:
    """Import the module of that name that Python would have found without this one; true if there is none."""
    mine = sys.modules.pop("sitecustomize")
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = mine
        return True
    return False


class Template:
    """The process.

    Args:
        control: The control socket.
        mask: The signals that were blocked when Python started.
        order: ``program``; ``statements``, each as file, line, code and the package that it imports; ``own``, the
            folder of lightsweep; ``mark``, the text in this process's environment that each run replaces by its own.

    Attributes:
        place: The file and line of the statement that is executed.
    """

    def __init__(self, control: _socket.socket, mask: Any, order: dict[str, Any]) -> None:
        self.place = "the template"
        self._control = control
        self._mask = mask
        self._order = order
        self._children: dict[int, tuple[int, int]] = {}
        self._folder = os.path.dirname(os.path.realpath(order["program"]))
        self._first = 0 if getattr(sys.flags, "safe_path", False) else 1
        self._printed = b""
        self._kept: list[Any] = []
        self._kept.append(self._kept)  # so it is never freed, and frozen, so it is never collected either
        atexit.register(self._leave)  # before any other, so it runs last

    # --- before the first run

    def prepare(self) -> dict[str, Any]:
        """Import, and return what the agent has to know.

        Raises:
            UnfitError: A fork of this process would differ from a start of the script.
        """
        if sys.gettrace() or sys.getprofile():
            raise UnfitError("Python starts with a debugger or a profiler")
        if sys.modules["site"].ENABLE_USER_SITE and _find("usercustomize"):
            raise UnfitError("there is a module usercustomize")
        _stack_area(self._order["mark"])
        main = sys.modules["__main__"]
        before, paths, files = set(sys.modules), list(sys.path), set(os.listdir("/proc/self/fd"))
        with _Watch() as watch:
            done = [root for root in self._import_all() if root]
        if sys.path[self._first :] != paths:
            raise UnfitError("an import changes sys.path")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        size = os.lseek(1, 0, os.SEEK_END)
        self._printed = os.pread(1, size, 0)
        new = [module for name, module in list(sys.modules.items()) if name not in before and module is not main]
        loaded = [str(getattr(module, "__file__", None)) for module in new]
        loaded = [file for file in loaded if file.startswith("/")]  # torch gives modules the names of no files
        for file in loaded:
            if not self._is_installed(file) and not file.startswith(self._order["own"]):
                raise UnfitError(f"an import loads {file}, which is not an installed file")
        if watch.directories:
            raise UnfitError("an import makes a temporary directory")
        if set(os.listdir("/proc/self/fd")) != files:
            raise UnfitError("an import opens a file, a connection or a device, and keeps it open")
        if any(holder is not sys.modules for holder in gc.get_referrers(main) if isinstance(holder, dict)):
            raise UnfitError("an import keeps the module __main__")
        _check_processes()
        _leave_libraries_of_c()
        self._imported = [name for name in sys.modules if name not in ("__main__", "sys", "builtins")]
        gc.freeze()
        roots = {name.partition(".")[0] for name in sys.modules}
        return {"imports": done, "files": loaded, "roots": list(roots), "read": list(watch.read)}

    def _import_all(self) -> Iterator[str]:
        """Execute the statements, as the script would, up to the first import of what is not installed."""
        names: dict[str, Any] = {"__name__": "__main__", "os": os}
        sys.modules["__main__"].__file__ = self._order["program"]
        sys.path[:0] = [self._folder][: self._first]
        for file, line, code, root in self._order["statements"]:
            self.place = f"{file}:{line}"
            if root:
                spec = _find(root)
                where = [] if spec is None else spec.submodule_search_locations or [spec.origin or ""]
                if any(place.startswith(self._order["own"]) for place in where):
                    continue
                if not where or not all(map(self._is_installed, where)):
                    return
            exec(compile("\n" * (line - 1) + code, file, "exec"), names)
            yield root

    def _is_installed(self, file: str) -> bool:
        """Return whether a file belongs to Python or an installed package."""
        return file in ("built-in", "frozen") or file.startswith(_LIBRARY) or any(part in file for part in _INSTALLED)

    # --- runs

    def serve(self) -> None:
        """Fork for each run, and report how it ended; returns in the children."""
        _show(f"lightsweep: template of {self._order['program']}", self._order["mark"], self._order["mark"])
        control = self._control.fileno()
        poll = select.poll()
        poll.register(control, select.POLLIN)
        listening = True
        while listening or self._children:
            for fd, _ in poll.poll():
                if fd != control:
                    poll.unregister(fd)
                    self._report(fd)
                    continue
                files = self._receive()
                if not files:  # the agent has closed it, or was killed: stay as long as runs do
                    listening = False
                    poll.unregister(fd)
                    continue
                run, output = files
                pid = self._fork()
                if pid == 0:
                    self._become(_socket.socket(fileno=run), output)
                    return
                os.close(output)
                if pid is None:
                    os.close(run)
                    continue
                handle = os.pidfd_open(pid)
                self._children[handle] = pid, run
                poll.register(handle, select.POLLIN)
        os._exit(0)

    def _receive(self) -> tuple[int, int] | None:
        try:
            text, extra, _, _ = self._control.recvmsg(1, _socket.CMSG_SPACE(8))
        except OSError:
            return None
        if not text or not extra:
            return None
        numbers = extra[0][2]
        return int.from_bytes(numbers[:4], sys.byteorder), int.from_bytes(numbers[4:8], sys.byteorder)

    @staticmethod
    def _fork() -> int | None:
        try:
            return os.fork()
        except OSError:  # too many processes, or no memory: the start in the usual way says so
            return None

    def _report(self, handle: int) -> None:
        pid, run = self._children.pop(handle)
        _, status = os.waitpid(pid, 0)
        try:
            os.write(run, b"%d\n" % status)
        except OSError:
            pass  # the agent does not wait for it any more
        os.close(run)
        os.close(handle)

    def _become(self, run: _socket.socket, output: int) -> None:
        """Turn this process, a child, into that of a run which Python has just started."""
        os.setsid()
        for handle, (_, other) in self._children.items():
            os.close(handle)
            os.close(other)
        self._control.close()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        try:
            command, variables = marshal.loads(_read(run))
        except (OSError, EOFError):
            os._exit(0)  # the agent has gone meanwhile
        for name in [name for name in os.environ if name not in variables]:
            del os.environ[name]
        for name, value in variables.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        sys.orig_argv[:] = command
        sys.argv[1:] = command[command.index(sys.argv[0]) + 1 :]
        _show(" ".join(command), self._order["mark"], variables.get(_MARK, ""))
        self._renew()
        try:
            run.sendall(b"%d\n" % os.getpid())
            agreed = run.recv(1)
        except OSError:
            agreed = b""
        if not agreed:  # the agent has given this fork up, and starts the run in the usual way
            os._exit(0)
        run.close()
        if self._printed:
            os.write(1, self._printed)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._mask)

    def _leave(self) -> None:
        """Let the exit of Python, which comes next, pass over the modules that were there before the fork.

        To take them apart would copy the memory that runs share, and take half a second with a trainer's libraries. The
        script's own objects and modules end as always. Files that a library holds for the script are written.
        """
        gc.collect()
        for each in gc.get_objects():
            if issubclass(
                type(each), _BUFFERED
            ):  # not isinstance: that would ask proxies for the class of their object
                try:
                    each.flush()
                except (OSError, ValueError):
                    pass  # it is closed or detached, or as at the exit of Python
        sys.setswitchinterval(1000)  # no thread shall see what follows
        for name in self._imported:
            self._kept.append(sys.modules.get(name))
            sys.modules[name] = None  # type: ignore[assignment]  # which Python does too, a moment later

    def _renew(self) -> None:
        """Give the state that a fresh process has of its own to what is loaded; ``random`` does so itself."""
        _new_main()
        del sys.path[: self._first]
        sys.path_importer_cache.pop(self._folder, None)
        loaded: Callable[[str], Any] = sys.modules.get
        if numpy := loaded("numpy.random"):
            numpy.seed()
        if torch := loaded("torch"):
            torch.default_generator.seed()
        if processes := loaded("multiprocessing.process"):
            processes.current_process().authkey = os.urandom(32)
        if threading := loaded("threading"):  # which Python below 3.13 leaves as it was before the fork
            threading.main_thread()._set_native_id()
        if logging := loaded("logging"):
            integer = isinstance(logging._startTime, int)
            logging._startTime = time.time_ns() if integer else time.time()


def _new_main() -> None:
    """Replace the empty module ``__main__``, since what is frozen is never collected, not even at the exit."""
    old = sys.modules["__main__"]
    new = type(sys)("__main__")
    for name, value in vars(old).items():
        setattr(new, name, {} if name == "__annotations__" else value)
    del new.__file__
    for name in [name for name, module in sys.modules.items() if module is old]:  # multiprocessing has another name
        sys.modules[name] = new


_LIBRARY = os.__file__.rpartition("/")[0] + "/"


def _find(name: str) -> Any:
    """Return the spec of a module; ``importlib.util`` may not be loaded."""
    for finder in sys.meta_path:
        if spec := finder.find_spec(name, None):
            return spec
    return None


class _Watch:
    """Notes, inside of the block, what imports take from the environment of one run, or make for one process.

    Attributes:
        read: The variables that were read, of those that differ from run to run.
        directories: Temporary directories that were made; the first run to end would remove them.
    """

    def __init__(self) -> None:
        self.read: set[str] = set()
        self.directories: list[str] = []
        self._kind: Any = type(os.environ)
        self._mkdir = os.mkdir

    def __enter__(self) -> _Watch:
        kind, watch = self._kind, self

        class Watched(kind):  # type: ignore[misc, valid-type]
            def __getitem__(self, name: str) -> Any:
                if name == "CUDA_VISIBLE_DEVICES" or (str(name).startswith("LIGHTSWEEP_") and name != _MARK):
                    watch.read.add(name)
                return kind.__getitem__(self, name)

        os.environ.__class__ = Watched
        os.mkdir = self._noting_mkdir
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.__class__ = self._kind
        os.mkdir = self._mkdir

    def _noting_mkdir(self, path: Any, mode: int = 0o777, **more: Any) -> None:
        """Be ``os.mkdir``. A method: a class that keeps it, as in Python 3.10's ``pathlib``, would bind a function."""
        if mode == 0o700:  # as tempfile makes them
            self.directories.append(os.fsdecode(path))
        self._mkdir(path, mode, **more)


def _check_processes() -> None:
    """Fork once, and raise `UnfitError` if this process has threads after it, or a child before it.

    The pools of numeric libraries end their threads before a fork, and start others when they need them. A thread that
    is left is of a library that does not expect a fork.
    """
    threading = sys.modules.get("threading")
    if threading is not None and len(threading.enumerate()) > 1:
        raise UnfitError(f"an import starts a thread ({threading.enumerate()[1].name})")
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        pass
    else:
        raise UnfitError("an import starts a process")
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    if len(os.listdir("/proc/self/task")) > 1:
        raise UnfitError("an import starts threads that do not end before a fork")
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            if line.split(None, 2)[1][1::2] == "ws":
                raise UnfitError("an import makes memory that processes share")


def _leave_libraries_of_c() -> None:
    """Let each child end without the destructors of the C++ objects that are loaded here: 0.1 s with torch.

    They free memory, which the kernel does faster. C's streams are written first. What the script loads itself ends as
    always, since handlers run in the reverse of the order in which they were registered.
    """
    ctypes = sys.modules.get("ctypes")
    if ctypes is None:
        return
    library = ctypes.CDLL(None)
    if all(hasattr(library, name) for name in ("on_exit", "__cxa_atexit")):  # glibc
        library.on_exit(library._exit, None)
        getattr(library, "__cxa_atexit")(library.fflush, None, None)


def _stack_area(mark: str) -> tuple[int, int, int]:
    """Return the first and the last address of the arguments of this process, and that of ``mark`` in its environment.

    Raises:
        UnfitError: The kernel does not show them.
    """
    try:
        with open("/proc/self/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
        arguments, arguments_end, variables, variables_end = map(int, fields[45:49])
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(variables)
            place = memory.read(variables_end - variables).find(mark.encode())
    except (OSError, ValueError) as error:
        raise UnfitError(f"the kernel does not show a process its environment ({error})") from None
    if place < 0:
        raise UnfitError("the kernel does not show a process its environment")
    return arguments, arguments_end, variables + place


def _show(text: str, mark: str, token: str) -> None:
    """Let ``ps`` show a text as the command of this process, and mark it by the token, as an ``exec`` would."""
    start, end, place = _stack_area(mark)
    shown = os.fsencode(text)[: end - start - 1] + b"\0"
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(start)
        memory.write(shown.ljust(end - start, b" "))  # the last byte is not 0, so that the text ends at the first 0
        memory.seek(place)
        memory.write(token.encode().ljust(len(mark), b"0")[: len(mark)])


def _read(stream: _socket.socket) -> bytes:
    """Read a length of 8 bytes, and so many bytes."""

    def exactly(size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = stream.recv(min(size - len(found), 2**20))
            if not part:
                raise EOFError
            found += part
        return found

    return exactly(int.from_bytes(exactly(_LENGTH), "big"))


def _write(stream: _socket.socket, data: bytes) -> None:
    stream.sendall(len(data).to_bytes(_LENGTH, "big") + data)
