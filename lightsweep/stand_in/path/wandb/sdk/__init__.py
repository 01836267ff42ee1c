"""The classes that scripts name in annotations."""

from wandb.sdk import lib, wandb_config, wandb_run, wandb_settings

__all__ = ["lib", "wandb_config", "wandb_run", "wandb_settings"]
