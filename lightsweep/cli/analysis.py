"""``lightsweep importance`` and ``lightsweep refine``: what the runs of a sweep say about its parameters."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from lightsweep import analysis
from lightsweep.analysis import Importance, ParameterImportance
from lightsweep.cli.options import Json, Storage, SweepId, read_sweep
from lightsweep.cli.output import check_folder, show_json, without_infinities, write_whole
from lightsweep.controller import Sweep
from lightsweep.errors import InputError, UsageError
from lightsweep.schema import SweepConfig
from lightsweep.text import aligned, counted, printable, shortened

_WIDTH = 80
_NAME = 22
_BAR = 13


def importance(
    sweep_id: SweepId,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="Any number that was logged; the sweep's metric by default.")
    ] = None,
    at: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Compare the runs by their first N iterations only.")
    ] = None,
    as_json: Json = False,
    storage: Storage = None,
) -> None:
    """Show which parameters matter for the metric.

    Importance is that of a random forest; beside it is the correlation with the metric.

    For example: lightsweep importance latest --metric val_accuracy
    """
    sweep = read_sweep(sweep_id, storage)
    found = analysis.importance(sweep.runs, sweep.config, metric, at)
    if as_json:
        show_json({"id": sweep.id, **found.document()})
    else:
        print(_text(found))


def _text(found: Importance) -> str:
    goal = f" ({found.goal})" if found.goal else ""
    lines = [f"importance for {printable(found.metric)}{goal}: {counted(found.runs, found.thing)}"]
    lines += _wrapped(*(f"warning: {warning}" for warning in found.warnings), *found.notes)
    if found.parameters:
        lines += ["", *_table(found.parameters)]
    if found.fit is not None:
        lines += [
            "",
            *_wrapped(
                "importance: how much R² falls if the parameter is shuffled; "
                f"a random forest has R² = {found.fit:.2f} on runs it has not seen (1 is perfect, 0 a mere guess)",
                "linear, rank: Pearson's and Spearman's correlation, without a sign for categories",
            ),
        ]
    return "\n".join(lines)


def _wrapped(*texts: str) -> list[str]:
    return [line for text in texts for line in textwrap.wrap(printable(text), _WIDTH, subsequent_indent="  ")]


def _table(parameters: Sequence[ParameterImportance]) -> list[str]:
    largest = max([0.0, *(each.importance or 0.0 for each in parameters)]) or 1.0
    rows = [["parameter", "axis", "importance", "linear", "  rank"]]
    for each in parameters:
        amount = _bar(max(each.importance or 0.0, 0.0) / largest)
        value = "     –" if each.importance is None else f"{each.importance:6.3f} ± {each.spread:.3f}"
        sign = "" if each.scale == "category" else "+"
        both = ["–" if r is None else f"{r:{sign}.2f}" for r in (each.correlation, each.rank_correlation)]
        axis = "never read" if each.unread else each.scale
        rows.append([shortened(printable(each.name), _NAME), axis, f"{amount:<{_BAR}} {value}", *both])
    return aligned(rows, right=(3, 4))


def _bar(share: float) -> str:
    """Return a bar of eighths of a character, or of whole ones if stdout cannot encode those."""
    if not str(sys.stdout.encoding).lower().startswith("utf"):
        return "#" * round(share * _BAR)
    eighths = round(share * _BAR * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def refine(
    sweep_id: SweepId,
    top: Annotated[float, typer.Option(metavar="SHARE", help="Share of the runs that the new ranges cover.")] = 0.2,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; stdout by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the sweep and the notes on it as JSON; no file is written.")
    ] = False,
    storage: Storage = None,
) -> None:
    """Write a sweep file that searches around the best runs.

    For example: lightsweep refine latest -o next.yaml
    """
    if as_json and output is not None:
        raise UsageError("--json prints to stdout; leave out --output")
    if output is not None:
        check_folder(output)
        if output.is_dir():
            raise UsageError(f"--output is a sweep file, but {output} is a folder; write to {output / 'sweep.yaml'}")
        if output.is_file() and not force:  # a pipe or a terminal loses nothing
            raise InputError(f"{output} exists; give another name, or --force to overwrite it")
    sweep = read_sweep(sweep_id, storage)
    program = _program(sweep, output.parent if output else Path())
    made = analysis.refine(sweep.runs, sweep.config, top, sweep_id=sweep.id, program=program)
    if as_json:
        show_json({"sweep": without_infinities(made.config), "text": made.text, "notes": [*made.notes]})
        return
    if output is None:
        print(made.text, end="")
    else:
        write_whole(output, made.text, SweepConfig.load)  # only a text that loads as a sweep file
        print(f"wrote {output}; read it, then run: lightsweep sweep {output}", file=sys.stderr)
    for note in made.notes:
        print(f"note: {printable(note)}", file=sys.stderr)


def _program(sweep: Sweep, directory: Path) -> str | None:
    """Return the path of the program from a sweep file in ``directory``."""
    program, before = sweep.config.program, sweep.directory
    if program is None or before is None or Path(program).is_absolute():
        return program
    beside = Path(before) / program
    if not beside.exists() or (directory / program).resolve() == beside.resolve():
        return program
    return os.path.relpath(beside, directory.resolve())
