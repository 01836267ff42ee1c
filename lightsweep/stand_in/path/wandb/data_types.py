"""The classes of media and tables."""

from functools import partial

from lightsweep.wandb.sdk import data_types

__getattr__ = partial(getattr, data_types)
