"""A storage as a job of a cluster, for users who may run no server on its login node."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lightsweep.agents.engines import Engine
from lightsweep.errors import LightsweepError, StorageError, UsageError
from lightsweep.storage import open_storage
from lightsweep.storage.postgresql import account_for, check_access, make_directory
from lightsweep.storage.server import unreachable, url_file
from lightsweep.storage.url import FILE_VARIABLE, SERVED, URL_VARIABLE, parse, read_url

_IDLE = "30m"
_PAUSE_SECONDS = 2.0
_SHOWN_LINES = 5


def storage_command(directory: Path) -> list[str]:
    """Return the command of the server; it ends half an hour after the last agent."""
    command = [sys.executable, "-m", "lightsweep", "storage", "serve", "--directory", str(directory)]
    return [*command, "--host", "0.0.0.0", "--port", "0", "--idle", _IDLE]


def storage_plan(engine: Engine, name: str) -> str:
    """Return exactly what would be submitted for the storage. Raises ``UsageError`` if the engine cannot run one."""
    if not engine.runs_storage:
        raise UsageError(
            f"--with-storage: {name} runs no storage as a job\n"
            "start one with `lightsweep storage serve` where the agents reach it, and name its URL by --storage"
        )
    directory = SERVED.absolute()
    return engine.plan_storage(directory, storage_command(directory))


def start_storage(engine: Engine, name: str, tell: Callable[[str], None]) -> None:
    """Wait until the storage of this directory answers, and start its job if there is none; then it is the default.

    Args:
        engine: Runs the job.
        name: The name of the engine.
        tell: Gets a line about each change.

    Raises:
        LightsweepError: The job has ended before the storage was ready.
    """
    directory = SERVED.absolute()
    file = url_file(directory)
    submitted = told = ""
    while not _answers(file):
        job = engine.storage_job(directory)
        if job is None and submitted:
            raise LightsweepError(
                f"job {submitted} of the storage has ended before it was ready; its output is in "
                f"{directory}/job-{submitted}.out:\n{_end(directory / f'job-{submitted}.out')}"
            )
        if job is None:
            account = account_for(directory)
            check_access(directory, directory / "data", account)
            make_directory(directory, account)
            submitted = engine.submit_storage(directory, storage_command(directory))
            tell(f"submitted the storage as job {submitted} on {name}; Ctrl-C ends this wait, not the job")
            continue
        line = f"waiting for the storage: {job}"
        if line != told:
            tell(line)
            told = line
        time.sleep(_PAUSE_SECONDS)
    if told:
        tell("the storage is ready")
    os.environ[FILE_VARIABLE] = str(file)
    os.environ.pop(URL_VARIABLE, None)


def _answers(file: Path) -> bool:
    """Return whether the storage of the file answers; another program may have its port since."""
    if not file.exists() or unreachable(parse(url := read_url(file))):
        return False
    with suppress(StorageError):
        open_storage(url).close()
        return True
    return False


def _end(path: Path) -> str:
    with suppress(OSError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
    return "(none)"
