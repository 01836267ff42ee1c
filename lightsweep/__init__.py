"""Hyperparameter sweeps that you own.

Every name is resolved at its first use, so that ``import lightsweep`` in a training script costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightsweep.agents.api import agent
    from lightsweep.client import Run, RunConfig, finish, init, log
    from lightsweep.client.current import alert, define_metric, login, save, unwatch, watch
    from lightsweep.controller import sweep
    from lightsweep.errors import (
        AgentLostError,
        CommandError,
        ConfigError,
        Fault,
        InputError,
        LightsweepError,
        NotFoundError,
        RunPruned,
        StorageError,
        StorageUnavailableError,
        UsageError,
    )
    from lightsweep.results import Sweep
    from lightsweep.schema import SweepConfig

    __version__: str
    config: RunConfig
    run: Run | None

__all__ = [
    "AgentLostError",
    "CommandError",
    "ConfigError",
    "Fault",
    "InputError",
    "LightsweepError",
    "NotFoundError",
    "Run",
    "RunConfig",
    "RunPruned",
    "StorageError",
    "StorageUnavailableError",
    "Sweep",
    "SweepConfig",
    "UsageError",
    "__version__",
    "agent",
    "alert",
    "config",
    "define_metric",
    "finish",
    "init",
    "log",
    "login",
    "run",
    "save",
    "sweep",
    "unwatch",
    "watch",
]

_HOMES = {
    "lightsweep.agents.api": ("agent",),
    "lightsweep.client": ("Run", "RunConfig", "finish", "init", "log"),
    "lightsweep.client.current": ("alert", "define_metric", "login", "save", "unwatch", "watch"),
    "lightsweep.controller": ("sweep",),
    "lightsweep.results": ("Sweep",),
    "lightsweep.schema": ("SweepConfig",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}  # the other names are exceptions


def __getattr__(name: str) -> Any:
    if name in ("run", "config"):  # another one after every init() and finish(), so never kept
        current = importlib.import_module("lightsweep.client.current")
        return current.current_run() if name == "run" else current.current_config()
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("lightsweep")
    if name in __all__:
        value = globals()[name] = getattr(importlib.import_module(_HOME_OF.get(name, "lightsweep.errors")), name)
        return value
    if name.startswith("_"):
        raise AttributeError(f"module 'lightsweep' has no attribute {name!r}")
    wandb = importlib.import_module("lightsweep.wandb")
    if name in wandb.NAMES:
        return wandb.find(name)
    raise AttributeError(importlib.import_module("lightsweep.errors").absent("lightsweep", name, __all__))


def __dir__() -> list[str]:
    return sorted(__all__)
