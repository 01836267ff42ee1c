"""What a training script holds. Standard library only, so that a script pays next to nothing for it."""

from __future__ import annotations

from lightsweep.client.current import current_config, current_run, finish, log, serving
from lightsweep.client.initialise import init
from lightsweep.client.ranks import rank
from lightsweep.client.session import Decision, Run
from lightsweep.client.settings import RunConfig

__all__ = [
    "Decision",
    "Run",
    "RunConfig",
    "current_config",
    "current_run",
    "finish",
    "init",
    "log",
    "rank",
    "serving",
]
