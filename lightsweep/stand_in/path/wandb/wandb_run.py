"""The class of runs, where older versions have it."""

from lightsweep.client import Run

__all__ = ["Run"]
