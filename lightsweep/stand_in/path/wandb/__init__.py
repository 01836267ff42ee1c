"""lightsweep in place of the package of this name: the same names, for sweeps on your own machines.

Nothing is sent anywhere. `lightsweep.stand_in` puts this folder in front of the path of a run's processes.
"""

import sys
from importlib import import_module

try:
    import lightsweep
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "in this run lightsweep stands in for wandb, but this Python has no lightsweep: install lightsweep in it, or "
        "leave out --stand-in"
    ) from error

__version__ = "0.31.0"  # as in the metadata beside this folder

_MODULES = frozenset(
    ["apis", "data_types", "env", "errors", "integration", "plot", "sdk", "sklearn", "util", "wandb_run"]
)
_OF_THE_MOMENT = frozenset({"config", "run", "summary"})


def __getattr__(name):
    if name in _MODULES:
        return import_module(f"wandb.{name}")
    value = getattr(lightsweep, name)
    if name not in _OF_THE_MOMENT:
        globals()[name] = value
    return value


def __dir__():
    return sorted({"__version__", *_MODULES, *dir(lightsweep)})


class _Finder:
    """Says of a module of W&B that is not found here what to do; the last one that Python asks."""

    @staticmethod
    def find_spec(name, *_):
        """Refuse a module below this one."""
        if name.startswith("wandb.") and name.rpartition(".")[0] in sys.modules:
            raise ModuleNotFoundError(import_module("lightsweep.wandb").missing_module(name), name=name)


sys.meta_path.append(_Finder)
