"""Callbacks of the stand-in for this trainer, which report to the sweep."""

from lightsweep.wandb.integration.sb3 import WandbCallback

__all__ = ["WandbCallback"]
