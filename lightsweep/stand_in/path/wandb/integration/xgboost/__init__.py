"""Callbacks of the stand-in for this trainer, which report to the sweep."""

from lightsweep.wandb.integration.xgboost import WandbCallback, wandb_callback

__all__ = ["WandbCallback", "wandb_callback"]
