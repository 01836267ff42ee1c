"""W&B's callbacks for this trainer, which report to the sweep."""

from lightsweep.wandb.integration.xgboost import *  # noqa: F403
