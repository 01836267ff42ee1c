"""Which GPUs each slot of an agent gives to its runs."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from collections.abc import Mapping

from lightsweep.errors import InputError

__all__ = ["VARIABLE", "gpu_slots"]

VARIABLE = "CUDA_VISIBLE_DEVICES"
_NAME = re.compile(r"[0-9]+|(GPU|MIG)-\S+")
_LISTING = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")


def gpu_slots(
    gpus: str, per_run: int = 1, *, environ: Mapping[str, str] = os.environ, listing: tuple[str, ...] = _LISTING
) -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` is in each slot: one slot for every ``per_run`` GPUs, in the order given.

    Args:
        gpus: GPU indices or UUIDs separated by commas, or ``all``: those that this process may see.
        per_run: GPUs for each run.
        environ: Where ``all`` looks for a ``CUDA_VISIBLE_DEVICES`` that a scheduler has set.
        listing: The command by which ``all`` finds the GPUs of the machine otherwise.

    Raises:
        InputError: No GPU, one twice, what is neither index nor UUID, one that the scheduler did not give, or a number
            that ``per_run`` does not divide.
    """
    visible = _visible(environ[VARIABLE]) if VARIABLE in environ else None
    if visible == []:
        raise InputError(
            f"--gpus {gpus}: this process was given no GPU ({VARIABLE}={environ[VARIABLE]}); "
            "set or unset that variable, or use --jobs"
        )
    names = (visible or _installed(listing)) if gpus.strip() == "all" else _names(gpus)
    if len(set(names)) < len(names):
        raise InputError(f"--gpus {gpus}: a GPU is named twice; two runs would share it unawares")
    if visible is not None and (others := [name for name in names if name not in visible]):
        raise InputError(
            f"--gpus {gpus}: {', '.join(others)} is not among {VARIABLE}={environ[VARIABLE]}, "
            "the GPUs that this process was given"
        )
    if len(names) % per_run:
        raise InputError(f"--gpus-per-run {per_run} does not divide the {len(names)} GPUs of --gpus {gpus}")
    return [",".join(names[start : start + per_run]) for start in range(0, len(names), per_run)]


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise InputError(
            f"--gpus {text!r}: {wrong[0]!r} is no GPU; write their indices or UUIDs separated by commas, "
            "such as 0,1,2, or all"
        )
    return names


def _visible(text: str) -> list[str]:
    """The GPUs that CUDA shows to a process with this ``CUDA_VISIBLE_DEVICES``: those before the first that is none."""
    names = [name.strip() for name in text.split(",")]
    return list(itertools.takewhile(_NAME.fullmatch, names))


def _installed(listing: tuple[str, ...]) -> list[str]:
    try:
        found = subprocess.run(listing, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(
            f"--gpus all: the GPUs cannot be listed by {listing[0]} ({error}); "
            "name them, such as --gpus 0,1, or use --jobs"
        ) from None
    names = found.stdout.split()
    if not names:
        raise InputError("--gpus all: this machine has no GPU; use --jobs")
    return names
