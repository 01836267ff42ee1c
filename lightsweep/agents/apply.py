"""Run a command with the parameters of a run: in its arguments, and in its ``lightsweep.init()``."""

from __future__ import annotations

import math
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lightsweep.agents.active_run import FirstProcess, start_reply
from lightsweep.agents.launchers.process import find_program, place_variables, places
from lightsweep.agents.signals import handled
from lightsweep.channel.messages import FinishRequest, LogReply, LogRequest, StartReply, StartRequest
from lightsweep.channel.server import ChannelServer
from lightsweep.controller import Sweep, SweepRun
from lightsweep.errors import CommandError
from lightsweep.schema.command import DEFAULT_COMMAND, MACRO, build_command
from lightsweep.schema.nesting import arguments
from lightsweep.stand_in import variables

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_LOOK_SECONDS = 0.1
_SEVERAL = re.compile(r"\$\{args(_\w+)?\}")


def argument_text(sweep: Sweep, run: SweepRun) -> str:
    """Return the parameters of a run as arguments for a shell, as the sweep's script takes them.

    Raises:
        CommandError: A value does not fit into an argument.
    """
    program = find_program(sweep.config, sweep.directory)
    passed = arguments(sweep.config, run.values, program, sweep.config.command)
    argv = build_command(None, ["", "${args}"], run.values, run.config, json_path=Path(os.devnull), passed=passed)
    return shlex.join(argv[1:])


class AppliedHandler:
    """Answers a script that runs with the parameters of a run, outside of the sweep.

    Its reports are not kept, and it is never told to stop.

    Args:
        sweep: The sweep.
        run: The run with the parameters.
        directory: The script's ``run.dir``.
    """

    def __init__(self, sweep: Sweep, run: SweepRun, directory: Path) -> None:
        self._sweep = sweep
        self._run = run
        self._directory = directory
        self._lock = threading.Lock()
        self._first_process = FirstProcess()
        self._iterations = 0

    def start(self, message: StartRequest) -> StartReply:
        """Return the run's parameters over the script's defaults."""
        name = f"{self._run.id}-applied"
        return start_reply(
            self._sweep.config,
            message,
            self._run.values,
            run=name,
            sweep=self._sweep.id,
            directory=self._directory,
            first=self._first_process.is_first(message),
        )

    def log(self, message: LogRequest) -> LogReply:
        """Let the script go on; count iterations as a sweep does."""
        metric = self._sweep.config.metric
        with self._lock:
            value = message["metrics"].get(metric.name) if metric else None
            self._iterations += value is not None and math.isfinite(value)
            return LogReply(iterations=self._iterations)

    def finish(self, message: FinishRequest) -> None:
        """Do nothing: the exit code says it."""


def apply(sweep: Sweep, run: SweepRun, command: Sequence[str] = ()) -> int:
    """Run a command with a run's parameters, and wait for its end.

    Macros in the command are replaced as in a sweep file. Without macros, the parameters are appended in the form that
    the sweep's own command has them, if any. ``lightsweep.init()`` in the script gives them in either case. Signals are
    passed on; Ctrl-C reaches the command from the terminal.

    Args:
        sweep: The sweep.
        run: The run.
        command: The command; the sweep's own if empty.

    Returns:
        Its exit code; 128 + N if signal N ended it.

    Raises:
        CommandError: There is nothing to run, a macro is wrong, or the command cannot be started.
    """
    directory = _fresh_directory(Path("lightsweep_runs", sweep.id).absolute(), run.id)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP_")}
    environment |= variables(sweep.config.options.stand_in)
    here = places(sweep.id, f"{run.id}-applied", directory)
    with tempfile.TemporaryDirectory(prefix="lightsweep-applied-") as scratch, ChannelServer() as server:
        program, template = find_program(sweep.config, sweep.directory), _template(sweep, command)
        argv = build_command(
            program,
            template,
            run.values,
            run.config,
            json_path=Path(scratch) / "parameters.json",
            passed=arguments(sweep.config, run.values, program, template),
            places=here,
        )
        environment.update(place_variables(here))
        if str(directory) in " ".join(argv):
            directory.mkdir(parents=True)
        address = server.register(run.id, AppliedHandler(sweep, run, directory))
        code = _run(argv, {**environment, **address})
    return code if code >= 0 else 128 - code


def _fresh_directory(sweep_directory: Path, run_id: str) -> Path:
    name = f"{run_id}-applied-{time.strftime('%Y%m%d-%H%M%S')}"
    directory = sweep_directory / name
    others = 1  # applied in the same second
    while directory.exists():
        others += 1
        directory = sweep_directory / f"{name}-{others}"
    return directory


def _template(sweep: Sweep, command: Sequence[str]) -> list[str] | None:
    own = DEFAULT_COMMAND if sweep.config.command is None else sweep.config.command
    if not command:
        return None if sweep.config.command is None else list(own)
    if any(MACRO.search(item) for item in command):
        return list(command)
    return [*command, *(item for item in own if _SEVERAL.fullmatch(item))]


def _run(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command, and return its exit code; pass signals on to it if this is the main thread."""
    came: list[int] = []
    handlers = dict.fromkeys(_PASSED_ON, lambda number, _: came.append(number))
    # Ctrl-C is ignored by a function, since the command would inherit SIG_IGN.
    with handled({**handlers, signal.SIGINT: lambda *_: None}):
        try:
            process = subprocess.Popen(argv, env=environment)
        except OSError as error:
            raise CommandError(f"cannot start {argv[0]!r}: {error.strerror or error}") from None
        while True:
            while came:
                process.send_signal(came.pop(0))
            with suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_SECONDS)
