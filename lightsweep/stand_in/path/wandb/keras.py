"""The older place of W&B's callbacks for this trainer."""

from lightsweep.wandb.integration.keras import *  # noqa: F403
