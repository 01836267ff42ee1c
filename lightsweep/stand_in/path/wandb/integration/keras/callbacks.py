"""W&B's callbacks for Keras, where W&B has them too."""

from lightsweep.wandb.integration.keras import *  # noqa: F403
