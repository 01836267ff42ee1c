"""W&B's callbacks for this trainer, which report to the sweep."""

from lightsweep.wandb.integration.keras import *  # noqa: F403
