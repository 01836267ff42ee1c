"""Where an attempt at a run leaves what the next one resumes from."""

from __future__ import annotations

from pathlib import Path

__all__ = ["kept_checkpoint"]


def kept_checkpoint(directory: Path) -> str | None:
    """What the run's training has kept: the target of the link ``resume`` in its directory, or the file of that name.

    The link is set once a checkpoint is complete, so a checkpoint cut off half-way is never found.

    Args:
        directory: The run's directory.
    """
    link = directory / "resume"
    return str(link.resolve()) if link.exists() else None
