"""The attributes under which a sweep keeps its own data beside Optuna's."""

from __future__ import annotations

__all__ = ["ATTEMPT", "CONFIG", "FORMAT", "STATE", "SUMMARY", "SWEEP", "VALUES"]

SWEEP = "lightsweep:sweep"
"""Study attribute: format, config as written, seed, source, time of creation."""

STATE = "lightsweep:state"
"""Study attribute: what the user asked for, ``running``, ``paused``, ``stopped`` or ``cancelled``."""

ATTEMPT = "lightsweep:attempt"
"""Trial attribute, from the trial's first moment: kind, agent, and of a retry its run.

Kinds: ``fresh``, ``retry``; ``update``, which is no run but the point from which another config holds; ``prior``, a run
of another sweep.
"""

CONFIG = "lightsweep:config"
"""Trial attribute of an ``update``: the config as written."""

SUMMARY = "lightsweep:summary"
"""Trial attribute, written when the trial ends: state, reason, metrics, unread parameters."""

VALUES = "lightsweep:values"
"""Trial attribute, flat values in JSON: claims the point while others propose, and keeps what no config declares."""

FORMAT = 1
"""Version of what the attributes hold."""
