"""The score of runs with the same values and different seeds: their mean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from lightsweep.sampler import RunState
from lightsweep.schema import SweepConfig
from lightsweep.text import counted, number


@dataclass(frozen=True)
class Repeat:
    """The place of a run among its repeats; kept in the trial.

    Attributes:
        point: The position of its values in the sequence of points, from 0.
        repeat: Which repeat it is, from 1.
        seed: The seed that its script gets.
        group: The id of the first run with these values.
    """

    point: int
    repeat: int
    seed: int
    group: str

    @classmethod
    def of(cls, attempt: Mapping[str, Any]) -> Repeat | None:
        """Return the repeat that a trial's ``ATTEMPT`` holds; ``None`` if it holds none."""
        point, repeat, seed, group = (attempt.get(name) for name in ("point", "repeat", "seed", "group"))
        if isinstance(point, int) and isinstance(repeat, int) and isinstance(seed, int) and isinstance(group, str):
            return cls(point, repeat, seed, group)
        return None

    def document(self) -> dict[str, Any]:
        """Return the content of ``ATTEMPT``."""
        return asdict(self)


@dataclass(frozen=True)
class GroupScore:
    """The score of a group.

    Attributes:
        values: The best value of each finished run; of runs that were stopped early if none has finished.
        complete: Whether all repeats have finished.
    """

    values: tuple[float, ...]
    complete: bool

    @property
    def mean(self) -> float:
        """The score."""
        return math.fsum(self.values) / len(self.values)

    @property
    def deviation(self) -> float | None:
        """The standard deviation between repeats (n - 1 in the denominator); ``None`` for one value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.2g}"
        return f"{number(self.mean)}{spread} ({counted(len(self.values), 'run')})"


class Scored(Protocol):
    """A run: an entry, or a run for users."""

    @property
    def state(self) -> RunState:
        """Its state."""

    @property
    def best(self) -> float | None:
        """Its best value."""

    @property
    def repeat(self) -> Repeat | None:
        """Its place among the repeats."""


_R = TypeVar("_R", bound=Scored)


def scores(runs: Iterable[Scored], config: SweepConfig) -> dict[str, GroupScore]:
    """Return the score of each group that has one, by its id; in the order of the first runs."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for run in runs:
        if run.repeat is not None and run.best is not None and run.state in _WITH_RESULT:
            finished, stopped = found.setdefault(run.repeat.group, ([], []))
            (finished if run.state == RunState.FINISHED else stopped).append(run.best)
    return {
        group: GroupScore(tuple(finished or stopped), len(finished) >= config.repeats)
        for group, (finished, stopped) in found.items()
    }


_WITH_RESULT = (RunState.FINISHED, RunState.PRUNED)


def best_group(runs: Sequence[_R], config: SweepConfig) -> list[_R]:
    """Return the finished runs of the group with the best mean; empty if no group has a score.

    Groups with all repeats come first; others count only without such groups. Of equal groups the earliest is the best.
    """
    sign = -1 if config.metric is not None and config.metric.goal == "maximize" else 1
    found = scores(runs, config)
    if not found:
        return []
    best = min(found, key=lambda group: (not found[group].complete, sign * found[group].mean))
    own = [run for run in runs if run.repeat is not None and run.repeat.group == best]
    return [run for run in own if run.state == RunState.FINISHED] or own


def with_seed(values: Mapping[str, Any], repeat: Repeat | None, config: SweepConfig) -> dict[str, Any]:
    """Return the values of a run with its seed; unchanged for a run without repeats."""
    repeats = config.options.repeats
    return dict(values) if repeat is None or repeats is None else {**values, repeats.seed: repeat.seed}
