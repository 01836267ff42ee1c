"""Tables that the report draws."""

from functools import partial

from lightsweep.wandb import plot

__getattr__ = partial(getattr, plot)
