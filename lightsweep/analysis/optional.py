"""The packages that only analysis needs."""

from __future__ import annotations

import importlib
from types import ModuleType

from lightsweep.errors import UsageError

__all__ = ["required"]

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def required(module: str) -> ModuleType:
    """A module of the extra ``analysis``, imported.

    Args:
        module: Its dotted name, such as ``"sklearn.ensemble"``.

    Raises:
        UsageError: It is not installed; the message has the command that installs it.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        name = _DISTRIBUTIONS.get(package, package)
        raise UsageError(
            f"this needs {name}, which is not installed; install it with: pip install 'lightsweep[analysis]'"
        ) from None
