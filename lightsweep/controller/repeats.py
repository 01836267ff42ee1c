"""Repeats: runs with the same values and different seeds form a group, which is scored by the mean.

The first run of a group gets new values; the trial of every run holds its group. A group gets its next repeat once the
repeats before have ended, unless it has no chance to be the best any more. All of it follows from the trials.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lightsweep.controller.ranking import GroupScore, scores
from lightsweep.controller.runs import Repeat, RunEntry, breaks, run_id, values_of, wants_retry
from lightsweep.sampler import RunState
from lightsweep.sampler.fixed_order import seed_for
from lightsweep.schema import SweepConfig
from lightsweep.text import counted, number

DEVIATIONS = 2.0
"""A group is skipped if it would stay behind although its next repeats were so many deviations below its best."""

LEAST_DEGREES = 2
"""The deviation of repeats is known from so many degrees of freedom on."""


@dataclass(frozen=True)
class Group:
    """The repeats of one choice of values.

    Attributes:
        runs: Its runs, in the order of their repeats; at least one.
        score: Its score; ``None`` before a run has ended with a value.
        open: Whether a run is running or waits for a retry.
        closed: Whether one was stopped early, has failed or breaks a constraint, which ends the group.
        skipped: Why it gets no further repeat, or is not the best, with the numbers; empty if it may get one.
    """

    runs: tuple[RunEntry, ...]
    score: GroupScore | None
    open: bool
    closed: bool
    skipped: str = ""

    @property
    def id(self) -> str:
        """The id of its first run."""
        return self.runs[0].id

    @property
    def state(self) -> str:
        """``running``, ``complete``, ``skipped``, ``ended`` without all repeats, or ``waiting`` for its next repeat."""
        complete = self.score is not None and self.score.complete
        ended = "ended" if self.closed else "complete" if complete else "skipped" if self.skipped else "waiting"
        return "running" if self.open else ended

    def document(self, config: SweepConfig) -> dict[str, Any]:
        """Return the group as plain values, infinities included."""
        score = self.score
        return {
            "group": self.id,
            "state": self.state,
            "mean": score.mean if score else None,
            "deviation": score.deviation if score else None,
            "count": len(score.values) if score else 0,
            "runs": [run.id for run in self.runs],
            "skipped": self.skipped,
            "config": values_of(self.runs[0], config) or {},
        }


def groups(entries: Iterable[RunEntry], config: SweepConfig) -> list[Group]:
    """Return the groups, in the order of their first runs; none without repeats."""
    found: dict[str, list[RunEntry]] = {}
    for entry in entries:
        if entry.repeat is not None:
            found.setdefault(entry.repeat.group, []).append(entry)
    scored = scores([entry for runs in found.values() for entry in runs], config)
    made = []
    for name, runs in found.items():
        is_open = [entry.running or wants_retry(entry, config) for entry in runs]
        over = [entry for entry, still in zip(runs, is_open, strict=True) if not still]
        broken = [f"run {entry.id} breaks {' and '.join(each)}" for entry in over if (each := breaks(entry, config))]
        closed = bool(broken) or any(entry.state != RunState.FINISHED for entry in over)
        made.append(Group(tuple(runs), scored.get(name), any(is_open), closed, "".join(broken[:1])))
    spread, best = _deviation(made), _best_mean(made, config)
    return [replace(each, skipped=each.skipped or _hopeless(each, config, spread, best)) for each in made]


def _deviation(made: Sequence[Group]) -> float | None:
    """Return the standard deviation of repeats, pooled over all groups; ``None`` while too few are known."""
    several = [each.score.values for each in made if each.score is not None and len(each.score.values) > 1]
    degrees = sum(len(values) - 1 for values in several)
    squares = sum(statistics.variance(values) * (len(values) - 1) for values in several)
    return math.sqrt(squares / degrees) if degrees >= LEAST_DEGREES else None


def _best_mean(made: Sequence[Group], config: SweepConfig) -> float | None:
    means = [each.score.mean for each in made if each.score is not None and each.state == "complete"]
    better = max if config.metric is not None and config.metric.goal == "maximize" else min
    return better(means, default=None)


def _hopeless(group: Group, config: SweepConfig, spread: float | None, best: float | None) -> str:
    """Return why the group has no chance to be the best; empty if it has one, or has no repeat left."""
    score, metric = group.score, config.metric
    if score is None or metric is None or spread is None or best is None or group.closed:
        return ""
    left = config.repeats - len(score.values)
    if left <= 0:
        return ""
    sign = 1 if metric.goal == "minimize" else -1
    hoped = sign * min(sign * value for value in score.values) - sign * DEVIATIONS * spread
    mean = (sum(score.values) + left * hoped) / config.repeats
    if sign * (mean - best) <= 0:
        return ""
    beyond = "less" if sign > 0 else "plus"
    return (
        f"{counted(left, 'repeat')} skipped: even with {number(hoped)} in each (its best {beyond} {DEVIATIONS:g} "
        f"deviations of {number(spread)}), the mean would be {number(mean)}, behind the best {number(best)}"
    )


@dataclass(frozen=True)
class NextRepeat:
    """The next run of a sweep with repeats.

    Attributes:
        repeat: Its place; ``None`` if no run is left.
        wait: The reason to wait for it; empty if it can start.
    """

    repeat: Repeat | None = None
    wait: str = ""


def next_repeat(
    entries: Sequence[RunEntry], config: SweepConfig, seed: int, tickets: int, size: int | None
) -> NextRepeat:
    """Return the next run: a repeat of a group without a running one, else a new group, else any repeat that is left.

    No new group begins if the cap is then too small for all repeats.

    Args:
        entries: Every run, by id.
        config: The config, with repeats.
        seed: The seed of the sweep.
        tickets: The number of tickets drawn so far.
        size: The number of points; ``None`` for no limit.
    """
    count, cap, known = config.repeats, config.run_cap, groups(entries, config)
    if cap is not None and tickets >= cap:
        return NextRepeat()
    live = [each for each in known if len(each.runs) < count and not each.closed and not each.skipped]
    owed = sum(count - len(each.runs) for each in live)
    point = len(known)
    fresh = (size is None or point < size) and (cap is None or cap - tickets > owed)
    chosen = next((each for each in live if not each.open), None)
    if chosen is None and fresh:
        return NextRepeat(Repeat(point, 1, repeat_seed(seed, 1), run_id(tickets)))
    valued = (each for each in live if values_of(each.runs[0], config) is not None)
    chosen = chosen or next(valued, None)
    if chosen is None:
        return NextRepeat(wait="the next run is a repeat of one that has no values yet" if live else "")
    first, following = chosen.runs[0].repeat, len(chosen.runs) + 1
    assert first is not None
    return NextRepeat(Repeat(first.point, following, repeat_seed(seed, following), first.group))


def repeat_seed(seed: int, number: int) -> int:
    """Return the seed of a repeat, the same in all groups, so that groups are compared under the same seeds.

    Args:
        seed: The seed of the sweep.
        number: The repeat, from 1.

    Returns:
        A whole number from 0 to 2^31 - 1, which all libraries take.
    """
    return seed_for(seed, 7, number) % 2**31
