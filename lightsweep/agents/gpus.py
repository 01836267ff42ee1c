"""Divide the GPUs among the slots of an agent."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from collections.abc import Mapping

from lightsweep.errors import InputError

VARIABLE = "CUDA_VISIBLE_DEVICES"
_NAME = re.compile(r"[0-9]+|(GPU|MIG)-\S+")
_LISTING = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")


def gpu_slots(
    gpus: str, per_run: int = 1, *, environ: Mapping[str, str] = os.environ, listing: tuple[str, ...] = _LISTING
) -> list[str]:
    """Return ``CUDA_VISIBLE_DEVICES`` of each slot: one slot for every ``per_run`` GPUs, in the order given.

    Args:
        gpus: GPU indices or UUIDs separated by commas, or ``all``: all GPUs that this process may use.
        per_run: GPUs for each run.
        environ: Holds a ``CUDA_VISIBLE_DEVICES`` that a scheduler has set, for ``all``.
        listing: The command that lists the GPUs of the machine, for ``all`` without that variable.

    Raises:
        InputError: No GPU, one twice, a text that is neither index nor UUID, a GPU that the scheduler did not give, or
            a number that ``per_run`` does not divide.
    """
    visible = _visible(environ[VARIABLE]) if VARIABLE in environ else None
    if visible == []:
        raise InputError(
            f"GPUs {gpus}: this process was given no GPU ({VARIABLE}={environ[VARIABLE]}); "
            "set or unset that variable, or name no GPUs"
        )
    names = (visible or _installed(listing)) if gpus.strip() == "all" else _names(gpus)
    if len(set(names)) < len(names):
        raise InputError(f"GPUs {gpus}: a GPU is named twice, so two runs would share it; name each once")
    if visible is not None and (others := [name for name in names if name not in visible]):
        raise InputError(
            f"GPUs {gpus}: {', '.join(others)} is not among {VARIABLE}={environ[VARIABLE]}, "
            "the GPUs that this process was given"
        )
    if len(names) % per_run:
        raise InputError(f"{len(names)} GPUs ({gpus}) cannot be divided into groups of {per_run}")
    return [",".join(names[start : start + per_run]) for start in range(0, len(names), per_run)]


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise InputError(
            f"GPUs {text!r}: {wrong[0]!r} is not the index or UUID of a GPU; "
            "separate indices by commas, as in 0,1,2, or write all"
        )
    return names


def _visible(text: str) -> list[str]:
    """Return the GPUs that a process with this ``CUDA_VISIBLE_DEVICES`` sees: CUDA stops at the first invalid name."""
    names = [name.strip() for name in text.split(",")]
    return list(itertools.takewhile(_NAME.fullmatch, names))


def _installed(listing: tuple[str, ...]) -> list[str]:
    try:
        found = subprocess.run(listing, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(
            f"GPUs all: the GPUs cannot be listed by {listing[0]} ({error}); name them, such as 0,1, or name no GPUs"
        ) from None
    names = found.stdout.split()
    if not names:
        raise InputError("GPUs all: this machine has no GPU; name no GPUs")
    return names
