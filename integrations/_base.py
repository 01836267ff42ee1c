"""What the callbacks of all trainers share: how they end a training, and their errors."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args

import lightsweep
from lightsweep.errors import InputError, UsageError, closest

if TYPE_CHECKING:
    from lightsweep.client import Run

__all__ = ["MetricMissingError", "OnPrune", "active_run", "check_on_prune", "missing_metric", "two_callbacks"]


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


OnPrune = Literal["raise", "stop"]


class MetricMissingError(InputError):
    """The trainer does not log the metric of the sweep; the message lists what it does log."""


def check_on_prune(value: str) -> None:
    """Raise ``UsageError`` unless ``value`` is a way to end a training."""
    known = get_args(OnPrune)
    if value not in known:
        raise UsageError(f"SweepCallback(on_prune=...) is 'raise' or 'stop', not {value!r}{closest(str(value), known)}")


def missing_metric(name: str, logged: Iterable[str], remedy: str, like: str | None = None) -> MetricMissingError:
    """The error for a metric that is not among those logged.

    Args:
        name: The metric.
        logged: What the trainer has logged.
        remedy: How to log it, in the trainer's own words.
        like: What to look for among ``logged``, where that is not ``name`` itself.
    """
    names = sorted(logged)
    return MetricMissingError(
        f"the trainer has not logged the metric {name!r}{closest(like or name, names)}; it has logged "
        f"{', '.join(map(repr, names)) or 'no metric at all'}. {remedy}, or name another one in "
        "SweepCallback(metric=...)"
    )


def two_callbacks(what: str) -> UsageError:
    """The error for a trainer that would report each ``what`` twice."""
    return UsageError(f"the trainer has two SweepCallbacks, so each {what} would count twice: remove one")
