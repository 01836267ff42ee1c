"""The older place of the callbacks for this trainer."""

from lightsweep.wandb.integration.xgboost import WandbCallback, wandb_callback

__all__ = ["WandbCallback", "wandb_callback"]
