"""The one number that a run counts with, for the sweep's metric or any other that was logged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lightsweep.analysis.words import counted
from lightsweep.controller import SweepRun
from lightsweep.errors import UsageError, closest
from lightsweep.schema import SweepConfig

__all__ = ["COUNTED", "Goal", "Scores", "scores"]

COUNTED = ("finished", "pruned")
"""States of the runs that count: what the metric made of them is known, and nothing else ended them."""

Goal = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Scores:
    """The runs that count, and what each counts with.

    Attributes:
        metric: The metric's name.
        goal: ``None`` for a metric that the sweep does not improve.
        runs: The runs that count.
        values: A finite number for each of them.
        notes: What was left out, and how the runs that were stopped early count.
    """

    metric: str
    goal: Goal | None
    runs: tuple[SweepRun, ...]
    values: tuple[float, ...]
    notes: tuple[str, ...]


def scores(runs: Sequence[SweepRun], config: SweepConfig, metric: str | None = None, at: int | None = None) -> Scores:
    """What the finished runs, and those that were stopped early, count with.

    A prior run counts where it really had each parameter that the sweep searches: what the sampler takes for one that
    it lacked was made up. Its values of what the sweep does not search may have been others. Of its history only the
    best is known, so that it does not count with ``at``.

    For a metric that the sweep improves that is the best finite value of the run, also where the run was stopped
    early: the value that the sampler learns from. It is of a shorter training then, so that a stopped run looks worse
    than it would have become; ``at`` compares equal trainings instead. For any other metric it is the last value.

    Args:
        runs: The runs of one sweep.
        config: Its config.
        metric: The sweep's own by default.
        at: Compare the best of the first ``at`` iterations, and leave out the runs with fewer; for the sweep's first
            metric only, since of others no history is kept.

    Raises:
        UsageError: No metric is named and the sweep has none; no run has logged it; ``at`` is below 1, or given for
            another metric.
    """
    own = config.metric
    name = metric if metric is not None else own.name if own else None
    known = {other for run in runs for other in run.metrics}
    if name is None:
        raise UsageError(f"the sweep has no metric, so name one of those that were logged: {_listed(known)}")
    meant = next((each for each in config.metrics if each.name == name), None)
    if meant is None and name not in known:
        raise UsageError(f"no run has logged {name!r}{closest(name, known) or f'; there are: {_listed(known)}'}")
    is_own = own is not None and name == own.name
    if at is not None and at < 1:
        raise UsageError(f"runs are compared at an iteration from 1 on, not {at}")
    if at is not None and not is_own:
        raise UsageError(f"of {name!r} no history is kept, so runs cannot be compared at an iteration; leave out at")
    goal: Goal | None = meant.goal if meant else None
    names = {parameter.name for parameter in config.space.searched}
    usable = [run for run in runs if not run.prior or (at is None and names <= set(run.values))]
    ended = [run for run in usable if run.state in COUNTED]
    notes = _left_out(usable)
    if lacking := len(runs) - len(usable):
        why = "whose history is not known" if at is not None else "without a value of each searched parameter"
        notes.append(f"left out: {counted(lacking, 'prior run')} {why}")
    if at is not None:
        short = sum(len(run.history) < at for run in ended)
        ended = [run for run in ended if len(run.history) >= at]
        if short:
            notes.append(f"left out for having fewer than {counted(at, 'iteration')}: {counted(short, 'run')}")
    found = [(run, _value(run, name, goal, is_own, at)) for run in ended]
    valued = [(run, value) for run, value in found if value is not None]
    if len(valued) < len(found):
        notes.append(f"left out for having no finite {name}: {counted(len(found) - len(valued), 'run')}")
    stopped = sum(run.state == "pruned" for run, _ in valued)
    if stopped and at is None:
        way = "with the best value until then" if goal else "with the last value until then"
        one = stopped == 1
        notes.append(
            f"{stopped} of the {counted(len(valued), 'run')} {'was' if one else 'were'} stopped early and "
            f"{'counts' if one else 'count'} {way}"
        )
    if begun_with := sum(run.prior for run, _ in valued):
        notes.append(
            f"{begun_with} of the {counted(len(valued), 'run')} {'is a' if begun_with == 1 else 'are'} "
            f"prior run{'' if begun_with == 1 else 's'}"
        )
    return Scores(name, goal, tuple(run for run, _ in valued), tuple(float(value) for _, value in valued), tuple(notes))


def _value(run: SweepRun, name: str, goal: Goal | None, is_own: bool, at: int | None) -> float | None:
    if is_own and goal:
        history = run.history if at is None else run.history[:at]
        if history:
            return min(history) if goal == "minimize" else max(history)
        return run.best
    stats = run.metrics.get(name, {})
    value = stats.get("last" if goal is None else "min" if goal == "minimize" else "max")
    return value if value is not None and math.isfinite(value) else None


def _left_out(runs: Sequence[SweepRun]) -> list[str]:
    counts = Counter(run.standing for run in runs if run.state not in COUNTED)
    if not counts:
        return []
    words = {
        "running": "that still {}",
        "waiting": "that {} to be started again",
        "failed": "that failed",
        "killed": "that {} killed",
    }
    parts = []
    for state, text in words.items():
        if count := counts[state]:
            one = count == 1
            verb = {
                "running": "runs" if one else "run",
                "waiting": "waits" if one else "wait",
                "killed": "was" if one else "were",
            }.get(state, "")
            parts.append(f"{counted(count, 'run')} {text.format(verb)}")
    return [f"left out: {', '.join(parts)}"]


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:20]
    return ", ".join(map(repr, shown)) + (", ..." if len(names) > len(shown) else "") if shown else "none yet"
