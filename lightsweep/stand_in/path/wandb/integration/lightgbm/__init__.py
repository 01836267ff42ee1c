"""Callbacks of the stand-in for this trainer, which report to the sweep."""

from lightsweep.wandb.integration.lightgbm import log_summary, wandb_callback

__all__ = ["log_summary", "wandb_callback"]
