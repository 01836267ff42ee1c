"""Print the output of commands and write their files."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from lightsweep.errors import InputError, NotFoundError


def say(text: str, *, error: bool = False) -> None:
    """Print a line of a command that does more than show something; print nothing once the reader has left.

    Args:
        text: The line, or several.
        error: Print to stderr.
    """
    stream = sys.stderr if error else sys.stdout
    _unless_unread(stream, lambda: print(text, file=stream, flush=True))


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
