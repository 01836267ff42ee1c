"""``lightsweep report``: what a sweep found, as one page or as figures."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from lightsweep.cli.options import Storage, SweepId

__all__ = ["Format", "report"]


class Format(str, Enum):
    """What is written."""

    html = "html"
    png = "png"
    svg = "svg"


def report(
    sweep_id: SweepId,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="PATH", help="The page, or the folder of the figures; named after the sweep here."
        ),
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="html: one page, for any browser; png, svg: a file for each figure.")
    ] = Format.html,
    storage: Storage = None,
) -> None:
    """Write what a sweep found: one page that needs no network, or its figures. What was there is replaced."""
    from lightsweep.analysis import required
    from lightsweep.cli.output import check_folder, looking, write_whole
    from lightsweep.controller import Sweep
    from lightsweep.errors import UsageError

    required("plotly")
    from lightsweep.report import figures, page, sweep_data, write_images

    sweep = Sweep.load(sweep_id, storage=looking(storage))
    state = sweep.state
    data = sweep_data(sweep)
    path = output or Path(f"report-{sweep.id}{'.html' if format_ is Format.html else ''}")
    check_folder(path)
    if format_ is not Format.html:
        if path.exists() and not path.is_dir():
            raise UsageError(
                f"--output is the folder of the figures with --format {format_.value}, but {path} is a file"
            )
        for written in write_images(figures(data), path, format_.value):
            print(written)
        return
    if path.is_dir():
        raise UsageError(f"--output is the file of the page, but {path} is a folder; write to {path / 'report.html'}")
    if write_whole(path, page(sweep.id, state, data)):
        print(path)
