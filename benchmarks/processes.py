"""Processes that benchmarks start and talk to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["AGENT", "PROGRAMS", "environment", "finish", "running"]

PROGRAMS = Path(__file__).parent / "programs"
AGENT = (sys.executable, "-m", "lightsweep", "agent")


def environment(**more: str) -> dict[str, str]:
    """The environment of a benchmark's process: without what belongs to a sweep or a storage of the user.

    Nor without bytecode, which installed packages have.
    """
    left_out = ("LIGHTSWEEP_", "PYTHONDONTWRITEBYTECODE")
    return {**{key: value for key, value in os.environ.items() if not key.startswith(left_out)}, **more}


@contextmanager
def running(
    command: Sequence[str], directory: Path, variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to a file in ``directory``; killed where it does not end within a minute.

    Raises:
        RuntimeError: It failed; with the end of what it printed.
    """
    log = directory / "process.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment(**(variables or {})),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
            code = process.wait(timeout=60)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code:
        raise RuntimeError(f"{list(command)} ended with {code}:\n{log.read_text(errors='replace')[-2000:]}")


def finish(command: Sequence[str], directory: Path, variables: Mapping[str, str] | None = None) -> None:
    """Run a command to its end, as :func:`running`."""
    with running(command, directory, variables) as process:
        process.wait()
