"""The class of a run's summary."""

from lightsweep.wandb.summary import Summary

__all__ = ["Summary"]
