"""W&B's callbacks for trainers, which report to the sweep."""

from lightsweep.wandb.integration import __getattr__  # noqa: F401
