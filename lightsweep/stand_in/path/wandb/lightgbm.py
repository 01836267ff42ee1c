"""The older place of the callbacks for this trainer."""

from lightsweep.wandb.integration.lightgbm import log_summary, wandb_callback

__all__ = ["log_summary", "wandb_callback"]
