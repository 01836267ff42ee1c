"""The older place of W&B's callbacks for this trainer."""

from lightsweep.wandb.integration.xgboost import *  # noqa: F403
