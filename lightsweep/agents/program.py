"""Where a sweep's program is, and whether its command can be started at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lightsweep.command import DEFAULT_COMMAND, build_command
from lightsweep.errors import CommandError, NotFoundError, closest
from lightsweep.schema import SweepConfig

__all__ = ["check_command", "check_program", "find_program"]


def find_program(config: SweepConfig, directory: str | None) -> str | None:
    """``program`` as it is where it exists, else the file of that name beside the sweep file.

    Args:
        config: The sweep's config.
        directory: Where its file is; ``None`` for a config given as a dict.
    """
    program = config.program
    if program and directory and not Path(program).exists() and (Path(directory) / program).exists():
        return str(Path(directory) / program)
    return program


def check_program(config: SweepConfig, directory: str | None) -> str | None:
    """Return ``program`` as :func:`find_program` does.

    ``${program}`` is looked for where it is an item of its own, and not after ``-m``, which takes a module.

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
    """See that runs can be started, before one is claimed.

    Raises:
        CommandError: There is nothing to run, a macro is wrong, or the executable does not exist.
        NotFoundError: ``program`` does not exist.
    """
    program = check_program(config, directory)
    values = {parameter.name: parameter.distribution.quantile(0.5) for parameter in config.space.parameters}
    command = build_command(program, config.command, values, config.space.nest(values), json_path=Path(os.devnull))
    if shutil.which(command[0]) is None:
        raise CommandError(
            f"cannot start {command[0]!r}: there is no such program, or it may not be executed; "
            "correct `command` in the sweep file"
        )
