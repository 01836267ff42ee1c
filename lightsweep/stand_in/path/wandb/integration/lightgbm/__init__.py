"""W&B's callbacks for this trainer, which report to the sweep."""

from lightsweep.wandb.integration.lightgbm import *  # noqa: F403
