"""A sweep at a glance: what its runs come to, without making a view of each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lightsweep.controller.plan import Part
from lightsweep.controller.reader import SweepReader
from lightsweep.controller.runs import RunEntry, SweepRun, best_entry, values_of
from lightsweep.hyperband import Hyperband
from lightsweep.schema import SweepConfig
from lightsweep.schema.stages import Stage
from lightsweep.text import counted

__all__ = ["PartView", "Savings", "SweepSummary", "part_views", "savings", "summarize"]


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
        """``saved / total``, 0 where nothing ran."""
        return self.saved / self.total if self.total else 0.0

    @property
    def text(self) -> str:
        """The numbers in words, without the share."""
        if not self.stopped:
            return "nothing stopped early"
        return f"{counted(self.stopped, 'run')} stopped early, {self.saved:,} of {self.total:,} iterations saved"

    def __str__(self) -> str:
        return f"{self.text} ({self.share:.0%})" if self.stopped else self.text


def savings(runs: Iterable[tuple[str, int, str | None]], config: SweepConfig) -> Savings:
    """Estimate how many iterations early termination saved, each stage by its own runs and its own bands.

    A stopped run is taken to be as long as the longest finished run of its stage; before one finished, as long as
    ``max_iter`` if that is given, else as the longest run so far.

    Args:
        runs: State, number of iterations and name of the stage of each run; ``None`` in a sweep without stages.
        config: The sweep's config.
    """
    stages: dict[str | None, list[tuple[str, int]]] = {}
    for state, iterations, stage in runs:
        stages.setdefault(stage, []).append((state, iterations))
    parts = [_savings(found, config.stopping(stage)) for stage, found in stages.items()]
    return Savings(
        stopped=sum(part.stopped for part in parts),
        saved=sum(part.saved for part in parts),
        total=sum(part.total for part in parts),
    )


def _savings(found: Sequence[tuple[str, int]], hyperband: Hyperband | None) -> Savings:
    finished = [iterations for state, iterations in found if state == "finished"]
    longest = max((iterations for _, iterations in found), default=0)
    length = max(finished) if finished else max(longest, (hyperband and hyperband.max_iter) or 0)
    pruned = [iterations for state, iterations in found if state == "pruned"]
    saved = sum(max(0, length - iterations) for iterations in pruned)
    return Savings(len(pruned), saved, saved + sum(iterations for _, iterations in found))


@dataclass(frozen=True)
class SweepSummary:
    """What the runs of a sweep come to.

    Attributes:
        states: How many runs of its own there are in each state; those that wait to be started again as ``waiting``.
        priors: How many runs of other sweeps it began with; they are part of nothing else here.
        savings: What stopping early saved.
        best: See :attr:`~lightsweep.controller.sweeps.Sweep.best_run`.
        searched: The names of the parameters that are searched, see `SweepConfig.searched`.
        unread: Swept parameters that a run never read, sorted.
        last: The runs with the highest ids.
    """

    states: Counter[str]
    savings: Savings
    best: SweepRun | None
    searched: list[str]
    unread: list[str]
    last: list[SweepRun]
    priors: int = 0

    @property
    def total(self) -> int:
        """Number of runs of its own."""
        return self.states.total()


def summarize(sweep: SweepReader, last: int = 0) -> SweepSummary:
    """The sweep as of the last look at it, with its ``last`` runs."""
    with sweep.lock:
        known = sweep.known_entries()
        entries = [entry for entry in known if not entry.prior]
        ends = [(entry.state, entry.iterations, sweep.part_name(entry.ticket)) for entry in entries]
        best = best_entry(entries, sweep.config)
        return SweepSummary(
            states=Counter("waiting" if sweep.waits(entry) else entry.state for entry in entries),
            savings=savings(ends, sweep.config),
            best=sweep.view(best) if best else None,
            searched=sweep.config.searched(
                (values_of(entry, sweep.config) or {} for entry in entries) if sweep.config.defined_by_run else ()
            ),
            unread=sorted({name for entry in entries for name in entry.summary.get("unread", ())}),
            last=[sweep.view(entry) for entry in entries[-last:]] if last else [],
            priors=len(known) - len(entries),
        )


@dataclass(frozen=True)
class PartView:
    """A stage of a sweep, as it is now.

    Attributes:
        stage: What the sweep file says of it.
        state: ``waiting``, ``running``, ``over``, or ``passed over`` where all of its points were run before.
        runs: How many runs it has.
        ended: How many of them are over.
        limit: How many it can have, at most; ``None`` where nothing limits it.
        best: Its best run; ``None`` where none has a value.
        base: The run whose values it is fixed at; ``None`` for the first stage, and before it begins.
        fixed: The values of the parameters that it does not search; ``None`` before it begins.
    """

    stage: Stage
    state: Literal["waiting", "running", "over", "passed over"]
    runs: int = 0
    ended: int = 0
    limit: int | None = None
    best: SweepRun | None = None
    base: str | None = None
    fixed: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """The same as plain values; what is infinite stays so."""
        return {
            "name": self.stage.name,
            "state": self.state,
            "method": self.stage.method,
            "parameters": list(self.stage.searched),
            "runs": self.runs,
            "ended": self.ended,
            "limit": self.limit,
            "best": None if self.best is None else {"run": self.best.id, "value": self.best.best},
            "base": self.base,
            "fixed": None if self.fixed is None else dict(self.fixed),
        }


def part_views(sweep: SweepReader) -> tuple[PartView, ...]:
    """Return the stages of a sweep as of the last look at it; none for a flat sweep."""
    plan, config = sweep.plan, sweep.config
    with sweep.lock:
        begun = {part.stage.number: part for part in plan.parts}
        members: dict[int, list[RunEntry]] = {number: [] for number in begun}
        for entry in sweep.known_entries():
            if entry.ticket is not None:
                members[plan.part_of(entry.ticket).stage.number].append(entry)
        return tuple(
            _begun(sweep, begun[stage.number], members[stage.number])
            if stage.number in begun
            else PartView(
                stage, "passed over" if stage.number < plan.current.stage.number else "waiting", limit=stage.most
            )
            for stage in config.stages
        )


def _begun(sweep: SweepReader, part: Part, entries: Sequence[RunEntry]) -> PartView:
    open_ = {entry.id for entry in (*sweep.running(), *sweep.waiting())}
    ended = sum(entry.id not in open_ for entry in entries)
    over = part is not sweep.plan.current or (part.is_full(part.start + len(entries)) and ended == len(entries))
    best = best_entry(entries, sweep.config)
    base = sweep.book.entries[part.base] if part.base is not None else None
    return PartView(
        part.stage,
        "over" if over else "running",
        runs=len(entries),
        ended=ended,
        limit=part.limit,
        best=sweep.view(best) if best is not None else None,
        base=part.base,
        fixed=part.stage.fixed(values_of(base, sweep.config) if base is not None else None),
    )
