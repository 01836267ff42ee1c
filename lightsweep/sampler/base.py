"""The interface of a searcher, which gets the runs so far and returns the next one, and its use for a subspace."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from lightsweep.schema import Metric
from lightsweep.space import Space, Value, identity
from lightsweep.stopping import StoppedEnd

# The first tickets are drawn by ticket, so that agents that start together get different points.
STARTUP = 10


class RunState(str, Enum):
    """The state of a run; each equals its text, ``RunState.RUNNING == "running"``."""

    RUNNING = "running"
    STOPPING = "stopping"
    """Shown by a live view: the run was told to stop."""
    WAITING = "waiting"
    """Shown instead of failed or killed if an agent is to retry the run."""
    FINISHED = "finished"
    PRUNED = "pruned"
    FAILED = "failed"
    KILLED = "killed"
    LOST = "lost"
    """The end of an attempt whose agent disappeared, or that was preempted: the run is retried."""

    __str__ = str.__str__


@dataclass(frozen=True)
class Observation:
    """One run as a searcher sees it.

    Attributes:
        key: The run's id.
        ticket: The ticket of the run; ``None`` for a prior run.
        values: The run's parameters, flat, under their dotted names.
        state: The state of the run.
        objectives: The best finite value of a single metric, the last of each of several; ``None``
            if the run logged nothing finite.
        last: The last finite value of each metric; ``objectives`` if ``None``.
        version: Changes with ``state`` or ``objectives``, so that cached work for the run is redone.
        excess: How far the run is beyond the bound of each constraint: 0 or less if it keeps it, infinite if it has
            finished without the number, ``None`` if that is not known.
        end: How a run that was stopped early would have ended; ``None`` of other runs, and if that is not predicted.
            The Gaussian process for one metric takes it in place of ``objectives``.
    """

    key: str
    ticket: int | None
    values: Mapping[str, Value]
    state: RunState
    objectives: tuple[float, ...] | None = None
    last: tuple[float, ...] | None = None
    version: int = 0
    excess: tuple[float | None, ...] = ()
    end: StoppedEnd | None = None


@dataclass(frozen=True)
class SearchTask:
    """The search that a sampler of the registry is made for.

    Attributes:
        space: The parameters.
        metrics: The metrics by which runs are compared; several make a multi-objective study.
        seed: The seed of all random numbers, any integer.
        startup: The number of first tickets that are drawn by ticket alone.
    """

    space: Space
    metrics: Sequence[Metric]
    seed: int
    startup: int = STARTUP


class Searcher(Protocol):
    """Suggest the parameters of runs."""

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        """Return flat parameters for ``ticket`` (0, 1, 2, ...), which follow from config, seed, ticket and ``history``.

        ``None`` if the space is exhausted: each of its points belongs to an earlier ticket or is in ``history``.
        """


class SubspaceSearcher:
    """Suggest each point of a subspace at most once, for tickets counted from 0.

    Runs with the same fixed values are as good as its own, so bayes learns from them.

    Args:
        space: All parameters of the sweep.
        subspace: Those that are searched.
        inner: Suggests their values.
        fixed: The values of the others.
        taken: Indices of the points to leave out, see :func:`taken_before`; empty for a searcher such as bayes, which
            leaves out the points of all runs that it learns from.
    """

    def __init__(
        self,
        space: Space,
        subspace: Space,
        inner: Searcher,
        fixed: Mapping[str, Value],
        taken: Collection[int] = (),
    ) -> None:
        self._space = space
        self._subspace = subspace
        self._inner = inner
        self._fixed = fixed
        self._point = _identities(fixed)
        self._taken = frozenset(taken)
        self._alike: dict[str, bool] = {}
        self._asked = 0
        self._free: list[dict[str, Value]] = []

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        """Return all parameters of the run for ``ticket``; ``None`` if no point is left.

        Args:
            ticket: Counted from the first one of the subspace.
            history: The runs of the sweep; those of other parts have no ticket.
        """
        if self._taken:
            found = self._next_free(ticket)
        else:
            found = self._inner.suggest(ticket, [each for each in history if self._is_alike(each)])
        if found is None:
            return None
        values = {**self._fixed, **found}
        return {each.name: values[each.name] for each in self._space.parameters if each.name in values}

    def _is_alike(self, observation: Observation) -> bool:
        if observation.key not in self._alike:
            self._alike[observation.key] = _has(observation.values, self._point)
        return self._alike[observation.key]

    def _next_free(self, ticket: int) -> dict[str, Value] | None:
        """Return the ``ticket``-th of the points that no earlier run had."""
        while len(self._free) <= ticket:
            values = self._inner.suggest(self._asked, ())
            if values is None:
                return None
            self._asked += 1
            if self._subspace.index(values) not in self._taken:
                self._free.append(values)
        return self._free[ticket]


def taken_before(subspace: Space, fixed: Mapping[str, Value], runs: Iterable[Mapping[str, Value]]) -> set[int]:
    """Return the indices of the points of a subspace that runs had; none if the subspace is not finite.

    Args:
        subspace: The parameters that are searched.
        fixed: The values of the others.
        runs: The parameters of the runs.
    """
    if subspace.size is None:
        return set()
    point = _identities(fixed)
    names = [parameter.name for parameter in subspace.parameters]
    return {subspace.index({name: values[name] for name in names}) for values in runs if _has(values, point)}


def _identities(values: Mapping[str, Value]) -> dict[str, Hashable]:
    return {name: identity(value) for name, value in values.items()}


def _has(values: Mapping[str, Value], point: Mapping[str, Hashable]) -> bool:
    return all(name in values and identity(values[name]) == one for name, one in point.items())
