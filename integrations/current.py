"""The run that a callback reports to."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

import lightsweep

if TYPE_CHECKING:
    from lightsweep.client import Run

__all__ = ["active_run"]


def active_run(given: Run | None, *, speak: bool = True) -> Run | None:
    """The given run, or the current one, or one begun here; ``None`` where no agent serves it, which is said once.

    Every rank has the run, so that each ends with one line when the run is stopped or the agent is gone.

    Args:
        given: A run that the user passed.
        speak: Whether this is the rank that says so.
    """
    known = given if given is not None else lightsweep.run
    run = lightsweep.init() if known is None else known
    if run.active:
        return run
    if known is None:
        run.finish()
    if speak:
        _say_inactive()
    return None


@cache
def _say_inactive() -> None:
    print("lightsweep: no agent serves this process, so SweepCallback reports to nobody", file=sys.stderr)
