"""The class of a run's config."""

from lightsweep.client import RunConfig as Config

__all__ = ["Config"]
