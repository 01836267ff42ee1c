"""The class of settings."""

from lightsweep.wandb.sdk import Settings

__all__ = ["Settings"]
