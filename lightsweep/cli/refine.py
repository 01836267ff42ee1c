"""``lightsweep refine``: write the sweep file of the next sweep."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lightsweep.cli.options import Storage, SweepId

if TYPE_CHECKING:
    from lightsweep.controller import Sweep

__all__ = ["refine"]


def refine(
    sweep_id: SweepId,
    top: Annotated[
        float, typer.Option(metavar="SHARE", help="The share of the runs that the ranges are drawn around.")
    ] = 0.2,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; stdout by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    storage: Storage = None,
) -> None:
    """Write a sweep file that searches around the best runs of a sweep."""
    from lightsweep.analysis import refine
    from lightsweep.cli.output import check_folder, looking, write_whole
    from lightsweep.controller import Sweep
    from lightsweep.errors import InputError, UsageError
    from lightsweep.schema import SweepConfig
    from lightsweep.text import printable

    if output is not None:
        check_folder(output)
        if output.is_dir():
            raise UsageError(f"--output is a sweep file, but {output} is a folder; write to {output / 'sweep.yaml'}")
        # Writing to a pipe or a terminal takes nothing away.
        if output.is_file() and not force:
            raise InputError(f"{output} exists; give another name, or --force to write over it")
    sweep = Sweep.load(sweep_id, storage=looking(storage))
    made = refine(
        sweep.runs,
        sweep.config,
        top,
        sweep_id=sweep.id,
        program=_program(sweep, output.parent if output else Path()),
    )
    if output is None:
        print(made.text, end="")
    else:
        write_whole(output, made.text, SweepConfig.load)  # only what is read back as a sweep file
        print(f"wrote {output}; look at it, then: lightsweep sweep {output}", file=sys.stderr)
    for note in made.notes:
        print(f"note: {printable(note)}", file=sys.stderr)


def _program(sweep: Sweep, directory: Path) -> str | None:
    """The program as it is found from a sweep file in ``directory``."""
    program, before = sweep.config.program, sweep.directory
    if program is None or before is None or Path(program).is_absolute():
        return program
    beside = Path(before) / program
    if not beside.exists() or (directory / program).resolve() == beside.resolve():
        return program
    return os.path.relpath(beside, directory.resolve())
