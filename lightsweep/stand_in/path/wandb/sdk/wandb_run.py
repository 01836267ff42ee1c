"""The class of runs."""

from lightsweep.client import Run

__all__ = ["Run"]
