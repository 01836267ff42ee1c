"""Callbacks of the stand-in for this trainer, which report to the sweep."""

from lightsweep.wandb.integration.catboost import WandbCallback, log_summary

__all__ = ["WandbCallback", "log_summary"]
