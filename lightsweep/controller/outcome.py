"""The run that an agent holds, how it ends, and how a searcher sees it."""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.trial import TrialState

from lightsweep.controller.runs import RunEntry, best_of, breaks, values_of
from lightsweep.controller.scores import Repeat
from lightsweep.sampler import Observation, RunState
from lightsweep.schema import Metric, SweepConfig
from lightsweep.stopping import Progress, StoppedEnd, ended_curve, stopped_ends


@dataclass(slots=True, eq=False)
class ClaimedRun:
    """One attempt of a run, held by the agent that claimed it.

    Attributes:
        id: Run id.
        ticket: Position among the fresh runs.
        attempt: 1 for the first.
        trial_id: Optuna's key of the attempt's trial.
        values: Parameters under their dotted names.
        config: The same, nested as the script sees them.
        reports: Every value of the metric so far, in order.
        history: Those that count and are finite: the iterations.
        since: The number of reports that count no more, see `begin_anew`.
        metrics: For each number logged ``{"min", "max", "last"}``, of the reports that count.
        stop_reason: The reason to stop; empty if the run is to continue.
        pruned: Whether early termination stopped the run.
        repeat: Its place among the repeats of its values; ``None`` without repeats.
        taken: Whether another agent holds the run now, or it was deleted, so that nothing more of it is written.
    """

    id: str
    ticket: int | None
    attempt: int
    trial_id: int
    values: dict[str, Any]
    config: dict[str, Any]
    reports: array[float] = field(default_factory=lambda: array("d"))
    history: list[float] = field(default_factory=list)
    since: int = 0
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    stop_reason: str = ""
    pruned: bool = False
    repeat: Repeat | None = None
    taken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, numbers: Mapping[str, float]) -> None:
        """Keep the least, greatest and last value of each number; NaN and infinities count as last values only."""
        for name, value in numbers.items():
            stats = self.metrics.setdefault(name, {})
            stats["last"] = value
            if math.isfinite(value):
                stats["min"] = min(stats.get("min", value), value)
                stats["max"] = max(stats.get("max", value), value)

    @property
    def not_finite(self) -> str:
        """``NaN since iteration 4 of 6`` if the last values of the metric are not finite; empty if they are."""
        total = len(self.reports)
        first = next((place for place in range(total, 0, -1) if math.isfinite(self.reports[place - 1])), 0) + 1
        if first > total:
            return ""
        last = self.reports[-1]
        return f"{'NaN' if math.isnan(last) else f'{last:g}'} since iteration {first} of {total}"

    def begin_anew(self) -> None:
        """Let all numbers so far count no more, as those of the first of several trainings in one run."""
        with self.lock:
            self.since = len(self.reports)
            self.history.clear()
            self.metrics = {}

    def go_on(self) -> None:
        """Withdraw the verdict of early termination."""
        with self.lock:
            if self.pruned:
                self.pruned = False
                self.stop_reason = ""

    def report(self, value: float) -> int:
        """Add a value of the sweep's metric and return the number of values."""
        self.reports.append(value)
        if math.isfinite(value):
            self.history.append(value)
        return len(self.reports)


_TRIAL_STATE = {RunState.FINISHED: TrialState.COMPLETE, RunState.PRUNED: TrialState.PRUNED}


@dataclass(frozen=True)
class Outcome:
    """The end of an attempt at a run.

    Attributes:
        state: ``finished``, ``pruned``, ``failed``, ``killed`` (by the user), or ``lost`` (to be retried).
        reason: Why, in words and numbers.
        unread: Swept parameters that the run never read.
    """

    state: RunState
    reason: str = ""
    unread: Sequence[str] = ()


def objectives(
    metrics: Sequence[Metric], history: Sequence[float], stats: Mapping[str, Mapping[str, float]]
) -> list[float] | None:
    """Return the values that a run is compared by, one for each metric; ``None`` if one of them is not finite.

    For a sweep with one metric it is the best value; for several metrics the last values, which belong to one model.
    """
    if len(metrics) == 1:
        best = best_of(history, metrics[0].goal)
        return None if best is None else [best]
    values = [float(stats.get(metric.name, {}).get("last", math.nan)) for metric in metrics]
    return values if values and all(map(math.isfinite, values)) else None


def trial_end(metrics: Sequence[Metric], run: ClaimedRun, outcome: Outcome) -> tuple[TrialState, list[float] | None]:
    """Return the state and the values of the run's trial in Optuna.

    A finished run without a finite value gets infinity on the bad side. In a sweep without a metric finished runs get
    the value 0.
    """
    state = _TRIAL_STATE.get(outcome.state, TrialState.FAIL)
    values = None if state == TrialState.FAIL else objectives(metrics, run.history, run.metrics)
    if values is None and state == TrialState.COMPLETE:
        values = [math.inf if metric.goal == "minimize" else -math.inf for metric in metrics] or [0.0]
    return state, values


def summary(run: ClaimedRun, outcome: Outcome) -> dict[str, Any]:
    """Return the content of ``SUMMARY``; JSON without NaN, which some databases refuse."""
    return {
        "state": outcome.state,
        "reason": outcome.reason,
        "metrics": plain_metrics(run.metrics),
        "unread": list(outcome.unread),
        **({"since": run.since} if run.since else {}),
    }


def plain_metrics(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | str]]:
    """Return the statistics of each number for ``SUMMARY``; values that are not finite become text."""
    return {
        name: {key: value if math.isfinite(value) else str(value) for key, value in stats.items()}
        for name, stats in metrics.items()
    }


def learns(config: SweepConfig) -> bool:
    """Return whether suggestions depend on earlier runs, in one stage at least."""
    scheduled = config.scheduler is not None and config.scheduler.optimizer is not None
    methods: set[str] = {part.method for part in config.parts}
    return scheduled or config.defined_by_run or not methods <= {"grid", "random"}


def _excess(entry: RunEntry, config: SweepConfig) -> tuple[float | None, ...]:
    """How far a run that has ended is beyond the bound of each constraint; ``None`` if that is not known."""
    lasts = [(each, entry.last(each.metric)) for each in config.options.constraints]
    unknown = math.inf if entry.state == RunState.FINISHED and not entry.prior else None
    return tuple(unknown if last is None else each.excess(last) for each, last in lasts)


def by_ticket(config: SweepConfig) -> bool:
    """Return whether parameters follow from the ticket alone, so that those of other runs need not be read."""
    # A grid or random stage does not learn, but it leaves out points that earlier runs had.
    return config.is_flat and not learns(config)


def observation(entry: RunEntry, config: SweepConfig) -> Observation | None:
    """Return the run as a searcher sees it, made again only if it changed; ``None`` if its parameters are unknown."""
    if entry.observation is None and (values := values_of(entry, config)) is not None:
        scores = objectives(config.metrics, entry.history, entry.summary.get("metrics", {}))
        entry.observation = Observation(
            key=entry.id,
            ticket=entry.point,
            values=values,
            state=entry.state,
            objectives=None if scores is None else tuple(scores),
            last=(entry.history[-1],) if scores and len(scores) == 1 else None,
            version=entry.version,
            excess=_excess(entry, config),
        )
    return entry.observation


MOST_ENDS = 1000
"""In a sweep with more runs no end is predicted: it would take longer, and few searchers look at so many runs."""

Ended = dict[str | None, dict[str, Progress]]
"""The curves of runs that have ended: for each part of the sweep by the run's id."""


class EndPredictor:
    """Predict how the runs that were stopped early would have ended, for a searcher; for one thread at a time.

    Only runs that finished or were stopped count, each beside those of its part: so the same ended runs give the same
    searcher the same numbers, however far other runs have trained.

    Args:
        config: The config. Without a rule that stops runs early, without method bayes, and with several metrics nothing
            is predicted.
        part_name: Returns the name of the part that a ticket belongs to; ``None`` in a flat sweep.
    """

    def __init__(self, config: SweepConfig, part_name: Callable[[int | None], str | None]) -> None:
        learning = (part for part in config.parts if part.rule is not None and part.method == "bayes")
        predicts = len(config.metrics) == 1 and not config.defined_by_run
        self._parts = {part.name or None for part in learning} if predicts else set()
        self._config, self._part_name = config, part_name
        self._curves: dict[str, tuple[int, Progress | None]] = {}
        self._last: tuple[Ended, dict[str, StoppedEnd]] = {}, {}

    def curves(self, entries: Sequence[RunEntry]) -> Ended:
        """Return the curves of the runs that count; call it while holding the sweep's lock."""
        found: Ended = {}
        for entry in entries if len(entries) <= MOST_ENDS else ():
            part, finished = self._part_name(entry.ticket), entry.state == RunState.FINISHED
            if entry.prior or part not in self._parts or not (finished or entry.state == RunState.PRUNED):
                continue
            version, curve = self._curves.get(entry.id, (None, None))
            if version != entry.version:
                goal, excluded = self._config.metrics[0].goal, bool(breaks(entry, self._config))
                curve = ended_curve(goal, entry.history, finished=finished, excluded=excluded)
                self._curves[entry.id] = entry.version, curve
            if curve is not None:
                found.setdefault(part, {})[entry.id] = curve
        return found

    def added(self, seen: Sequence[Observation], curves: Ended) -> list[Observation]:
        """Return the observations, those of stopped runs with their predicted end."""
        if curves != self._last[0]:
            goal, ends = self._config.metrics[0].goal, dict[str, StoppedEnd]()
            for runs in curves.values():
                ends.update(stopped_ends(goal, runs))
            self._last = curves, ends
        stopped = {each.key for each in seen if each.state == RunState.PRUNED} & self._last[1].keys()
        return [replace(each, end=self._last[1][each.key]) if each.key in stopped else each for each in seen]
