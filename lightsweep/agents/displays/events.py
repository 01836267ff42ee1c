"""The log of what happens to the runs of a sweep: one short line for each event, and each warning once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from lightsweep.agents.active_run import RUNS
from lightsweep.agents.launchers.process import OUTPUT
from lightsweep.controller import ClaimedRun, Outcome, RunState, Sweep, SweepRun
from lightsweep.controller.ranking import best_of, best_run, pareto_front, scores
from lightsweep.controller.runs import broken, with_breaks
from lightsweep.controller.summary import part_begins
from lightsweep.hyperband import brief
from lightsweep.text import counted, number, parameters, printable, span

STYLES = {"best": "green", "front": "green", "failed": "red", "warning": "yellow"}
"""The colours of events, by their mark."""

_WITH_RESULT = {RunState.FINISHED, RunState.PRUNED}
_FAILED = {RunState.FAILED, RunState.LOST}


@dataclass(frozen=True)
class Event:
    """One line of the log.

    Attributes:
        text: The line, without control characters.
        mark: ``best`` for a new best run, ``front`` for a new one of the Pareto front, ``failed``, ``warning``, or
            empty.
        more: Where to look after a failure; empty otherwise.
        run: The run that it is about; empty for none.
    """

    text: str
    mark: str = ""
    more: str = ""
    run: str = ""


class EventLog:
    """Turns what happens to runs into events; for one thread at a time.

    Args:
        sweep: The sweep; its runs as of the last look say which run is the best.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._best: list[SweepRun] = []
        self._known: set[str] = set()
        self._began: dict[str, datetime] = {}
        self._part: str | None = None
        self._unread: set[str] = set()

    def started(self, run: ClaimedRun) -> Iterator[Event]:
        """Yield the events of a run that has started: the first of a part of the sweep begins the part."""
        self._began[run.id] = datetime.now(timezone.utc)
        sweep, part = self._sweep, self._sweep.plan.part_of(run.ticket)
        if part.name is not None and part.name != self._part:
            self._part = part.name
            yield Event(part_begins(sweep, part))
        facts = [f"attempt {run.attempt}"] if run.attempt > 1 else []
        if run.repeat is not None:
            facts.append(f"repeat {run.repeat.repeat} of {sweep.config.repeats}, group {run.repeat.group}")
        again = f" ({', '.join(facts)})" if facts else ""
        shown = parameters(run.values, sweep.config.searched([run.values]))
        yield Event(f"{run.id} started{again}{': ' if shown else ''}{shown}", run=run.id)

    def finished(self, run: ClaimedRun, outcome: Outcome) -> Iterator[Event]:
        """Yield the events of a run of this agent that has ended, see `ended`."""
        return self.ended(seen(run, self._sweep, began=self._began.pop(run.id, None), outcome=outcome))

    def ended(self, run: SweepRun) -> Iterator[Event]:
        """Yield the events of a run that has ended: its line, and a warning that nobody has had yet."""
        yield self._end(run)
        unread = [name for name in run.unread if name not in self._unread]
        if unread and run.state in _WITH_RESULT:
            self._unread.update(unread)
            which = "it" if len(unread) == 1 else "them"
            names = ", ".join(map(repr, unread))
            text = f"run {run.id} never read {names}, although the sweep varies {which}"
            yield Event(printable(f"warning: {text}"), mark="warning")

    def _end(self, run: SweepRun) -> Event:
        metric, several = self._sweep.config.metric, len(self._sweep.config.metrics) > 1
        new_best = self._joins_front(run) if several else self._is_new_best(run)
        text = f"{run.id} {run.state}"
        if run.state == RunState.PRUNED and (stopped := brief(run.reason)) != run.reason:
            # Its value at the band is not what makes it the best.
            best = f", best {number(run.best)}" if new_best and run.best is not None else ""
            text, facts = f"{run.id} {stopped}{best}", []
        elif run.state in _WITH_RESULT:
            value = number(run.best) if run.best is not None else ""
            iterations = counted(run.iterations, "iteration") if metric else ""
            time = span(run.ended - run.started) if run.started and run.ended else ""
            facts = [", ".join(filter(None, [value, iterations, time])), run.reason, self._group_score(run)]
        else:
            again = "an agent will retry it" if run.state == RunState.LOST else ""
            facts = [run.reason, again]
        text += f": {'; '.join(filter(None, facts))}" if any(facts) else ""
        mark = ("front" if several else "best") if new_best else "failed" if run.state in _FAILED else ""
        return Event(printable(text), mark, self._where(run) if run.state == RunState.FAILED else "", run.id)

    def _is_new_best(self, run: SweepRun) -> bool:
        """Return whether the run is better than all that ended before, or the first that finished."""
        sweep = self._sweep
        if run.state not in _WITH_RESULT or run.best is None:
            return False
        with sweep.lock:
            ended = [entry for entry in sweep.known_entries() if entry.state in _WITH_RESULT and entry.id != run.id]
            if run.repeat is not None:
                now = best_run([*map(sweep.view, ended), run], sweep.config)
                return now is not None and now.group == run.group and bool(self._group_score(run))
            others = best_run(ended, sweep.config)
        before = [*self._best, *([sweep.view(others)] if others else [])]
        best = best_run([*before, run], sweep.config)  # an equal one before it stays the best
        self._best = [best] if best is not None else []
        return best is run and (bool(before) or run.state == RunState.FINISHED)

    def _joins_front(self, run: SweepRun) -> bool:
        """Return whether no run that ended before is as good in all metrics."""
        sweep = self._sweep
        if run.state not in _WITH_RESULT:
            return False
        with sweep.lock:
            news = [
                entry for entry in sweep.known_entries() if entry.state in _WITH_RESULT and entry.id not in self._known
            ]
        self._known.update([run.id, *(entry.id for entry in news)])
        others = [each for each in map(sweep.view, news) if each.id != run.id]
        self._best = pareto_front([*self._best, *others, run], sweep.config).best
        return run in self._best

    def _group_score(self, run: SweepRun) -> str:
        """Return the score of the group whose last repeat a run is; empty if it is not."""
        if run.repeat is None:
            return ""
        sweep = self._sweep
        with sweep.lock:
            others = [entry for entry in sweep.known_entries() if entry.id != run.id]
            score = scores([*others, run], sweep.config).get(run.repeat.group)
        return f"group {run.repeat.group}: {score}" if score is not None and score.complete else ""

    def _where(self, run: SweepRun) -> str:
        sweep = self._sweep
        path = next((path for path in _outputs(sweep, run) if path.is_file()), None)
        if path is None:
            return ""
        return printable(f"log: {path} (lightsweep logs {sweep.id} {run.id}{sweep.storage.option})")


def _outputs(sweep: Sweep, run: SweepRun) -> Iterator[Path]:
    yield RUNS / sweep.id / run.id / OUTPUT
    yield from (Path(directory) / OUTPUT for directory in run.directories)


def seen(run: ClaimedRun, sweep: Sweep, *, began: datetime | None = None, outcome: Outcome | None = None) -> SweepRun:
    """Return a run of this agent as it is now; the storage has its reports a moment later.

    Args:
        run: The run.
        sweep: Its sweep.
        began: When it started.
        outcome: How it ended; ``None`` while it runs.
    """
    history = tuple(run.history)
    running = RunState.STOPPING if run.stop_reason else RunState.RUNNING
    found = SweepRun(
        run.id,
        running if outcome is None else outcome.state,
        run.config,
        run.values,
        best=best_of(history, sweep.config.metric.goal) if sweep.config.metric else None,
        last=run.reports[-1] if run.reports else None,
        iterations=len(history),
        history=history,
        metrics={name: dict(each) for name, each in run.metrics.items()},
        attempt=run.attempt,
        started=began,
        ended=None if outcome is None else datetime.now(timezone.utc),
        reason="" if outcome is None else outcome.reason,
        unread=() if outcome is None else tuple(outcome.unread),
    )
    if outcome is not None:
        lasts = [(each, run.metrics.get(each.metric, {}).get("last")) for each in sweep.config.options.constraints]
        breaks = broken(lasts, ended=outcome.state in _WITH_RESULT)
        found = replace(found, breaks=breaks, reason=with_breaks(found.reason, breaks))
    return replace(found, repeat=run.repeat, **sweep.plan.part_of(run.ticket).labels)
