"""Decide what comes next in a sweep: the config in force, its parts, the next fresh run, the end, and the state.

A flat sweep is one part. A sweep with stages has one part for each stage that has begun. All of it follows from the
sequence of trials, so every agent decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from lightsweep.controller.ranking import Point, best_run, costs, joined, values_on_front
from lightsweep.controller.repeats import next_repeat, repeat_seed
from lightsweep.controller.runs import RunEntry, in_order_of_ends, values_of
from lightsweep.errors import UsageError
from lightsweep.sampler import Observation, RunState, Searcher, make_searcher
from lightsweep.sampler.base import taken_before
from lightsweep.sampler.fixed_order import ExtendedGrid, seed_for
from lightsweep.sampler.registry import make_subspace_searcher
from lightsweep.schema import Metric, SweepConfig
from lightsweep.schema.stages import Stage, least, most_runs
from lightsweep.space import Value
from lightsweep.text import counted, number


@dataclass(frozen=True)
class Part:
    """Tickets that are drawn and judged together: all of a flat sweep, or those of a stage that has begun.

    Attributes:
        stage: What is searched.
        start: The first ticket.
        limit: The number of tickets; ``None`` for no limit.
        base: The run whose values are kept; ``None`` for the first stage.
    """

    stage: Stage
    start: int
    limit: int | None
    base: str | None = None

    @property
    def name(self) -> str | None:
        """The name of the stage; ``None`` for a flat sweep."""
        return self.stage.name or None

    @property
    def labels(self) -> dict[str, Any]:
        """The values of the labels of its runs, see :attr:`~lightsweep.SweepConfig.labels`."""
        return {} if self.name is None else {"stage": self.name}

    @property
    def end(self) -> int | None:
        """The ticket after the last one; ``None`` without a limit."""
        return None if self.limit is None else self.start + self.limit

    def is_full(self, tickets: int) -> bool:
        """Return whether the part has no ticket left once ``tickets`` have been drawn in all."""
        return self.end is not None and tickets >= self.end

    def local(self, ticket: int | None) -> int | None:
        """Return the ticket counted from ``start``; ``None`` if it is of another part."""
        inside = ticket is not None and ticket >= self.start and not self.is_full(ticket)
        return ticket - self.start if ticket is not None and inside else None


@dataclass(frozen=True)
class NextRun:
    """The decision on the next fresh run.

    Attributes:
        limit: The first ticket that the decision does not hold for; ``None`` if it holds for all.
        why: The reason why no ticket follows ``limit``; empty if one may follow later.
        opens: Further content of the trial's ``ATTEMPT``, if it is the first of a stage, or a repeat.
        wait: The reason to wait until other runs have ended; empty if a ticket can be drawn now.
    """

    limit: int | None = None
    why: str = ""
    opens: Mapping[str, Any] = field(default_factory=dict)
    wait: str = ""


class PartSearcher:
    """Suggest values for the tickets of every part of a plan that has begun."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._searchers: dict[int, Searcher] = {}

    def suggest(self, ticket: int, history: Sequence[Observation]) -> dict[str, Value] | None:
        """Return all parameters of the run for ``ticket``; ``None`` if its part has no point left."""
        plan, part = self._plan, self._plan.part_of(ticket)
        searcher = self._searchers.get(part.start)
        if searcher is None:
            values = {each.key: each.values for each in history if each.ticket is not None and each.ticket < part.start}
            fixed = part.stage.fixed(values[part.base] if part.base is not None else None)
            taken = taken_before(part.stage.space, fixed, values.values())
            alone, seed = plan.config.alone(part.stage), seed_for(plan.seed, part.stage.number)
            searcher = self._searchers[part.start] = make_subspace_searcher(plan.config, alone, seed, fixed, taken)
        return searcher.suggest(
            ticket - part.start, [replace(each, ticket=part.local(each.ticket)) for each in history]
        )


class Plan:
    """The config of a sweep, its parts, and the number of fresh runs that it can have.

    Args:
        config: The config that the sweep was created from.
        seed: The seed of all suggestions.

    Attributes:
        parts: The stages that have begun, in order; one for a flat sweep.
        revision: The number of updates of the config.
    """

    def __init__(self, config: SweepConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.revision = 0
        self.parts = [_first_part(config)]
        self._grid: ExtendedGrid | None = None

    def update(self, config: SweepConfig, tickets: int) -> None:
        """Continue with another config; ``tickets`` were drawn under the one before."""
        if config.method == "grid":
            size = self._size()
            before = self._grid or make_searcher(self.config, self.seed)
            self._grid = ExtendedGrid(before, tickets if size is None else min(tickets, size), config.space)
        self.config = config
        self.revision += 1
        self.parts = [_first_part(config)]

    def take(self, attempt: Mapping[str, Any], ticket: int | None) -> str | None:
        """Take in the first trial that is known of a ticket, and return the name of the ticket's stage.

        The first trial of a later stage names the stage, its number of tickets and the run whose values it keeps. So
        these stay the same, whatever is retried later.
        """
        if "stage" in attempt and self.config.stages:
            stage = self.config.stages[attempt["stage"] - 1]
            self.parts.append(Part(stage, ticket or 0, attempt["limit"], attempt["base"]))
        return self.part_of(ticket).name

    @property
    def current(self) -> Part:
        """The part that began last."""
        return self.parts[-1]

    @property
    def later(self) -> tuple[Stage, ...]:
        """The stages that have not begun."""
        return self.config.stages[self.current.stage.number :]

    def part_of(self, ticket: int | None) -> Part:
        """Return the part that a ticket belongs to; the first one for ``None``."""
        if len(self.parts) == 1:  # of a flat sweep, which may have very many tickets
            return self.parts[0]
        return next(part for part in reversed(self.parts) if part.start <= (ticket or 0))

    def searcher(self) -> Searcher:
        """Return the source of the parameters of fresh runs.

        Raises:
            InputError: The sampler cannot be made.
        """
        if self.config.stages:
            return PartSearcher(self)
        return self._grid or make_searcher(self.config, self.seed)

    def limit(self) -> tuple[int | None, str]:
        """Return the highest number of fresh runs and what limits it; ``(None, "")`` if nothing does.

        With stages there may be fewer, see :meth:`next_run`.
        """
        cap, size = self.config.run_cap, self._size()
        if self.config.stages:
            rest, end = most_runs(self.later), self.current.end
            most = cap if end is None or rest is None else least(cap, end + rest)
            return most, f"{len(self.config.stages)} stages"
        count = self.config.repeats
        if cap is not None and (size is None or cap <= size * count):
            return cap, f"run_cap {cap}"
        if size is None:
            return None, ""
        what = "grid" if self.config.method == "grid" else "space"
        points = f"all {size} points of the {what}" if size != 1 else f"the one point of the {what}"
        return size * count, points

    def left(self, tickets: int) -> float:
        """Return how many runs of the current part may follow; infinity if nothing limits it.

        A cap that has been reached does not count, since it can be raised.
        """
        if self.config.stages:
            return math.inf if self.current.end is None else self.current.end - tickets
        size, cap = self._size(), self.config.run_cap
        left = math.inf if size is None else size * self.config.repeats - tickets
        return left if cap is None or cap <= tickets else min(left, cap - tickets)

    def next_run(self, entries: Callable[[], Sequence[RunEntry]], tickets: int, *, pending: bool) -> NextRun:
        """Decide on the next fresh run, see `_next`; there is none once ``stop_when`` holds."""
        step = self._next(entries, tickets, pending=pending)
        if self.config.options.stop_when is None or (step.limit is not None and tickets >= step.limit):
            return step
        why = ended_by(self.config, entries(), datetime.now(timezone.utc))
        return NextRun(tickets, why) if why else step

    def _next(self, entries: Callable[[], Sequence[RunEntry]], tickets: int, *, pending: bool) -> NextRun:
        """Decide on the next fresh run by the cap, the space and the stages.

        A stage begins when every run before it has ended, with the values of the best of them; prior runs do not
        count. A stage is passed over if earlier runs had all of its points.

        Args:
            entries: Gives every run, by id.
            tickets: The number of tickets drawn so far.
            pending: Whether a run is running or waits for a retry.
        """
        part, config = self.current, self.config
        cap = config.run_cap
        if config.options.repeats is not None:
            return self._next_repeat(entries(), tickets)
        if not config.stages:
            return NextRun(*self.limit())
        if not part.is_full(tickets):
            return NextRun(part.end)
        if cap is not None and tickets >= cap:
            return NextRun(tickets, f"run_cap {cap}")
        if not self.later:
            return NextRun(tickets, f"all {len(config.stages)} stages" if len(config.stages) > 1 else "its one stage")
        following = self.later[0].name
        if pending:
            wait = f"every run of {part.stage.name!r} was handed out; {following!r} begins when they have ended"
            return NextRun(wait=wait)
        own = [entry for entry in entries() if not entry.prior]
        best = best_run(own, config)
        values = values_of(best, config) if best is not None else None
        if best is None or values is None:
            metric = config.metric.name if config.metric else ""
            kept = " and keeps the constraints" if config.options.constraints else ""
            return NextRun(tickets, f"no run has a value of {metric}{kept} that {following!r} could start from")
        before = [found for entry in own if (found := values_of(entry, config)) is not None]
        for later in self.later:
            size = later.space.size
            left = None if size is None else size - len(taken_before(later.space, later.fixed(values), before))
            if left != 0:
                limit = least(later.run_cap, left, None if cap is None else cap - tickets)
                return NextRun(tickets + 1, opens={"stage": later.number, "limit": limit, "base": best.id})
        return NextRun(tickets, "earlier runs had every point of the remaining stages")

    def _next_repeat(self, entries: Sequence[RunEntry], tickets: int) -> NextRun:
        found = next_repeat(entries, self.config, self.seed, tickets, self._size())
        if found.repeat is None:
            return NextRun(wait=found.wait) if found.wait else NextRun(tickets, self.limit()[1])
        return NextRun(tickets + 1, opens=found.repeat.document())

    def _size(self) -> int | None:
        if self._grid is not None:
            return self._grid.size
        return None if self.config.defined_by_run else self.config.space.size


def sample_runs(config: SweepConfig, count: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the values of the first runs, as an agent draws them, each with the name of its part of the sweep.

    They are ``count`` runs of the first part, and one of each later part, as if the run before it were the best.
    """
    plan = Plan(config, config.options.seed or 0)
    searcher = make_searcher(config, plan.seed)
    drawn: list[Observation] = []

    def draw() -> bool:
        values = searcher.suggest(len(drawn), drawn)
        if values is not None:
            drawn.append(Observation(str(len(drawn)), len(drawn), values, RunState.RUNNING))
        return values is not None

    while len(drawn) < count and draw():
        pass
    names = [plan.current.stage.name] * len(drawn)
    searcher = PartSearcher(plan)
    for stage in plan.later if drawn else ():
        plan.parts.append(Part(stage, len(drawn), 1, drawn[-1].key))
        if not draw():
            break
        names.append(stage.name)
    repeats = config.options.repeats
    first = {repeats.seed: repeat_seed(plan.seed, 1)} if repeats else {}
    return [(name, {**each.values, **first}) for name, each in zip(names, drawn, strict=True)]


def _first_part(config: SweepConfig) -> Part:
    stage = config.parts[0]
    return Part(stage, 0, least(stage.most, config.run_cap))


# The keys that an update may change; of a grid the values of parameters too. Of the block ``lightsweep`` neither the
# keys that suggestions depend on nor the lease: an agent without a connection would not know the new one.
_CHANGEABLE = {"run_cap", "early_terminate", "name", "description", "lightsweep", "metric"}


def check_update(sweep_id: str, before: SweepConfig, config: SweepConfig) -> None:
    """Check that a sweep can continue with another config.

    Raises:
        UsageError: The config changes what cannot change; the message names each such key.
    """
    if before.stages or config.stages:
        whose = f"sweep {sweep_id} runs" if before.stages else "the new config describes a sweep that runs"
        raise UsageError(
            f"{whose} in stages, and a sweep with stages cannot be updated; "
            "create a new sweep, with this one as its prior runs"
        )
    allowed = _CHANGEABLE | ({"parameters"} if before.method == config.method == "grid" else set())
    keys = sorted({*before.raw, *config.raw})
    changed = [key for key in keys if before.raw.get(key) != config.raw.get(key) and key not in allowed]
    kept = _fixed(before)
    changed += [name for name, value in _fixed(config).items() if value != kept[name]]
    if changed:
        raise UsageError(
            f"sweep {sweep_id} cannot change {', '.join(changed)} in an update; change run_cap, early_terminate, "
            "metric.target, the values of a grid, lightsweep.stopping, lightsweep.stop_when or lightsweep.constraints, "
            "or create a new sweep with this one as its prior runs"
        )


_KEPT_OPTIONS = ("seed", "sampler", "prior_runs", "lease", "first", "when", "repeats")


def _fixed(config: SweepConfig) -> dict[str, Any]:
    """Return what no update can change, under the names that messages give it."""
    return {
        "metric.name": [metric.name for metric in config.metrics],
        "metric.goal": [metric.goal for metric in config.metrics],
        **{f"lightsweep.{name}": getattr(config.options, name) for name in _KEPT_OPTIONS},
        "the names of the parameters": [parameter.name for parameter in config.space.parameters],
    }


class SweepStatus(str, Enum):
    """The state of a sweep without its reason; each equals its text, ``SweepStatus.PAUSED == "paused"``."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    FINISHED = "finished"

    __str__ = str.__str__


REQUESTS = {
    "resume": SweepStatus.RUNNING,
    "pause": SweepStatus.PAUSED,
    "stop": SweepStatus.STOPPED,
    "cancel": SweepStatus.CANCELLED,
}
"""The state that a user requests with each action."""


@dataclass(frozen=True)
class SweepState:
    """The state of a sweep.

    Attributes:
        name: The state.
        reason: What finished a finished sweep, in words: its cap, its grid or space, its stages, or the target.
    """

    name: SweepStatus
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name


PROPOSALS = 3
"""So many proposals one after the other must promise too little, since the model may err once."""


def ended_by(config: SweepConfig, entries: Iterable[RunEntry], now: datetime) -> str:
    """Return the condition of ``stop_when`` that holds, with its numbers; empty if none does.

    A condition that has held once holds from then on, whatever runs that were running find later. So agents can leave.

    Args:
        config: The config in force.
        entries: Every run, by id.
        now: The time, with its zone.
    """
    stop = config.options.stop_when
    if stop is None:
        return ""
    own = [entry for entry in entries if not entry.prior]
    first = min((begun for entry in own if (begun := entry.began or entry.record.started)), default=None)
    if stop.hours is not None and first is not None and now - first >= timedelta(hours=stop.hours):
        return f"stop_when: {number(stop.hours)} hours have passed since the first run started"
    # All reports, for the trainings that count no more were paid for, too.
    iterations = sum(len(entry.record.reports) for entry in own) if stop.epochs is not None else 0
    if stop.epochs is not None and iterations >= stop.epochs:
        return f"stop_when: all runs together have {counted(iterations, 'iteration')}, of {stop.epochs:,} allowed"
    stuck = _no_better(own, config, config.metric, stop.no_better_in) if config.metric and stop.no_better_in else ""
    if stuck:
        return f"stop_when: {stuck}"
    if stop.expected_gain is not None and (gain := _gain_below(own, stop.expected_gain)) is not None:
        return f"stop_when: a further run is expected to gain {number(gain)}, less than {number(stop.expected_gain)}"
    return ""


def _no_better(own: Sequence[RunEntry], config: SweepConfig, metric: Metric, most: int) -> str:
    """Return why the sweep ends if so many runs have ended in turn without a new best; empty if not.

    With several metrics a run that enters the Pareto front is a new best.
    """
    front: list[Point] = []
    since = 0
    for entry in in_order_of_ends(own, config):
        values = values_on_front(entry, config)
        following = None if values is None else joined(front, costs([values], config)[0])
        front, since = (front, since + 1) if following is None else (following, 0)
        if since >= most:
            runs = f"the last {most:,} runs" if most > 1 else "the last run"
            if len(config.metrics) > 1:
                return f"no run has entered the Pareto front in {runs}"
            if front:
                best = front[0][0] if metric.goal == "minimize" else -front[0][0]
                return f"no better than {number(best)} in {runs}"
            return f"{'no run within the constraints' if config.options.constraints else 'no value'} in {runs}"
    return ""


def _gain_below(own: Sequence[RunEntry], least: float) -> float | None:
    """Return the expected gain of the proposal that ends the sweep; ``None`` if none does."""
    low = 0
    for entry in own:
        gain = entry.gain
        if gain is not None:
            low = low + 1 if gain < least else 0
            if low == PROPOSALS:
                return gain
    return None
