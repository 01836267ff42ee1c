"""Parts of W&B that trainers look for."""

from wandb.sdk.lib import config_util
from wandb.sdk.lib.disabled import RunDisabled

__all__ = ["RunDisabled", "config_util"]
