"""The class of runs that do nothing, of which there are none here: trainers ask whether a run is one."""

__all__ = ["RunDisabled", "SummaryDisabled"]


class RunDisabled:
    """No run is one."""


class SummaryDisabled(dict):
    """No summary is one."""
