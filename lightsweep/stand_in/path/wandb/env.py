"""Names of variables, and functions that set them: both are for the service alone."""

from functools import partial

from lightsweep.wandb.sdk import env

__all__ = ["set_entity", "set_project"]

__getattr__ = partial(getattr, env)


def set_entity(value, env=None):
    """Do nothing."""


def set_project(value, env=None):
    """Do nothing."""
