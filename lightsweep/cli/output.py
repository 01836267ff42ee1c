"""The stages of a sweep as lines of text."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lightsweep.controller import PartView, Sweep, part_views
from lightsweep.errors import InputError, NotFoundError
from lightsweep.storage import Storage, default_url, open_storage
from lightsweep.text import counted, number, parameters, printable

if TYPE_CHECKING:
    from lightsweep.schema import SweepConfig

__all__ = [
    "aligned",
    "besides",
    "check_folder",
    "discard",
    "flush",
    "looking",
    "outline",
    "parameter_count",
    "progress",
    "progress_document",
    "progress_lines",
    "say",
    "table",
    "write_whole",
]


def say(text: str, *, error: bool = False) -> None:
    """Print a line of a command that does more than show something; once the reader has left, nothing is shown.

    Args:
        text: The line, or several.
        error: Whether it goes to stderr.
    """
    stream = sys.stderr if error else sys.stdout
    _unless_unread(stream, lambda: print(text, file=stream, flush=True))


def flush() -> None:
    """Hand over what was printed on stdout, if there is somebody left to read it."""
    _unless_unread(sys.stdout, sys.stdout.flush)


def discard(stream: TextIO) -> None:
    """Let everything from now on, and what Python flushes at its end, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _unless_unread(stream: TextIO, action: Callable[[], None]) -> None:
    try:
        action()
    except BrokenPipeError:
        discard(stream)


def aligned(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows below their heading, each column as wide as its widest cell."""
    table = [list(heading), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(heading))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def besides(priors: int) -> str:
    """`` + 8 prior runs``, which count as none of the sweep's own; empty for none."""
    return f" + {counted(priors, 'prior run')}" if priors else ""


def parameter_count(config: SweepConfig, searched: Collection[str]) -> str:
    """How many parameters are searched; whose they are, as long as no run has shown those that a function defines."""
    if config.scheduler is not None and config.defined_by_run and not searched:
        return f"the parameters that {config.scheduler.search_space}() in {config.scheduler.source} defines"
    return counted(len(searched), "parameter")


def looking(storage: str | None) -> Storage:
    """Open the storage that ``--storage`` names, or the default one, also where it may not be written to."""
    return open_storage(storage or default_url(), create=False, look=True)


_OPEN = re.compile(r"/dev/(stdout|stderr|fd/)|/proc/")  # what this process has open, be it a regular file


def check_folder(path: Path) -> None:
    """Raise ``NotFoundError`` where the folder that ``path`` stands in is not there."""
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no folder {str(path.parent)!r} to write {path.name!r} into; make it first")


def write_whole(path: Path, text: str, check: Callable[[Path], object] | None = None) -> bool:
    """Write a file at once: whoever looks sees what was there or the new text, never half of one.

    A symbolic link stays, and what it points to is written. What is no regular file (a pipe, a device, ``/dev/stdout``
    wherever that goes) is written to: a file put in its place would take it away from everybody.

    Args:
        path: The file.
        text: What it will hold.
        check: Is given a file with the text before anybody sees it as ``path``; what it raises leaves ``path`` alone.

    Returns:
        Whether there is a file of that name now, rather than somebody who has read the text.

    Raises:
        InputError: It cannot be written there; the message names ``path``.
    """
    check_folder(path)
    stream = _OPEN.match(str(path.absolute())) or (path.exists() and not path.is_file())
    try:
        if stream:
            _into(path, text, check)
        else:
            _replace(Path(os.path.realpath(path)), text, check)  # as Path.resolve, which fails where links go round
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    return not stream


def _into(path: Path, text: str, check: Callable[[Path], object] | None) -> None:
    if check is not None:
        with tempfile.TemporaryDirectory() as directory:
            draft = Path(directory) / "draft"
            draft.write_text(text, encoding="utf-8")
            check(draft)
    # Appended, since /dev/stdout may be a file to which somebody's shell has written before.
    with path.open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(text)


def _replace(path: Path, text: str, check: Callable[[Path], object] | None) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as stream:  # noqa: PTH123 - a descriptor, not a path
            stream.write(text)
        if check is not None:
            check(draft)
        mask = os.umask(0)
        os.umask(mask)
        draft.chmod(0o666 & ~mask)  # as any new file; mkstemp makes it private
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def progress(view: PartView) -> str:
    """How many of the runs of a stage have ended: ``5 of 12``."""
    return f"{view.ended} of {view.limit:,}" if view.limit is not None else str(view.ended)


def progress_lines(views: Sequence[PartView]) -> list[str]:
    """``stage 2 of 3, architecture: 5 of 12 runs ended``, and the best of each stage; nothing for a flat sweep."""
    begun = [view for view in views if view.fixed is not None]
    if not begun:
        return []
    current = begun[-1]
    base = f", from run {current.base}" if current.base is not None else ""
    return [
        printable(
            f"stage {current.stage.number} of {len(views)}, {current.stage.name}: {progress(current)} runs ended{base}"
        ),
        *(
            printable(f"  {view.stage.name}: best {number(view.best.best)}, run {view.best.id}")
            for view in views
            if view.best is not None and view.best.best is not None
        ),
    ]


def progress_document(sweep: Sweep) -> dict[str, Any]:
    """What the JSON document of a sweep holds of its stages; nothing for a flat sweep."""
    views = part_views(sweep)
    return {"stages": [view.document() for view in views]} if views else {}


def outline(config: SweepConfig) -> str:
    """The stages of a sweep in a few words: ``in 2 stages: rate (lr), then shape (depth, width)``."""
    stages = ", then ".join(f"{stage.name} ({', '.join(stage.searched)})" for stage in config.stages)
    return f"in {counted(len(config.stages), 'stage')}: {stages}"


def table(views: Sequence[PartView], names: list[str]) -> str:
    """A line for each stage, with what its best run had of the parameters ``names`` that it searches."""
    rows = [
        [
            printable(view.stage.name),
            view.state,
            view.stage.method,
            progress(view),
            view.base or "–",
            f"{number(view.best.best)} ({view.best.id})" if view.best and view.best.best is not None else "–",
            parameters(view.best.values, [name for name in names if name in view.stage.searched])
            if view.best
            else printable(", ".join(view.stage.searched)),
        ]
        for view in views
    ]
    return aligned(["stage", "state", "method", "runs ended", "from run", "best (run)", "searched"], rows)
