"""The attributes under which a sweep keeps its own data beside Optuna's."""

from __future__ import annotations

from typing import Any

__all__ = ["ATTEMPT", "CONFIG", "FORMAT", "STATE", "STATES", "SUMMARY", "SWEEP", "VALUES", "attempt_of"]

SWEEP = "lightsweep:sweep"
"""Study attribute: format, config as written, seed, source, time of creation."""

STATE = "lightsweep:state"
"""Study attribute: what the user asked for, ``running``, ``paused``, ``stopped`` or ``cancelled``."""

STATES = ("running", "paused", "stopped", "cancelled")
"""Values of ``STATE``."""

ATTEMPT = "lightsweep:attempt"
"""Trial attribute, from the trial's first moment: kind, agent, and of a retry its run.

An agent adds the number that it expects for the trial: with another number the trial is void, since another agent was
faster. Kinds: ``fresh``, ``retry``; ``update``, which is no run but the point from which another config holds;
``prior``, a run of another sweep.
"""

CONFIG = "lightsweep:config"
"""Trial attribute of an ``update``: the config as written."""

SUMMARY = "lightsweep:summary"
"""Trial attribute, written when the trial ends: state, reason, metrics, unread parameters."""

VALUES = "lightsweep:values"
"""Trial attribute, flat values in JSON: claims the point while others propose, and keeps what no config declares."""

FORMAT = 1
"""Version of what the attributes hold."""


def attempt_of(found: Any, number: int) -> dict[str, Any] | None:
    """Return the value of ``ATTEMPT`` if it is one; ``None`` for what another program wrote there, or nothing.

    Args:
        found: The attribute of a trial.
        number: The trial's number. If the attempt was claimed as another one, its kind is ``void``.
    """
    if not isinstance(found, dict):
        return None
    if found.get("number", number) != number:
        return {"kind": "void"}
    kind = found.get("kind")
    if kind == "retry":
        proper = isinstance(found.get("run"), str) and isinstance(found.get("attempt"), int)
    elif kind == "fresh" and "stage" in found:
        proper = isinstance(found["stage"], int) and {"limit", "base"} <= found.keys()
    else:
        proper = kind in {"fresh", "update", "prior"}
    return found if proper else None
