"""Where the directories of runs are."""

from __future__ import annotations

import os
from pathlib import Path

from lightsweep.errors import InputError

__all__ = ["RUNS", "make_directory"]

RUNS = Path("lightsweep_runs")
"""In the working directory of the agent; below it one directory for each sweep, below that one for each run."""


def make_directory(path: Path) -> None:
    """Make a directory for runs, with those above it.

    Raises:
        InputError: It cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        problem = None if os.access(path, os.W_OK | os.X_OK) else "no permission to write"
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise InputError(
            f"the directory of the runs, {path.absolute()}, cannot be used ({problem}); "
            "start the agent in a directory that may be written to"
        )
