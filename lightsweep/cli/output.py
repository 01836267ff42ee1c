"""Print the output of commands and write their files."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lightsweep.errors import InputError, NotFoundError
from lightsweep.text import counted, paint, shortened

if TYPE_CHECKING:
    from lightsweep.schema import SweepConfig


def say(text: str, *, error: bool = False, style: str = "") -> None:
    """Print a line of a command that does more than show something; print nothing once the reader has left.

    Args:
        text: The line, or several.
        error: Print to stderr.
        style: See `paint`.
    """
    stream = sys.stderr if error else sys.stdout
    _unless_unread(stream, lambda: print(paint(text, style, stream), file=stream, flush=True))


def warn(text: str) -> None:
    """Print a warning to stderr."""
    say(f"{paint('warning:', 'yellow', sys.stderr)} {text}", error=True)


def columns() -> int | None:
    """Return the width of the terminal that stdout is; ``None`` if it is none, so that nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(text: str) -> str:
    """Return a line, cut to the width of the terminal."""
    width = columns()
    return text if width is None else shortened(text, width)


def wrapped(text: str) -> str:
    """Return a line, on as many lines as the terminal needs."""
    width = columns()
    if width is None or len(text) <= width:
        return text
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def parameter_count(config: SweepConfig, searched: Collection[str]) -> str:
    """Return how many parameters are searched, or before the first run the function that defines them."""
    if config.scheduler is not None and config.defined_by_run and not searched:
        return f"the parameters that {config.scheduler.search_space}() in {config.scheduler.source} defines"
    return counted(len(searched), "parameter")


def show_json(document: Any) -> None:
    """Print a document as JSON."""
    print(json.dumps(document, indent=2, allow_nan=False), flush=True)


def without_infinities(value: Any) -> Any:
    """Return ``value`` for JSON, which has no infinities: they become text, ``"inf"``."""
    if isinstance(value, dict):
        return {key: without_infinities(below) for key, below in value.items()}
    if isinstance(value, list):
        return [without_infinities(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def flush() -> None:
    """Flush stdout, unless its reader has left."""
    _unless_unread(sys.stdout, sys.stdout.flush)


def discard(stream: TextIO) -> None:
    """Discard all further output of a stream, with what Python flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _unless_unread(stream: TextIO, action: Callable[[], None]) -> None:
    try:
        action()
    except BrokenPipeError:
        discard(stream)


_OPEN = re.compile(r"/dev/(stdout|stderr|fd/)|/proc/")  # files that this process has open, even regular ones


def check_folder(path: Path) -> None:
    """Raise ``NotFoundError`` if the folder of ``path`` does not exist."""
    if not path.parent.is_dir():
        raise NotFoundError(f"cannot write {path.name!r}: the folder {str(path.parent)!r} does not exist; create it")


def write_whole(path: Path, text: str, check: Callable[[Path], object] | None = None) -> bool:
    """Write a file atomically: a reader sees the old content or the new text, never a part of it.

    A symbolic link stays, and its target is written. A pipe, a device or ``/dev/stdout`` is appended to, since a file
    in its place would take it away from other programs.

    Args:
        path: The file.
        text: The new content.
        check: Called with a temporary file that holds the text; if it raises, ``path`` stays as it is.

    Returns:
        Whether a file of that name exists now; ``False`` if the text went into a stream.

    Raises:
        InputError: The file cannot be written; the message names ``path``.
    """
    check_folder(path)
    stream = bool(_OPEN.match(str(path.absolute()))) or (path.exists() and not path.is_file())
    target = Path(os.path.realpath(path))  # Path.resolve fails if links form a circle
    try:
        with tempfile.TemporaryDirectory(dir=None if stream else target.parent, prefix=f".{path.name}.") as folder:
            draft = Path(folder) / "draft"
            draft.write_text(text, encoding="utf-8", newline="\n")
            if check is not None:
                check(draft)
            if stream:
                with path.open("a", encoding="utf-8", newline="\n") as opened:  # a shell may have written before
                    opened.write(text)
            else:
                draft.replace(target)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    return not stream
