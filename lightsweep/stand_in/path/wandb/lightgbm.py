"""The older place of W&B's callbacks for this trainer."""

from lightsweep.wandb.integration.lightgbm import *  # noqa: F403
