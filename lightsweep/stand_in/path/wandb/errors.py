"""The errors that scripts catch."""

from functools import partial

from lightsweep.wandb.sdk import errors

__getattr__ = partial(getattr, errors)
