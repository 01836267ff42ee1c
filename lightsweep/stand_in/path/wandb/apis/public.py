"""The access to sweeps and runs, from the storage."""

from functools import partial

from lightsweep.wandb import api

__getattr__ = partial(getattr, api)
