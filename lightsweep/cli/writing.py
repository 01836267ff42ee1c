"""Write a file that the user named, as a whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from lightsweep.errors import InputError, NotFoundError

__all__ = ["check_folder", "write_whole"]

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
