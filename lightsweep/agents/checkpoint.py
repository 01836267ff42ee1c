"""Where an attempt at a run leaves what the next one resumes from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["discard_checkpoint", "kept_checkpoint", "may_be_preempted"]

# What Slurm, PBS, LSF, Grid Engine, HTCondor and Kubernetes set for the jobs that they may take away at any moment.
_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "_CONDOR_JOB_AD", "KUBERNETES_SERVICE_HOST")


def may_be_preempted(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a scheduler started this process, so that a checkpoint is worth its time even in a first attempt."""
    return any(name in environ for name in _SCHEDULERS)


def kept_checkpoint(directory: Path) -> str | None:
    """What the run's training has kept: the target of the link ``resume`` in its directory, or the file of that name.

    The link is set once a checkpoint is complete, so a checkpoint cut off half-way is never found.

    Args:
        directory: The run's directory.
    """
    link = directory / "resume"
    return str(link.resolve()) if link.exists() else None


def discard_checkpoint(directory: Path) -> None:
    """Remove what only exists to resume the run from: ``resume``, and all whose name begins with ``resume-``.

    What the link ``resume`` leads to elsewhere, such as a checkpoint of the trainer's own, stays.

    Args:
        directory: The run's directory.
    """
    for path in (directory / "resume", directory / "resume.new", *directory.glob("resume-*")):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
