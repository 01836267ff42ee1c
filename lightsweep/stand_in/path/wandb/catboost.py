"""The older place of the callbacks for this trainer."""

from lightsweep.wandb.integration.catboost import WandbCallback, log_summary

__all__ = ["WandbCallback", "log_summary"]
