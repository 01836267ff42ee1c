"""The machine under the figures, and a place on its disk."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

__all__ = ["described", "workplace"]


def described() -> str:
    """One line: processors, system, versions, and how busy the machine was at the start."""
    load = os.getloadavg()[0]
    packages = ", ".join(f"{name} {version(name)}" for name in ("lightsweep", "optuna", "sqlalchemy"))
    return (
        f"{os.cpu_count()} CPUs ({platform.machine()}), {platform.system()}, Python {platform.python_version()}, "
        f"{packages}; load at the start {load:.1f}"
    )


@contextmanager
def workplace() -> Iterator[Path]:
    """A new directory, removed afterwards; under ``TMPDIR``, which should be a real disk, since commits are timed."""
    directory = Path(tempfile.mkdtemp(prefix="lightsweep-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
