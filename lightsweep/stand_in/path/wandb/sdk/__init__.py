"""The classes that scripts name in annotations."""

from wandb.sdk import lib, wandb_config, wandb_run

__all__ = ["lib", "wandb_config", "wandb_run"]
