"""A smoke run: the program of a sweep once, outside of any sweep and storage, to see whether it works in one."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightsweep.agents.active_run import FirstProcess, start_reply
from lightsweep.agents.launchers.process import (
    OUTPUT,
    RunProcess,
    check_command,
    find_program,
    last_lines,
    place_variables,
    places,
    run_environment,
)
from lightsweep.agents.signals import handled
from lightsweep.channel.messages import FinishRequest, LogReply, LogRequest, StartReply, StartRequest
from lightsweep.channel.server import ChannelServer
from lightsweep.client.loaders import BATCH_LOSS, SMOKE_STEPS, STEP_LOSS
from lightsweep.controller import RunState
from lightsweep.controller.runs import nested
from lightsweep.errors import closest
from lightsweep.hyperband import Verdict
from lightsweep.schema import SweepConfig
from lightsweep.schema.command import build_command
from lightsweep.schema.nesting import arguments

ENOUGH_REPORTS = 5
"""Reports of the metric after which a script without a callback is asked to stop."""

_RUN = "smoke"
_GRACE_SECONDS = 5.0
_LAST_BYTES = 64 * 2**10
_LAST_LINES = 20
_MOST_FILES = 200_000
_NOT_LOOKED_AT = (".", "__pycache__", "node_modules", "lightsweep.db", "lightsweep_runs", "lightsweep-smoke-")


@dataclass
class Observed:
    """The observations of a smoke run.

    Attributes:
        values: The sampled parameters, flat.
        connected: Whether the script called ``init``.
        logged: Every name that it logged, with its values in order.
        said: Its ``finish`` message; empty if there was none.
        stopped: Whether it was asked to stop, having reported enough.
        exit_code: Of its process; negative for a signal.
        timed_out: Whether it was terminated because its time was up.
        seconds: How long it took.
        output: The last lines that it printed.
        changed: What it did to files below the working directory, such as ``overwrote 'model.pt'``; ``None`` if there
            are too many files to compare.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    connected: bool = False
    logged: dict[str, list[float]] = field(default_factory=dict)
    said: FinishRequest = field(default_factory=FinishRequest)
    stopped: bool = False
    exit_code: int = 0
    timed_out: bool = False
    seconds: float = 0.0
    output: list[str] = field(default_factory=list)
    changed: list[str] | None = field(default_factory=list)


class SmokeHandler:
    """Plays the agent for a smoke run.

    A callback limits its own trainer, see ``Run.smoke``. Any other script is asked to stop after `ENOUGH_REPORTS`
    reports of the metric, or of a name that resembles it.

    Args:
        config: The sweep's config.
        values: The sampled parameters, by dotted name.
        directory: The run's directory.
        steps: Steps of a trainer, and batches of a pass over a loader; fewer than `ENOUGH_REPORTS` are also the
            number of reports after which a script is asked to stop.
    """

    def __init__(
        self, config: SweepConfig, values: Mapping[str, Any], directory: Path, steps: int = SMOKE_STEPS
    ) -> None:
        self._config = config
        self._directory = directory
        self._steps = steps
        self._enough = min(ENOUGH_REPORTS, steps)
        self._lock = threading.Lock()
        self._first_process = FirstProcess()
        self.observed = Observed(values=values)

    def start(self, message: StartRequest) -> StartReply:
        """Answer with the sampled config over the script's defaults."""
        self.observed.connected = True
        return start_reply(
            self._config,
            message,
            self.observed.values,
            run=_RUN,
            sweep=_RUN,
            directory=self._directory,
            smoke=self._steps,
            first=self._first_process.is_first(message),
        )

    def log(self, message: LogRequest) -> LogReply:
        """Keep the numbers, and answer to stop after enough reports."""
        with self._lock:
            seen = self.observed
            for name, value in message["metrics"].items():
                seen.logged.setdefault(name, []).append(float(value))
            count = self._reports()
            limited = BATCH_LOSS in seen.logged or STEP_LOSS in seen.logged
            seen.stopped |= not limited and count >= self._enough
            reason = f"a smoke run ends after {self._enough} report{'s' * (self._enough > 1)}" if seen.stopped else ""
            return LogReply(Verdict(seen.stopped, reason), count)

    def finish(self, message: FinishRequest) -> None:
        """Keep the script's last message; the first one that failed stays."""
        with self._lock:
            if self.observed.said.get("state") != RunState.FAILED:
                self.observed.said = message

    def _reports(self) -> int:
        """Return how often the metric, or a name that resembles it, was reported; without a metric, any name."""
        logged = self.observed.logged
        names = [metric.name for metric in self._config.metrics]
        if not names:
            return max(map(len, logged.values()), default=0)
        return min(len(logged.get(name, ())) or max(map(len, _meant(name, logged)), default=0) for name in names)


def _meant(name: str, logged: Mapping[str, list[float]]) -> list[list[float]]:
    return [values for other, values in logged.items() if closest(name, [other])]


def smoke_run(config: SweepConfig, values: Mapping[str, Any], *, timeout: float, steps: int = SMOKE_STEPS) -> Observed:
    """Run the program once with ``values``; it leaves neither files of lightsweep nor processes.

    Args:
        config: The sweep's config.
        values: Parameters by dotted name.
        timeout: Seconds after which its process group is terminated.
        steps: See `SmokeHandler`.

    Raises:
        CommandError: There is nothing to run, or it cannot be started.
        NotFoundError: The program does not exist.
    """
    directory = str(Path(config.source).absolute().parent) if config.source else None
    check_command(config, directory)
    # A smoke run is logged nowhere.
    environment = {**run_environment(config.options.stand_in), "WANDB_MODE": "disabled"}
    before = _files_here()
    with (
        tempfile.TemporaryDirectory(prefix="lightsweep-smoke-", ignore_cleanup_errors=True) as name,
        ChannelServer() as server,
    ):
        home = Path(name)
        environment["TENSORBOARD_LOGGING_DIR"] = str(home / "runs")
        handler = SmokeHandler(config, values, home, steps)
        here = places(_RUN, _RUN, home)
        address = {**place_variables(here), **server.register(_RUN, handler)}
        program = find_program(config, directory)
        command = build_command(
            program,
            config.command,
            values,
            nested(values, config),
            json_path=home / "parameters.json",
            passed=arguments(config, values, program, config.command),
            places=here,
        )
        began = time.monotonic()
        seen = handler.observed
        _run(lambda: RunProcess(command, {**environment, **address}, home / OUTPUT), seen, timeout)
        seen.seconds = time.monotonic() - began
        seen.output = last_lines(home / OUTPUT, _LAST_BYTES)[-_LAST_LINES:]
    seen.changed = _changes(before, _files_here())
    return seen


def _files_here() -> dict[str, tuple[int, ...]] | None:
    """Return time, size and inode of each file below the working directory; ``None`` if there are too many.

    Hidden directories, caches of Python and the files of running agents are left out.
    """
    found: dict[str, tuple[int, ...]] = {}
    for above, directories, names in os.walk("."):
        directories[:] = [name for name in directories if not name.startswith(_NOT_LOOKED_AT)]
        for name in names:
            path = os.path.normpath(Path(above, name))
            if not name.startswith(_NOT_LOOKED_AT):
                with suppress(OSError):  # it may be gone by now
                    status = os.lstat(path)
                    found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
        if len(found) > _MOST_FILES:
            return None
    return found


def _changes(
    before: Mapping[str, tuple[int, ...]] | None, after: Mapping[str, tuple[int, ...]] | None
) -> list[str] | None:
    if before is None or after is None:
        return None
    words = [f"overwrote {path!r}" for path in sorted(before) if path in after and before[path] != after[path]]
    words += [f"removed {path!r}" for path in sorted(before) if path not in after]
    return words + [f"made {path!r}" for path in sorted(after) if path not in before]


def _run(start: Callable[[], RunProcess], seen: Observed, timeout: float) -> None:
    """Start a process and wait for it; end its whole group when its time is up, or when this process ends."""

    def expire() -> None:
        seen.timed_out = True
        if process is not None:
            process.terminate(_GRACE_SECONDS)

    process: RunProcess | None = None
    timer = threading.Timer(timeout, expire)
    timer.name = "lightsweep-smoke-timeout"
    timer.daemon = True
    try:
        with _signals_held_back():
            process = start()
        timer.start()
        seen.exit_code = process.wait().exit_code
    except BaseException:
        if process is not None:
            process.kill()
            process.wait()
        raise
    finally:
        timer.cancel()
        if timer.is_alive():
            timer.join()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM to the end of the block."""
    came: list[int] = []
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if callable(signal.getsignal(number))]
    with handled(dict.fromkeys(numbers, lambda number, _: came.append(number))):
        yield
    for first in came[:1]:
        signal.raise_signal(first)
