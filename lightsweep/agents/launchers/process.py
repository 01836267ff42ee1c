"""Start the command of a run as a process in a group of its own, with its output in a file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from lightsweep.agents.launchers import Emit, ExitStatus, Job, Variables
from lightsweep.agents.reaper import MARK, Processes, Reaper
from lightsweep.agents.warm.templates import ForkedProcess, Templates
from lightsweep.channel.messages import Handler
from lightsweep.channel.server import ChannelServer
from lightsweep.controller import ClaimedRun, Sweep
from lightsweep.errors import CommandError, NotFoundError, closest
from lightsweep.schema import SweepConfig
from lightsweep.schema.command import DEFAULT_COMMAND, build_command
from lightsweep.schema.nesting import arguments
from lightsweep.stand_in import variables
from lightsweep.storage.url import VARIABLES

OUTPUT = "output.log"
"""The file in the directory of a run with all that it prints."""

_LEFTOVER_SECONDS = 2.0
_POLL_SECONDS = 0.1
_CHUNK_BYTES = 2**16
_TAIL_BYTES = 2**12
_LONGEST_LINE = 500
_REMARK = re.compile("lightsweep: (?!the agent |node |ERROR )")  # all but what ends a run, and wandb.termerror()


class ProcessLauncher(ABC):
    """Starts a process for each run, which reaches its handler by a channel; a reaper ends it if the agent is killed.

    Its variables are those of :func:`run_environment` and the address of the channel.

    Args:
        stand_in: The package that lightsweep stands in for in the runs, if any.
        host: See :class:`ChannelServer`.
    """

    def __init__(self, stand_in: str | None = None, host: str | None = None) -> None:
        self._environment = run_environment(stand_in)
        self._server = ChannelServer(host=host)
        self._reaper = Reaper()
        self._templates: Templates | None = None

    def warm_up(self, remark: Callable[[str], None], also: Sequence[Path] = ()) -> None:
        """Start runs as forks of a template process from now on, if that makes no difference; see `Templates`."""
        self._templates = Templates(self._reaper, remark, also)

    def check(self) -> None:  # noqa: B027
        """Do nothing; see `Launcher`."""

    @abstractmethod
    def command(self, run: ClaimedRun, directory: Path) -> list[str]:
        """Return the argument list of a run; ``directory`` is for files that the command names."""

    def start(self, run: ClaimedRun, handler: Handler, directory: Path, environment: Variables, emit: Emit) -> Job:
        """See `Launcher`."""
        command = self.command(run, directory)
        output = directory / OUTPUT
        address = self._server.register(run.id, handler)
        with ExitStack() as release:
            release.callback(self._server.unregister, run.id)
            release.callback(self._server.drain, run.id)
            given = {**self._environment, **environment, **address}
            with self._reaper.starting(own_token(given)):
                process = self._process(run, command, given, output, emit, release)
                self._reaper.add(process.pid, process.token)
            release.callback(self._reaper.remove, process.pid)
            process.at_end = release.pop_all().close
        return process

    def _process(
        self, run: ClaimedRun, command: list[str], environment: Variables, output: Path, emit: Emit, release: ExitStack
    ) -> RunProcess:
        """Start the command of a run; what ``release`` gets is called at its end."""
        del run, release
        return RunProcess(command, environment, output, emit, self._started)

    def _started(self, command: Sequence[str], environment: Variables, output: BinaryIO) -> Started:
        found = self._templates.start(command, environment, output) if self._templates else None
        return found or start_command(command, environment, output)

    def hurry(self) -> None:
        """See `Launcher`."""
        if self._templates is not None:
            self._templates.hurry()

    def close(self) -> None:
        """End the channel, the template process and the reaper."""
        self._server.close()
        if self._templates is not None:
            self._templates.close()
        self._reaper.close()


class CommandLauncher(ProcessLauncher):
    """Starts the command of a sweep, with the values of the run in it.

    Args:
        sweep: The sweep.
        stand_in: The package that lightsweep stands in for; by default as the sweep's config says.
        host: See :class:`ChannelServer`.
    """

    def __init__(self, sweep: Sweep, stand_in: str | None = None, host: str | None = None) -> None:
        super().__init__(stand_in or sweep.config.options.stand_in, host)
        self._sweep = sweep
        self._program = find_program(sweep.config, sweep.directory)

    def check(self) -> None:
        """Raise what :func:`check_command` does."""
        check_command(self._sweep.config, self._sweep.directory)

    def command(self, run: ClaimedRun, directory: Path) -> list[str]:
        """Return the sweep's command with the values of the run."""
        config, values = self._sweep.config, run.values
        return build_command(
            self._program,
            config.command,
            values,
            run.config,
            json_path=directory / "parameters.json",
            passed=arguments(config, values, self._program, config.command),
            places=places(self._sweep.id, run.id, directory),
        )


Started = subprocess.Popen[bytes] | ForkedProcess
"""A process that was started."""

Start = Callable[[Sequence[str], Variables, BinaryIO], Started]
"""Starts a command with an environment and an output."""


def start_command(command: Sequence[str], environment: Variables, output: BinaryIO) -> Started:
    """Start a command as a process in a session of its own.

    Raises:
        CommandError: It cannot be started: not found, no permission.
    """
    try:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(f"cannot start {command[0]!r}: {error.strerror or error}") from None


def own_token(environment: Variables) -> str:
    """Return the token of processes with an environment; empty if it marks this process too."""
    token = environment.get(MARK, "")
    return "" if token == os.environ.get(MARK) else token


class RunProcess:
    """A started command in a process group of its own; its output goes to a file.

    What leaves the group, as the workers of torchrun do, is found by the token in its environment. The output goes to
    the file directly, not through the agent, so that a run can print when its agent is gone.

    Args:
        command: Program and arguments; no shell sees them.
        environment: The whole environment of the process.
        output: The file; its content is kept, so that it holds the attempts of one run one after the other.
        emit: See `Emit`.
        starting: Starts the process.

    Attributes:
        at_end: Called once all processes of the run have ended.

    Raises:
        CommandError: The program cannot be started: not found, no permission.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Variables,
        output: Path,
        emit: Emit = None,
        starting: Start = start_command,
    ) -> None:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as sink:
            start = sink.tell()
            self._process = starting(command, environment, sink)
        self.pid = self._process.pid
        self.token = own_token(environment)
        self.at_end: Callable[[], None] = lambda: None
        self._output = output
        self._follower = Follower(output, emit, start) if emit else None
        self._all = Processes({self.pid: self.token})
        self._lock = threading.Lock()
        self._gone = False
        self._deadline: float | None = None
        self._killer: threading.Timer | None = None

    def wait(self) -> ExitStatus:
        """Wait for the end of the process, and end what is left of the run."""
        code = self._process.wait()
        deadline = self._deadline  # once, as another thread may set it meanwhile
        patience = _LEFTOVER_SECONDS if deadline is None else max(0.0, deadline - time.monotonic())
        self._all.end(patience, asked=deadline is not None)
        with self._lock:
            self._gone = True  # from here on the number may belong to another group
        if self._killer is not None:
            self._killer.cancel()
            self._killer.join()
        self.at_end()
        if self._follower is not None:
            self._follower.close()
        return ExitStatus(code, last_line(self._output) if code else "")

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; does nothing once it is gone."""
        with self._lock:
            if not self._gone:
                self._all.signal(number)

    def terminate(self, grace: float) -> None:
        """Ask the group to end, and kill all of the run ``grace`` seconds later. Only the first call counts.

        Processes outside of the group are ended by those of the group, which know how.
        """
        with self._lock:
            if self._gone or self._killer is not None:
                return
            self._deadline = time.monotonic() + grace
            self._killer = threading.Timer(grace, self.kill)
            self._killer.name = "lightsweep-killer"
            self._killer.daemon = True
            self._killer.start()
            self._ask()

    def _ask(self) -> None:
        """Ask the group to end."""
        self._all.signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the group, and what has left it."""
        with self._lock:
            if not self._gone:
                self._all.kill()


class Follower:
    """Passes on what is appended to a file, from a thread of its own, in pieces of 64 KiB at most.

    Args:
        path: The file; it exists.
        emit: Gets the new bytes, as they are.
        start: Where in the file to begin.
    """

    def __init__(self, path: Path, emit: Callable[[bytes], None], start: int = 0) -> None:
        self._path = path
        self._emit = emit
        self._start = start
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lightsweep-follower", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pass on the rest, and end."""
        self._done.set()
        self._thread.join()

    def _work(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._start)
            while True:
                last = self._done.wait(_POLL_SECONDS)
                while found := file.read(_CHUNK_BYTES):
                    self._emit(found)
                if last:
                    return


def last_line(path: Path) -> str:
    """Return the last line of a file that a script has printed, without control characters; empty if there is none.

    Blank lines do not count, nor remarks of this package, which are not why a script has failed.
    """
    try:
        lines = [line.strip() for line in last_lines(path, _TAIL_BYTES)]
        lines = [line for line in lines if line and not _REMARK.match(line)]
    except OSError:
        return ""
    return "".join(character for character in lines[-1] if character.isprintable())[:_LONGEST_LINE] if lines else ""


def last_lines(path: Path, size: int) -> list[str]:
    """Return the lines in the last ``size`` bytes of a file; the first may lack its beginning."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode(errors="replace").splitlines()


def places(sweep_id: str, run_id: str, directory: Path) -> dict[str, str]:
    """Return the values of the macros ``${run_dir}``, ``${run_id}`` and ``${sweep_id}``.

    Args:
        sweep_id: The sweep's id.
        run_id: The run's number in the sweep.
        directory: The run's directory.
    """
    return {"run_dir": str(directory.absolute()), "run_id": f"{sweep_id}-{run_id}", "sweep_id": sweep_id}


def place_variables(given: Mapping[str, str]) -> dict[str, str]:
    """Return what :func:`places` does as variables of a process: ``LIGHTSWEEP_RUN_DIR`` and so on."""
    return {f"LIGHTSWEEP_{name.upper()}": value for name, value in given.items()}


def run_environment(stand_in: str | None = None) -> dict[str, str]:
    """Return the variables of this process for a run, without those that lead to the storage.

    No run needs its URL, which may hold a password.

    Args:
        stand_in: The package that lightsweep stands in for, if any.
    """
    return {
        # The output would otherwise arrive in blocks of 8 kB, and the last block not at all if the run is killed.
        "PYTHONUNBUFFERED": "1",
        "HYDRA_FULL_ERROR": "1",  # or Hydra hides the exception that is the reason of a failure
        **{name: value for name, value in os.environ.items() if name not in VARIABLES},
        **variables(stand_in),
    }


def find_program(config: SweepConfig, directory: str | None) -> str | None:
    """Return ``program`` if it exists in the working directory, or else the file of that name beside the sweep file.

    Args:
        config: The sweep's config.
        directory: The directory of its file; ``None`` for a config given as a dict.
    """
    program = config.program
    if program and directory and not Path(program).exists() and (Path(directory) / program).exists():
        return str(Path(directory) / program)
    return program


def check_program(config: SweepConfig, directory: str | None) -> str | None:
    """Return ``program`` as :func:`find_program` does.

    The file must exist if ``${program}`` is an item of the command, except after ``-m``, which takes a module.

    Raises:
        NotFoundError: ``program`` does not exist; the message names the file that is most like it.
    """
    program = find_program(config, directory)
    items = DEFAULT_COMMAND if config.command is None else config.command
    files = [item for before, item in zip(("", *items), items, strict=False) if before != "-m"]
    if program is not None and "${program}" in files and not Path(program).exists() and not shutil.which(program):
        remedy = _closest_file(program, directory) or "; work in the directory that `program` is relative to"
        raise NotFoundError(f"program {program!r} is neither in {Path.cwd()} nor beside the sweep file{remedy}")
    return program


def _closest_file(program: str, directory: str | None) -> str:
    folders = {Path(root or ".", program).parent for root in (None, directory)}
    found = [each for folder in folders if folder.is_dir() for each in folder.iterdir() if each.is_file()]
    return closest(Path(program).name, [each.name for each in found])


def check_command(config: SweepConfig, directory: str | None) -> None:
    """Check that runs can be started, before one is claimed.

    Raises:
        CommandError: There is nothing to run, a macro is wrong, or the executable does not exist.
        NotFoundError: ``program`` does not exist.
    """
    program = check_program(config, directory)
    values = {parameter.name: parameter.distribution.quantile(0.5) for parameter in config.space.parameters}
    command = build_command(program, config.command, values, config.space.nest(values), json_path=Path(os.devnull))
    if shutil.which(command[0]) is None:
        raise CommandError(
            f"cannot start {command[0]!r}: no such program, or no permission to execute it; "
            "correct `command` in the sweep file"
        )
