"""How a run is started: as a process of its own, or as a call of a Python function."""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lightsweep.agents.follow import Follower, last_line
from lightsweep.agents.handler import RunHandler
from lightsweep.agents.process import RunProcess
from lightsweep.channel import ChannelServer
from lightsweep.client import serving
from lightsweep.command import build_command
from lightsweep.controller import Sweep
from lightsweep.errors import CommandError, NotFoundError, RunPruned

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

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def signal(self, number: int) -> None:
        """Pass on a signal."""


class Launcher(Protocol):
    """Starts runs."""

    def check(self) -> None:
        """Whether runs can be started at all; CommandError or NotFoundError where not."""

    def start(self, handler: RunHandler, directory: Path, emit: Callable[[bytes], None] | None) -> Started:
        """Start one run in its directory; ``emit`` gets what it prints."""

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
        self._program = self._find_program()
        self._server = ChannelServer()

    def check(self) -> None:
        config = self._sweep.config
        values = {parameter.name: parameter.distribution.quantile(0.5) for parameter in config.space.parameters}
        command = self.command(values, Path(os.devnull))
        program = self._program
        used = program is not None and (config.command is None or any("${program}" in item for item in config.command))
        if used and not Path(str(program)).exists() and shutil.which(str(program)) is None:
            raise NotFoundError(
                f"program {program!r} is neither in {Path.cwd()} nor beside the sweep file; "
                "start the agent in the directory that `program` is relative to"
            )
        if shutil.which(command[0]) is None:
            raise CommandError(f"cannot start {command[0]!r}: no such program; correct `command` in the sweep file")

    def command(self, values: Mapping[str, Any], json_path: Path) -> list[str]:
        """The argument list of a run with these parameters."""
        config = self._sweep.config
        return build_command(self._program, config.command, values, config.space.nest(values), json_path=json_path)

    def start(self, handler: RunHandler, directory: Path, emit: Callable[[bytes], None] | None) -> Started:
        run = handler.run
        command = self.command(run.values, directory / "parameters.json")
        output = directory / "output.log"
        start = output.stat().st_size if output.exists() else 0
        address = self._server.register(run.id, handler)
        try:
            process = RunProcess(command, {**self._environment, **address}, output)
        except CommandError:
            self._server.unregister(run.id)
            raise
        follower = Follower(output, emit, start) if emit else None
        return _StartedProcess(process, output, follower, lambda: self._server.unregister(run.id))

    def close(self) -> None:
        self._server.close()

    def _find_program(self) -> str | None:
        """``program`` as it is where it exists, else the file of that name beside the sweep file."""
        program, beside = self._sweep.config.program, self._sweep.directory
        if program and beside and not Path(program).exists() and (Path(beside) / program).exists():
            return str(Path(beside) / program)
        return program


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

    def terminate(self) -> None:
        self.process.terminate()

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
        return

    def start(self, handler: RunHandler, directory: Path, emit: Callable[[bytes], None] | None) -> Started:
        del directory, emit
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
        except SystemExit as error:
            return Ended(error.code if isinstance(error.code, int) else int(error.code is not None))
        except Exception as error:  # a run that fails must not end the sweep, whatever it raised
            traceback.print_exc(file=sys.stderr)
            return Ended(1, f"{type(error).__name__}: {error}")
        return Ended(0)

    def terminate(self) -> None:
        return  # the next report raises

    def kill(self) -> None:
        return

    def signal(self, number: int) -> None:
        del number
