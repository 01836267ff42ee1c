"""The checkpoint that a run leaves for the attempt after it: the link ``resume`` in its directory leads to it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["PREFIX", "discard", "is_kept", "keep"]

PREFIX = "resume-"
"""How the names of checkpoints begin that only exist to resume from."""

_LINK = "resume"


def is_kept(asked: bool | None, advised: bool) -> bool:
    """Whether to keep a checkpoint: as the user asked, else as the agent advises."""
    return advised if asked is None else asked


def keep(directory: Path, made: Path, *, own: bool) -> Path:
    """Let the link in ``directory`` lead to a complete checkpoint, and remove the one before if it was ours.

    A process that is killed at any moment leaves the old link or the new one, and a checkpoint behind it.

    Args:
        directory: The run's directory.
        made: The new checkpoint, a file or a directory. One outside of ``directory`` is copied, since the next run may
            write to the same place.
        own: Whether the checkpoint that the link leads to so far is ours to remove, rather than the trainer's.

    Returns:
        Where the link leads: ``made`` or its copy.
    """
    link = directory / _LINK
    before = link.resolve() if link.is_symlink() else None
    kept = made if made.resolve().is_relative_to(directory.resolve()) else _copied(made, directory, before)
    fresh = directory / f"{_LINK}.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(kept.resolve(), directory.resolve()))
    fresh.replace(link)
    if before is not None and before != kept.resolve() and (own or before.name.startswith(PREFIX)):
        discard(before)
    return kept


def _copied(made: Path, directory: Path, before: Path | None) -> Path:
    """A copy that leaves alone what the link still leads to, which may be of the same step."""
    place = directory.resolve() / f"{PREFIX}{made.name}"
    if place == before:
        place = place.with_name(f"{place.name}-again")
    discard(place)  # what a process that was killed has left
    if made.is_dir():
        shutil.copytree(made, place)
    else:
        shutil.copy2(made, place)
    return place


def discard(path: Path) -> None:
    """Remove a checkpoint, a file or a directory, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
