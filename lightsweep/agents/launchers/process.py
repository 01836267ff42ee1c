"""How a run is started: as a process of its own, or as a call of a Python function."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lightsweep.agents.follow import Follower, last_line
from lightsweep.agents.handler import RunHandler
from lightsweep.agents.processes.group import RunProcess
from lightsweep.agents.processes.reaper import Warden
from lightsweep.agents.program import check_command, find_program
from lightsweep.channel import ChannelServer
from lightsweep.client import serving
from lightsweep.command import build_command
from lightsweep.controller import Sweep
from lightsweep.errors import CommandError, RunPruned, UsageError

__all__ = ["Ended", "FunctionLauncher", "Launcher", "ProcessLauncher", "Started"]


@dataclass(frozen=True)
class Ended:
    """How the work of a run ended: exit code (negative for a signal), and the last line that it printed."""

    exit_code: int
    last_line: str = ""
    interrupted: bool = False


class Started(Protocol):
    """A run that was started."""

    def wait(self) -> Ended:
        """Wait for its end."""

    def terminate(self, grace: float) -> None:
        """Ask it to end, and end it ``grace`` seconds later."""

    def kill(self) -> None:
        """End it."""

    def signal(self, number: int) -> None:
        """Pass on a signal."""


class Launcher(Protocol):
    """Starts runs."""

    def check(self) -> None:
        """Whether runs can be started at all; raises an ``InputError`` where not."""

    def start(
        self,
        handler: RunHandler,
        directory: Path,
        emit: Callable[[bytes], None] | None,
        environment: Mapping[str, str],
    ) -> Started:
        """Start one run in its directory; ``emit`` gets what it prints, ``environment`` is added to its variables."""

    def close(self) -> None:
        """Give up what was held for all runs."""


class ProcessLauncher:
    """Runs the sweep's command, each run in a process group of its own.

    Args:
        sweep: The sweep.
        environment: What the processes get beside the address of the channel. The storage URL is taken out of it,
            since no run needs it and it may hold a password.
    """

    def __init__(self, sweep: Sweep, environment: Mapping[str, str] | None = None) -> None:
        self._sweep = sweep
        inherited = os.environ if environment is None else environment
        self._environment = {key: value for key, value in inherited.items() if key != "LIGHTSWEEP_STORAGE"}
        # A run's output would otherwise arrive in blocks of 8 kB, and the last one not at all when it is killed.
        self._environment.setdefault("PYTHONUNBUFFERED", "1")
        self._environment.setdefault("HYDRA_FULL_ERROR", "1")  # or Hydra catches the exception that is the reason
        self._program = find_program(sweep.config, sweep.directory)
        self._server = ChannelServer()
        self._warden = Warden()

    def check(self) -> None:
        check_command(self._sweep.config, self._sweep.directory)

    def command(self, values: Mapping[str, Any], json_path: Path) -> list[str]:
        """The argument list of a run with these parameters."""
        nested = self._sweep.nest(values)
        return build_command(self._program, self._sweep.config.command, values, nested, json_path=json_path)

    def start(
        self,
        handler: RunHandler,
        directory: Path,
        emit: Callable[[bytes], None] | None,
        environment: Mapping[str, str],
    ) -> Started:
        run = handler.run
        command = self.command(run.values, directory / "parameters.json")
        output = directory / "output.log"
        start = output.stat().st_size if output.exists() else 0
        address = self._server.register(run.id, handler)
        try:
            process = RunProcess(command, {**self._environment, **environment, **address}, output)
        except CommandError:
            self._server.unregister(run.id)
            raise
        self._warden.add(process.pid, process.token)
        follower = Follower(output, emit, start) if emit else None

        def release() -> None:
            self._warden.remove(process.pid)
            self._server.unregister(run.id)

        return _StartedProcess(process, output, follower, release)

    def close(self) -> None:
        self._server.close()
        self._warden.close()


@dataclass(frozen=True)
class _StartedProcess:
    process: RunProcess
    output: Path
    follower: Follower | None
    release: Callable[[], None]

    def wait(self) -> Ended:
        code = self.process.wait()
        self.release()
        if self.follower:
            self.follower.close()
        return Ended(code, last_line(self.output) if code else "")

    def terminate(self, grace: float) -> None:
        self.process.terminate(grace)

    def kill(self) -> None:
        self.process.kill()

    def signal(self, number: int) -> None:
        self.process.signal(number)


class FunctionLauncher:
    """Calls a Python function for each run, in this process and thread; its ``init()`` finds the run.

    Args:
        function: Called without arguments.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def check(self) -> None:
        if not callable(self._function):
            raise UsageError(
                f"function must be callable, got {self._function!r}; pass the function itself: function=train"
            )

    def start(
        self,
        handler: RunHandler,
        directory: Path,
        emit: Callable[[bytes], None] | None,
        environment: Mapping[str, str],
    ) -> Started:
        del directory, emit, environment
        return _StartedCall(self._function, handler)

    def close(self) -> None:
        return


@dataclass(frozen=True)
class _StartedCall:
    function: Callable[[], Any]
    handler: RunHandler

    def wait(self) -> Ended:
        try:
            with serving(self.handler):
                self.function()
        except RunPruned:
            return Ended(0)
        except KeyboardInterrupt:
            return Ended(130, interrupted=True)
        except SystemExit as error:  # as Python ends a script: a text is printed, and the exit code is then 1
            if error.code is None or isinstance(error.code, int):
                return Ended(error.code or 0)
            print(error.code, file=sys.stderr)
            return Ended(1, str(error.code))
        except Exception as error:  # a run that fails must not end the sweep, whatever it raised
            traceback.print_exc(file=sys.stderr)
            return Ended(1, f"{type(error).__name__}: {error}")
        return Ended(0)

    def terminate(self, grace: float) -> None:
        del grace  # the next report raises

    def kill(self) -> None:
        return

    def signal(self, number: int) -> None:
        del number
