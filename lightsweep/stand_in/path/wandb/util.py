"""The small functions that scripts use."""

from functools import partial

from lightsweep.wandb.sdk import util

__getattr__ = partial(getattr, util)
