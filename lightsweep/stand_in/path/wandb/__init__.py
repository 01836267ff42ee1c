"""lightsweep in place of the package of this name: the same names, for sweeps on your own machines.

Nothing is sent anywhere. `lightsweep.stand_in` puts this folder in front of the path of a run's processes.
"""

import sys
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec

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


class _Loader:
    """Makes a module whose names are those of lightsweep's."""

    @staticmethod
    def create_module(_):
        """Leave it to Python."""

    @staticmethod
    def exec_module(module):
        """Find each name at its use."""
        ours = import_module("lightsweep.wandb").module_behind(module.__name__.removeprefix("wandb."))
        module.__getattr__ = partial(getattr, ours)
        module.__doc__ = ours.__doc__
        if module.__name__ == "wandb.sdk":
            sys.modules.update({f"wandb.sdk.{name}": below for name, below in ours.MODULES.items()})


class _Finder:
    """Finds the modules below this one, which have no files; the last one that Python asks."""

    @staticmethod
    def find_spec(name, *_):
        """Return the specification of a module, or say what to do without it."""
        if not name.startswith("wandb.") or name.rpartition(".")[0] not in sys.modules:
            return None
        names = import_module("lightsweep.wandb")
        if name.removeprefix("wandb.") in names.MODULES:
            return ModuleSpec(name, _Loader, origin=__file__, is_package=True)
        raise ModuleNotFoundError(names.missing_module(name), name=name)


sys.meta_path.append(_Finder)
