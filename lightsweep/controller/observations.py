"""How a searcher sees the runs: what each was worth, with repeats as one, and how stopped runs would have ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lightsweep.controller.ranking import GroupScore, objectives, scores
from lightsweep.controller.runs import RunEntry, breaks, values_of
from lightsweep.sampler import Observation, RunState
from lightsweep.schema import SweepConfig
from lightsweep.stopping import Progress, StoppedEnd, ended_curve, stopped_ends


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


def observations(entries: Iterable[RunEntry], config: SweepConfig) -> list[Observation]:
    """Return what a searcher learns from: of each group one observation, with its mean.

    Runs outside of groups, such as prior runs, are observations of their own.
    """
    found: dict[str, list[RunEntry]] = {}
    for entry in entries:
        found.setdefault(entry.repeat.group if entry.repeat is not None else entry.id, []).append(entry)
    scored = scores([entry for runs in found.values() for entry in runs if entry.repeat is not None], config)
    seen = ((scored.get(name), [observation(entry, config) for entry in runs]) for name, runs in found.items())
    return [each for score, runs in seen if (each := _together(score, [run for run in runs if run])) is not None]


def _together(score: GroupScore | None, runs: Sequence[Observation]) -> Observation | None:
    if len(runs) < 2 or score is None:
        return runs[0] if runs else None
    excesses = zip(*(run.excess for run in runs), strict=True)
    return replace(
        runs[0],
        state=RunState.FINISHED,
        objectives=(score.mean,),
        excess=tuple(max((each for each in known if each is not None), default=None) for known in excesses),
        last=None,
        version=sum(run.version for run in runs),
    )


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
