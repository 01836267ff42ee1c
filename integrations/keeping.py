"""The checkpoint that a run leaves for the attempt after it: the link ``resume`` in its directory leads to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["PREFIX", "is_kept", "keep"]

PREFIX = "resume-"
"""How the names of checkpoints begin that only exist to resume from."""

_LINK = "resume"


def is_kept(asked: bool | None, advised: bool) -> bool:
    """Whether to keep a checkpoint: as the user asked, else as the agent advises."""
    return advised if asked is None else asked


def keep(directory: Path, made: Path, *, own: bool) -> None:
    """Let the link in ``directory`` lead to a complete checkpoint, and remove the one before if it was ours.

    A process that is killed at any moment leaves the old link or the new one, and a checkpoint behind it.

    Args:
        directory: The run's directory.
        made: The new checkpoint, a file or a directory.
        own: Whether the checkpoints that the link leads to are ours to remove, rather than the trainer's.
    """
    link = directory / _LINK
    before = link.resolve() if link.is_symlink() else None
    fresh = directory / f"{_LINK}.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(made.resolve(), directory.resolve()))
    fresh.replace(link)
    if own and before is not None and before != made.resolve():
        _remove(before)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
