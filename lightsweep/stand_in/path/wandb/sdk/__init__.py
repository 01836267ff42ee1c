"""The classes that scripts name in annotations."""

from lightsweep.wandb.sdk import Config, Settings
from wandb.sdk import lib, wandb_config, wandb_run, wandb_settings, wandb_summary

__all__ = ["Config", "Settings", "lib", "wandb_config", "wandb_run", "wandb_settings", "wandb_summary"]
