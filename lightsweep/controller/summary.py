"""Summarize a sweep: its runs in numbers, its stages, a forecast, and the lines that all commands show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from lightsweep.controller.observations import learns
from lightsweep.controller.plan import Part, SweepState, SweepStatus
from lightsweep.controller.ranking import Front, GroupScore, best_run, pareto_front, scores, values_on_front
from lightsweep.controller.reader import SweepReader
from lightsweep.controller.repeats import Group, groups
from lightsweep.controller.runs import RunEntry, SweepRun, breaks, in_order_of_ends, values_of
from lightsweep.sampler import RunState
from lightsweep.schema import SweepConfig
from lightsweep.schema.stages import Stage
from lightsweep.text import counted, number, parameters, printable, span

_OPEN = {RunState.RUNNING, RunState.WAITING}
_WITH_RESULT = {RunState.FINISHED, RunState.PRUNED}


@dataclass(frozen=True)
class Savings:
    """Iterations that were not trained.

    Attributes:
        stopped: Runs that were stopped early.
        saved: Iterations that those would still have had.
        total: Iterations that all runs would have had without stopping.
    """

    stopped: int
    saved: int
    total: int

    @property
    def share(self) -> float:
        """``saved / total``, 0 if nothing ran."""
        return self.saved / self.total if self.total else 0.0

    @property
    def text(self) -> str:
        """The numbers in words, without the share."""
        if not self.stopped:
            return "nothing stopped early"
        return f"{counted(self.stopped, 'run')} stopped early, {self.saved:,} of {self.total:,} iterations saved"

    def __str__(self) -> str:
        return f"{self.text} ({self.share:.0%})" if self.stopped else self.text


def savings(runs: Iterable[RunEntry | SweepRun], config: SweepConfig) -> Savings:
    """Estimate how many iterations early termination saved, each stage by its own runs and its own bands.

    A stopped run counts as long as the longest finished run of its stage. Before one has finished, it counts as long
    as ``max_iter``, or without ``max_iter`` as long as the longest run so far.
    """
    stages: dict[str | None, list[RunEntry | SweepRun]] = {}
    for run in runs:
        stages.setdefault(run.stage, []).append(run)
    stopped = saved = trained = 0
    for stage, found in stages.items():
        rule, iterations = config.stopping(stage), [run.iterations for run in found]
        finished = [run.iterations for run in found if run.state == RunState.FINISHED]
        pruned = [run.iterations for run in found if run.state == RunState.PRUNED]
        length = max(finished or [*iterations, (rule and rule.length) or 0])
        stopped += len(pruned)
        saved += sum(max(0, length - each) for each in pruned)
        trained += sum(iterations)
    return Savings(stopped, saved, saved + trained)


@dataclass(frozen=True)
class SweepSummary:
    """The runs of a sweep in numbers, and the lines about them that every command and display shows.

    Attributes:
        limit: How many runs it can have; ``None`` without a cap or a finite space.
        states: Number of runs in each state, without prior runs; runs that wait for a retry as ``waiting``.
        best: See :attr:`~lightsweep.controller.sweeps.Sweep.best_run`.
        score: The score of its group; ``None`` in a sweep without repeats.
        unread: Swept parameters that no run has read, sorted; of the runs that finished or were stopped early.
        priors: Number of prior runs; they count nowhere else here.
        spent: Whether no run is left to start.
        ends: Ends of the runs that need no retry.
        lengths: The iterations of a whole run, by stage: ``max_iter``, or what all finished runs have had.
        front: The Pareto front of a sweep with several metrics.
    """

    sweep_id: str
    config: SweepConfig
    state: SweepState
    limit: int | None
    states: Counter[RunState]
    savings: Savings
    best: SweepRun | None
    searched: list[str]
    unread: list[str]
    last: list[SweepRun]
    broken: int = 0
    priors: int = 0
    spent: bool = False
    started: datetime | None = None
    ends: Sequence[datetime] = ()
    lengths: Mapping[str | None, int] = field(default_factory=dict)
    front: Front[RunEntry] | None = None
    score: GroupScore | None = None

    @property
    def total(self) -> int:
        """Number of runs, without prior runs."""
        return self.states.total()

    @property
    def title(self) -> str:
        """``sweep k3v9x2ab (digits)``."""
        return printable(f"sweep {self.sweep_id}{f' ({self.config.name})' if self.config.name else ''}")

    def length_of(self, run: SweepRun) -> int | None:
        """Return the iterations that a whole run has, see ``lengths``; ``None`` if that is unknown."""
        return self.lengths.get(run.stage)

    def standing(self, silent: Mapping[str, timedelta]) -> str:
        """Return the state with what is known of the agents: ``running, no agent``.

        Args:
            silent: See `SweepReader.silences`; if it holds all running runs: ``running, no sign of life for 17 s``.
        """
        if self.state.name != SweepStatus.RUNNING:
            return str(self.state)
        if not self.states[RunState.RUNNING]:
            return f"{self.state}, no agent"
        silence = len(silent) == self.states[RunState.RUNNING]
        return f"{self.state}, no sign of life for {span(min(silent.values()))}" if silence else str(self.state)

    @property
    def counts(self) -> str:
        """``1 running, 2 finished of 10 + 8 prior runs``."""
        limit = f" of {self.limit:,}" if self.limit is not None else ""
        return f"{self._states}{limit}{prior_suffix(self.priors)}"

    @property
    def in_states(self) -> str:
        """``1 running, 2 finished + 8 prior runs``."""
        return f"{self._states}{prior_suffix(self.priors)}"

    @property
    def _states(self) -> str:
        return ", ".join(f"{self.states[name]:,} {name}" for name in RunState if self.states[name]) or "no runs yet"

    @property
    def best_value(self) -> str:
        """``val_loss 0.25``, or with repeats ``val_loss 0.25 ± 0.01 (3 runs)``; empty before a run has a value."""
        if self.best is None or self.best.best is None or self.config.metric is None:
            return ""
        value = number(self.best.best) if self.score is None else str(self.score)
        return f"{printable(self.config.metric.name)} {value}"

    @property
    def best_line(self) -> str:
        """``best val_loss 0.25 (run 0001), of ended runs``; empty before a run has a value."""
        if self.best is None or not self.best_value:
            return ""
        if self.score is not None:
            return f"best {self.best_value}, group {self.best.group}"
        counted = ", of ended runs" if self.states[RunState.RUNNING] and self.best.state != RunState.RUNNING else ""
        return f"best {self.best_value} (run {self.best.id}){counted}"

    @property
    def front_line(self) -> str:
        """``Pareto front: 5 of 30 runs``; empty with a single metric, and before a run counts."""
        return self.front.text if self.front is not None else ""

    @property
    def best_parameters(self) -> str:
        """The searched parameters of the best run in one line; empty before a run has a value."""
        return parameters(self.best.values, self.config.searched([self.best.values])) if self.best is not None else ""

    @property
    def without_result(self) -> str:
        """The number of runs without a result, once no other run is left to start; empty if there are none."""
        ended = {name: count for name in (RunState.FAILED, RunState.KILLED) if (count := self.states[name])}
        if not ended or not self.spent:
            return ""
        thing = "point" if self.config.method == "grid" and not self.config.stages else "run"
        count = sum(ended.values())
        parts = ", ".join(f"{count:,} {name}" for name, count in ended.items())
        return f"{counted(count, thing)} {'has' if count == 1 else 'have'} no result ({parts})"

    @property
    def remarks(self) -> list[str]:
        """Lines about the Pareto front, savings, constraints, runs without a result and parameters that none read."""
        kept = ", ".join(map(str, self.config.options.constraints))
        verb = "breaks" if self.broken == 1 else "break"
        broken = printable(f"{counted(self.broken, 'run')} {verb} a constraint ({kept})") if self.broken else ""
        names = printable(", ".join(map(repr, self.unread)))
        unread = f"no run reads {names}, although the sweep varies {'it' if len(self.unread) == 1 else 'them'}"
        saved = str(self.savings) if self.config.stops_early and self.total else ""
        return [line for line in (self.front_line, saved, broken, self.without_result, unread if names else "") if line]


def prior_suffix(count: int) -> str:
    """Return `` + 8 prior runs``; empty for none."""
    return f" + {counted(count, 'prior run')}" if count else ""


def summarize(sweep: SweepReader, last: int = 0) -> SweepSummary:
    """Summarize the sweep as of the last look at it, with its ``last`` runs."""
    with sweep.lock:
        known = sweep.known_entries()
        entries = [entry for entry in known if not entry.prior]
        best = best_run(entries, sweep.config)
    shown, best_seen = list(map(sweep.view, entries[-last:] if last else [])), sweep.view(best) if best else None
    with sweep.lock:
        states = [sweep.standing(entry) for entry in entries]
        over = [entry for entry, state in zip(entries, states, strict=True) if state not in _OPEN]
        repeat = best.repeat if best is not None else None
        values = (values_of(entry, sweep.config) or {} for entry in entries)
        return SweepSummary(
            sweep.id,
            sweep.config,
            sweep.known_state(),
            sweep.plan.limit()[0],
            Counter(states),
            savings(entries, sweep.config),
            best_seen,
            searched=sweep.config.searched(values if sweep.config.defined_by_run else ()),
            unread=sorted(_unread(entries, sweep.config)),
            last=shown,
            broken=sum(bool(breaks(entry, sweep.config)) for entry in entries),
            priors=len(known) - len(entries),
            spent=sweep.spent(),
            started=min((entry.record.started for entry in entries if entry.record.started), default=None),
            ends=[entry.record.ended for entry in over if entry.record.ended],
            lengths=_lengths(entries, sweep.config),
            front=pareto_front(entries, sweep.config) if len(sweep.config.metrics) > 1 else None,
            score=scores(entries, sweep.config).get(repeat.group) if repeat is not None else None,
        )


def _unread(entries: Iterable[RunEntry], config: SweepConfig) -> set[str]:
    if config.defined_by_run or config.space.when:  # not every run has every parameter
        named, read = set[str](), set[str]()
        for entry in entries:
            if entry.state in _WITH_RESULT:
                unread = set(entry.summary.get("unread", ()))
                named |= unread
                read |= (values_of(entry, config) or {}).keys() - unread
        return named - read
    found: set[str] | None = None
    for entry in entries:
        if entry.state in _WITH_RESULT:
            unread = set(entry.summary.get("unread", ()))
            found = unread if found is None else found & unread
            if not found:
                break  # the summaries of the other runs need not be decoded
    return found or set()


def _lengths(entries: Iterable[RunEntry], config: SweepConfig) -> dict[str | None, int]:
    stages: dict[str | None, set[int]] = {}
    for entry in entries:
        if entry.state == RunState.FINISHED:
            stages.setdefault(entry.stage, set()).add(entry.iterations)
    found = {stage: next(iter(lengths)) for stage, lengths in stages.items() if len(lengths) == 1}
    known = {part.name or None: part.rule.length for part in config.parts if part.rule}
    return found | {name: most for name, most in known.items() if most is not None}


@dataclass(frozen=True)
class PartView:
    """A stage of a sweep as of the last look.

    Attributes:
        part: The stage as the sweep file has it.
        state: ``passed over`` if earlier runs had all of its points.
        ended: The number of its runs that have ended.
        best: Its best run; ``None`` if no run has a value.
        base: The run whose values it keeps; ``None`` for the first stage, and before the stage begins.
        fixed: The values of the parameters that it does not search; ``None`` before it begins.
    """

    part: Stage
    state: Literal["waiting", "running", "over", "passed over"]
    runs: int = 0
    ended: int = 0
    limit: int | None = None
    best: SweepRun | None = None
    base: str | None = None
    fixed: Mapping[str, Any] | None = None

    @property
    def progress(self) -> str:
        """``5 of 12``: how many of its runs have ended."""
        return f"{self.ended} of {self.limit:,}" if self.limit is not None else str(self.ended)

    def document(self) -> dict[str, Any]:
        """Return the same as plain values, infinities included."""
        return {
            "name": self.part.name,
            "state": self.state,
            "method": self.part.method,
            "parameters": list(self.part.searched),
            "runs": self.runs,
            "ended": self.ended,
            "limit": self.limit,
            "best": None if self.best is None else {"run": self.best.id, "value": self.best.best},
            "base": self.base,
            "fixed": None if self.fixed is None else dict(self.fixed),
        }


def part_views(sweep: SweepReader) -> tuple[PartView, ...]:
    """Return the stages of a sweep as of the last look at it; none for a flat sweep."""
    return tuple(_part_view(sweep, stage) for stage in sweep.config.stages)


def part_documents(sweep: SweepReader) -> dict[str, Any]:
    """Return the stages, or the groups of repeats, as a key of a document, infinities included; no key without them."""
    views = part_views(sweep)
    if sweep.config.repeats > 1:
        return {"groups": [group.document(sweep.config) for group in group_views(sweep)]}
    return {"stages": [view.document() for view in views]} if views else {}


def group_views(sweep: SweepReader) -> list[Group]:
    """Return the groups of repeats as of the last look, the best first; none without repeats.

    Groups that break a constraint come after those that do not, and groups without a score last.
    """
    config = sweep.config
    with sweep.lock:
        found = groups(sweep.known_entries(), config) if config.repeats > 1 else []
    sign = -1 if config.metric is not None and config.metric.goal == "maximize" else 1

    def key(group: Group) -> tuple[bool, bool, bool, float]:
        score = group.score
        if score is None:
            return (True, False, False, 0.0)
        return (False, any(breaks(run, config) for run in group.runs), not score.complete, sign * score.mean)

    return sorted(found, key=key)


def _part_view(sweep: SweepReader, stage: Stage) -> PartView:
    plan, config = sweep.plan, sweep.config
    with sweep.lock:
        part = next((part for part in plan.parts if part.stage.number == stage.number), None)
        if part is None:
            begun = plan.current.stage.number
            return PartView(stage, "passed over" if stage.number < begun else "waiting", limit=stage.most)
        known = sweep.known_entries()
        entries = [entry for entry in known if entry.ticket is not None and plan.part_of(entry.ticket) is part]
        open_ = {entry.id for entry in (*sweep.running(), *sweep.waiting())}
        ended = sum(entry.id not in open_ for entry in entries)
        over = part is not plan.current or (part.is_full(part.start + len(entries)) and ended == len(entries))
        best = best_run(entries, config)
        base = sweep.book.entries[part.base] if part.base is not None else None
        return PartView(
            stage,
            "over" if over else "running",
            runs=len(entries),
            ended=ended,
            limit=part.limit,
            best=sweep.view(best) if best is not None else None,
            base=part.base,
            fixed=stage.fixed(values_of(base, config) if base is not None else None),
        )


def part_line(views: Sequence[PartView]) -> str:
    """Return ``stage 2 of 3, architecture: 5 of 12 runs ended, from run 0003``; empty without stages."""
    begun = [view for view in views if view.fixed is not None]
    if not begun:
        return ""
    stage, base = begun[-1].part, begun[-1].base
    origin = f", from run {base}" if base is not None else ""
    return printable(f"stage {stage.number} of {len(views)}, {stage.name}: {begun[-1].progress} runs ended{origin}")


def part_begins(sweep: SweepReader, part: Part) -> str:
    """Return ``stage 2 of 3, architecture: searches layers, width; the rest is that of run 0003, the best so far``."""
    searched = ", ".join(part.stage.searched)
    base = f"; the rest is that of run {part.base}, the best so far" if part.base else ""
    number, total = part.stage.number, len(sweep.config.stages)
    return printable(f"stage {number} of {total}, {part.name}: searches {searched}{base}")


LEAST, MOST = 10, 10_000  # ended runs; beyond, a forecast would take time, and another run brings little
AHEAD = 10


@dataclass(frozen=True)
class Forecast:
    """What more runs may be expected to bring.

    Attributes:
        runs: The number of these runs, or of groups in a sweep with repeats.
        gain: The improvement of the best value, at least 0.
        best: The best value now.
        last: The number of runs that the forecast follows from: the later half.
        thing: ``run`` or ``group``.
    """

    runs: int
    gain: float
    best: float
    last: int
    thing: str = "run"

    @property
    def text(self) -> str:
        """``10 more runs: about 0.003 better (now 0.812)``."""
        what = f"{self.runs} more {self.thing}{'s' if self.runs != 1 else ''}"
        if self.gain <= 0:
            return f"{what}: no gain expected, since the last {self.last} were no better than {number(self.best)}"
        return f"{what}: about {number(float(f'{self.gain:.1g}'))} better (now {number(self.best)})"

    def document(self) -> dict[str, Any]:
        """Return the numbers as plain values."""
        return {"runs": self.runs, "gain": self.gain, "best": self.best}


def forecast(sweep: SweepReader) -> Forecast | None:
    """Forecast the best value after ten more runs, as of the last look, of its current part.

    The gain of the best value from half of the runs to all of them is extrapolated with the root of the number of runs.
    If runs learn from each other, their order decides. If they do not, any order is as likely, and the mean over all
    orders is taken. docs/search.md has how far such forecasts were off.

    ``None`` without a single metric, from fewer than ten runs that have ended, or if all points have been tried.
    """
    config, plan = sweep.config, sweep.plan
    metric = config.metric
    if metric is None or len(config.metrics) > 1 or len(sweep.book.entries) > MOST:
        return None
    sign = 1.0 if metric.goal == "minimize" else -1.0
    with sweep.lock:
        own = [each for each in sweep.known_entries() if not each.prior and plan.part_of(each.ticket) is plan.current]
        left = plan.left(sweep.book.next_ticket) / config.repeats
        if config.repeats > 1:
            losses = [sign * each.mean for each in scores(own, config).values() if each.complete]
        else:
            ended = in_order_of_ends(own, config)
            values = [values_on_front(each, config) for each in ended]
            losses = [math.inf if each is None else sign * each[0] for each in values]
    if len(losses) < LEAST or left <= 0:
        return None
    runs = min(AHEAD, math.ceil(left)) if left < AHEAD else AHEAD
    gain = expected_gain(losses, runs, in_order=learns(config))
    if gain is None:
        return None
    thing = "run" if config.repeats == 1 else "group"
    return Forecast(runs, gain, sign * min(losses), len(losses) - len(losses) // 2, thing)


def forecast_text(sweep: SweepReader) -> str:
    """Return the forecast in words, see :func:`forecast`; empty if there is none."""
    found = forecast(sweep)
    return found.text if found is not None else ""


def expected_gain(losses: Sequence[float], runs: int, *, in_order: bool) -> float | None:
    """Return by how much the least of some losses may fall with so many more; ``None`` if too few are finite.

    If none is below 0, as of most losses and errors, it does not fall below 0; if all are from -1 to 0, as of an
    accuracy or a score that is to be large, not below -1. A run without a value has the loss infinity. With
    ``in_order`` later runs follow from earlier ones.
    """
    count, best = len(losses), min(losses)
    half = count // 2
    before = min(losses[:half]) if in_order else mean_least(losses, half)
    if not math.isfinite(before):
        return None
    gain = (before - best) * (1 - math.sqrt(count / (count + runs))) / (math.sqrt(2) - 1)
    if best >= 0:
        return min(gain, best)
    scores = best >= -1 and all(loss <= 0 for loss in losses if math.isfinite(loss))
    return min(gain, best + 1) if scores else gain


def mean_least(losses: Sequence[float], count: int) -> float:
    """Return the least of ``count`` of the losses, as the mean over all choices of them.

    >>> mean_least([1.0, 2.0, 4.0], 2)  # the least of 1 and 2, of 1 and 4, of 2 and 4
    1.3333333333333333
    """
    ordered = sorted(loss for loss in losses if math.isfinite(loss))
    ordered += ordered[-1:] * (len(losses) - len(ordered))  # a run without a value is as bad as the worst
    total, share = 0.0, count / len(losses)
    for place, loss in enumerate(ordered[: len(losses) - count + 1]):
        total += share * loss
        rest = len(losses) - place - 1
        share *= (rest - count + 1) / rest if rest else 0.0
    return total if ordered else math.inf
