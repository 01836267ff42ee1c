"""Let programs that import ``wandb`` find lightsweep, without a changed line and whether or not W&B is installed.

The folder ``path`` holds a package ``wandb`` whose names are those of ``lightsweep``, in W&B's own layout, and the
metadata of a distribution, for libraries that ask for its version. A Python that has the folder in front of its path
finds these before anything installed. Nothing in them opens a connection to another machine.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lightsweep.errors import UsageError

__all__ = ["STAND_INS", "folders", "standing_in", "variables"]

STAND_INS = ("wandb",)
"""The packages that lightsweep can stand in for."""

_PATH = str(Path(__file__).resolve().parent / "path")
_VARIABLE = "PYTHONPATH"


def folders(name: str | None) -> list[str]:
    """Return the folders that belong in front of Python's path to stand in for ``name``; none for ``None``."""
    return [] if name is None else [_PATH]


def variables(name: str | None, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables by which every Python that a process starts finds the stand-in; none for ``None``.

    Args:
        name: The package to stand in for.
        environ: The variables that the process has otherwise.
    """
    if name is None:
        return {}
    before = environ.get(_VARIABLE, "")
    others = [part for part in before.split(os.pathsep) if part != _PATH] if before else []
    return {_VARIABLE: os.pathsep.join([_PATH, *others])}


@contextmanager
def standing_in(name: str | None) -> Iterator[None]:
    """Let this process, and those that it starts, find the stand-in inside of the block; do nothing for ``None``.

    Raises:
        UsageError: This process has imported the package itself already.
    """
    if name is None or _is_ours(name):
        yield
        return
    if name in sys.modules:
        raise UsageError(
            f"this process has imported {name} already, so that lightsweep cannot stand in for it; start the script by "
            f"`lightsweep exec --stand-in {name} -- python ...`"
        )
    before = os.environ.get(_VARIABLE)
    sys.path.insert(0, _PATH)
    os.environ.update(variables(name))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(_PATH)
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
        for module in [each for each in sys.modules if each.partition(".")[0] == name]:
            del sys.modules[module]
        sys.meta_path[:] = [each for each in sys.meta_path if getattr(each, "__module__", "") != name]
        importlib.invalidate_caches()


def _is_ours(name: str) -> bool:
    """Return whether an import of ``name`` in this process finds the stand-in, or has found it."""
    module = sys.modules.get(name)
    if module is not None:
        return str(getattr(module, "__file__", "")).startswith(_PATH)
    return sys.path[:1] == [_PATH] or os.environ.get(_VARIABLE, "").split(os.pathsep)[0] == _PATH
