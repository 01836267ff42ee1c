"""Start a Python function for each run: in this process, or in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cloudpickle

from lightsweep.agents.launchers import Emit, ExitStatus, Job, Variables, call
from lightsweep.agents.launchers.process import ProcessLauncher
from lightsweep.channel.messages import Handler
from lightsweep.client import serving
from lightsweep.client.processes import end_workers
from lightsweep.controller import ClaimedRun
from lightsweep.errors import RunPruned, UsageError
from lightsweep.stand_in import folders


class FunctionLauncher:
    """Calls a function for each run in this process and thread; its ``init()`` gives the run.

    Since there is one run at a time, it is also the job of that run. The variables of the run's place, such as
    ``LIGHTSWEEP_RUN_DIR``, are set during the call, unless another thread of this process calls a function too.

    Args:
        function: Called without arguments.

    Attributes:
        calling: Whether the function runs now, so that an exception in this thread ends it.
    """

    _handler: Handler  # of the run that was started last
    _variables: Variables

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self.calling = False

    def check(self) -> None:
        """Raise a ``UsageError`` if the function cannot be called."""
        _check(self._function)

    def start(self, run: ClaimedRun, handler: Handler, directory: Path, environment: Variables, emit: Emit) -> Job:
        """Keep the handler for the call, which `wait` makes."""
        del run, directory, emit
        self._handler = handler
        self._variables = {name: value for name, value in environment.items() if name.startswith("LIGHTSWEEP_")}
        return self

    def close(self) -> None:
        """Do nothing."""

    kill = hurry = close

    def terminate(self, grace: float) -> None:
        """Do nothing: the next report raises."""

    def signal(self, number: int) -> None:
        """Do nothing."""

    def wait(self) -> ExitStatus:
        """Call the function."""
        try:
            with _alone(self._variables), serving(self._handler):
                self._call()
        except RunPruned:
            return ExitStatus(0)
        except KeyboardInterrupt:
            return ExitStatus(130, interrupted=True)
        except SystemExit as error:  # as Python ends a script: a text is printed, and the exit code is then 1
            if error.code is None or isinstance(error.code, int):
                return ExitStatus(error.code or 0)
            print(error.code, file=sys.stderr)
            return ExitStatus(1, str(error.code))
        except Exception as error:  # a run that fails must not end the sweep, whatever it raised
            traceback.print_exc(file=sys.stderr)
            return ExitStatus(1, f"{type(error).__name__}: {error}")
        return ExitStatus(0)

    def _call(self) -> None:
        before = multiprocessing.active_children()
        self.calling = True
        try:
            self._function()
        except BaseException:
            self.calling = False
            end_workers(before)  # or this process would wait for them at its exit
            raise
        finally:
            self.calling = False


_calls = 0
_before: dict[str, str] = {}
_lock = threading.Lock()


@contextmanager
def _alone(variables: Variables) -> Iterator[None]:
    """Set variables of this process inside of the block; if two such blocks run at once, they are not set."""
    global _calls
    with _lock:
        _calls += 1
        if _calls == 1:
            _before.update({name: os.environ[name] for name in variables if name in os.environ})
            os.environ.update(variables)
        else:
            _unset(variables)
    try:
        yield
    finally:
        with _lock:
            _calls -= 1
            if not _calls:
                _unset(variables)
                os.environ.update(_before)
                _before.clear()


def _unset(variables: Variables) -> None:
    for name in variables:
        os.environ.pop(name, None)


class IsolatedLauncher(ProcessLauncher):
    """Calls a function for each run in a fresh process, so that memory does not pile up from run to run.

    The function is pickled by its name if it has one that the process can import, which runs the main script again
    under the name ``__mp_main__``, as ``multiprocessing`` does; or else with its code, by cloudpickle.

    Args:
        function: Called without arguments.
        stand_in: The package that lightsweep stands in for in the runs, if any.

    Raises:
        UsageError: ``function`` cannot be pickled.
    """

    def __init__(self, function: Callable[[], Any], stand_in: str | None = None) -> None:
        _check(function)
        self._pickled = _pickled(function, stand_in)
        super().__init__(stand_in)

    def warm_up(self, remark: Callable[[str], None], also: Sequence[Path] = ()) -> None:
        """See `ProcessLauncher`; the imports of the main script are those of each run."""
        main = getattr(sys.modules["__main__"], "__file__", None)
        super().warm_up(remark, also or ([Path(main).absolute()] if main else []))

    def command(self, run: ClaimedRun, directory: Path) -> list[str]:
        """Write the function into the directory of the run, and return the command that calls it."""
        del run
        path = directory / "function.pickle"
        path.write_bytes(self._pickled)
        return [sys.executable, call.__file__, str(path)]


def _check(function: object) -> None:
    if not callable(function):
        raise UsageError(f"function must be callable, got {function!r}; pass the function itself: function=train")


def _pickled(function: Callable[[], Any], stand_in: str | None) -> bytes:
    """Return what :mod:`.call` reads."""
    main = sys.modules["__main__"]
    script = (main.__spec__.name if main.__spec__ else None), getattr(main, "__file__", None)
    try:
        data = pickle.dumps(function)
    except Exception:  # a lambda, a function inside of another one
        data = b""
    needed = script if b"__main__" in data else None
    if not data or needed == (None, None):
        try:
            data, needed = cloudpickle.dumps(function), None
        except Exception as error:
            raise UsageError(
                f"{function!r} cannot be passed to another process ({type(error).__name__}: {error}); "
                "leave out isolate, or make what it needs inside of it"
            ) from None
    return pickle.dumps(([*folders(stand_in), *sys.path], sys.argv, needed, data))
