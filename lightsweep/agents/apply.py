"""A command with the best run's parameters in place: in its arguments, and in what ``lightsweep.init()`` gives."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from lightsweep.agents.active_run import start_reply
from lightsweep.agents.launchers.process import find_program
from lightsweep.channel import (
    ChannelServer,
    FinishRequest,
    LogReply,
    LogRequest,
    StartReply,
    StartRequest,
)
from lightsweep.controller import Sweep, SweepRun
from lightsweep.errors import CommandError
from lightsweep.schema.command import DEFAULT_COMMAND, build_command

__all__ = ["AppliedHandler", "apply"]

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_LOOK_SECONDS = 0.5
_MACRO = re.compile(r"\$\{[^}]*\}")
_SEVERAL = re.compile(r"\$\{args(_\w+)?\}")


class AppliedHandler:
    """Answers a training script that is run with the parameters of a run, outside of the sweep.

    Nothing that it reports is kept, and it is never asked to stop.

    Args:
        sweep: The sweep.
        run: The run whose parameters it gets.
        directory: The script's ``run.dir``.
    """

    def __init__(self, sweep: Sweep, run: SweepRun, directory: Path) -> None:
        self._sweep = sweep
        self._run = run
        self._directory = directory
        self._lock = threading.Lock()
        self._iterations = 0

    def start(self, message: StartRequest) -> StartReply:
        """The run's parameters over the script's defaults."""
        name = f"{self._run.id}-applied"
        return start_reply(
            self._sweep.config, message, self._run.values, run=name, sweep=self._sweep.id, directory=self._directory
        )

    def log(self, message: LogRequest) -> LogReply:
        """To go on; the iterations are counted as in a sweep."""
        metric = self._sweep.config.metric
        with self._lock:
            value = message["metrics"].get(metric.name) if metric else None
            self._iterations += value is not None and math.isfinite(value)
            return LogReply(iterations=self._iterations)

    def finish(self, message: FinishRequest) -> None:
        """Do nothing: the exit code says it."""


def apply(sweep: Sweep, run: SweepRun, command: Sequence[str] = ()) -> int:
    """Run a command with a run's parameters, and wait for its end.

    Macros in the command are replaced as in a sweep file. Without any, the parameters stand behind it in the form
    that the sweep's own command has them, if it has them at all: its script takes them from ``lightsweep.init()``
    otherwise. ``init()`` gives them in either case. Signals are passed on; Ctrl-C reaches the command by itself.

    Args:
        sweep: The sweep.
        run: The run.
        command: The command; the sweep's own where empty.

    Returns:
        Its exit code; 128 + N where it was ended by signal N.

    Raises:
        CommandError: There is nothing to run, a macro is wrong, or it cannot be started.
    """
    directory = Path("lightsweep_runs", sweep.id, f"{run.id}-applied-{time.strftime('%Y%m%d-%H%M%S')}").absolute()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP_")}
    with tempfile.TemporaryDirectory(prefix="lightsweep-applied-") as scratch, ChannelServer() as server:
        argv = build_command(
            find_program(sweep.config, sweep.directory),
            _template(sweep, command),
            run.values,
            run.config,
            json_path=Path(scratch) / "parameters.json",
        )
        address = server.register(run.id, AppliedHandler(sweep, run, directory))
        with _SignalsPassedOn() as signals:
            try:
                process = subprocess.Popen(argv, env={**environment, **address})
            except OSError as error:
                raise CommandError(f"cannot start {argv[0]!r}: {error.strerror or error}") from None
            signals.go_to(process)
            code = _ended(process)
    return code if code >= 0 else 128 - code


def _template(sweep: Sweep, command: Sequence[str]) -> list[str] | None:
    own = DEFAULT_COMMAND if sweep.config.command is None else sweep.config.command
    if not command:
        return None if sweep.config.command is None else list(own)
    if any(_MACRO.search(item) for item in command):
        return list(command)
    return [*command, *(item for item in own if _SEVERAL.fullmatch(item))]


def _ended(process: subprocess.Popen[bytes]) -> int:
    # One of the channel's threads may take a signal, and this one would not run its handler while it blocks.
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_SECONDS)


class _SignalsPassedOn:
    """While open, signals go to a process, and Ctrl-C is left to it; in the main thread only."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self._before: dict[int, Any] = {}

    def go_to(self, process: subprocess.Popen[bytes]) -> None:
        """From now on, those included that came before."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def __enter__(self) -> _SignalsPassedOn:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._pass_on) for number in _PASSED_ON}
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._leave)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        """Nothing: the terminal sends Ctrl-C to the command too. As a function, since the command inherits SIG_IGN."""
