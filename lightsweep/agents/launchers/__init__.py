"""Start the work of a run: as a process, or as a call of a function.

A launcher is one file here, or anywhere: ``Agent`` takes whatever follows the protocol `Launcher`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lightsweep.channel.messages import Handler
from lightsweep.controller import ClaimedRun

__all__ = ["Emit", "ExitStatus", "Job", "Launcher", "Variables"]

Variables = Mapping[str, str]
"""Variables of an environment."""

Emit = Callable[[bytes], None] | None
"""Gets what a run prints; ``None`` if nobody shows it."""


@dataclass(frozen=True)
class ExitStatus:
    """The end of a job.

    Attributes:
        exit_code: The exit code; negative for a signal.
        last_line: The last line that it printed; empty if the exit code is 0.
        interrupted: Whether Ctrl-C ended it, so that the agent ends too.
    """

    exit_code: int
    last_line: str = ""
    interrupted: bool = False


class Job(Protocol):
    """The work of one attempt at a run; methods are called from several threads."""

    def wait(self) -> ExitStatus:
        """Wait for the end; then nothing of the job is left."""

    def terminate(self, grace: float) -> None:
        """Ask the job to end, and kill it ``grace`` seconds later; returns at once."""

    def kill(self) -> None:
        """Kill the job."""

    def signal(self, number: int) -> None:
        """Pass on a signal."""


class Launcher(Protocol):
    """Starts the jobs of an agent."""

    def check(self) -> None:
        """Raise an ``InputError`` if no run can be started; called before the first run is claimed."""

    def start(self, run: ClaimedRun, handler: Handler, directory: Path, environment: Variables, emit: Emit) -> Job:
        """Start one run.

        Args:
            run: The run, with the values of its parameters.
            handler: Answers the script's ``init``, ``log`` and ``finish``.
            directory: The run's directory; it exists.
            environment: Variables of the run, such as the GPUs that it may use.
            emit: See `Emit`.

        Raises:
            CommandError: The run cannot be started; it has then failed.
        """

    def hurry(self) -> None:
        """Let a start that waits return soon, as the runs are to end at once; called from any thread."""

    def close(self) -> None:
        """Release what all runs share; called once all jobs have ended."""
