"""How a sweep goes from one stage to the next, and what there is to see of its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lightsweep.controller.runs import RunEntry, SweepRun, best_entry, values_of
from lightsweep.controller.stage_history import ActiveStage, StageHistory
from lightsweep.sampler import taken_before
from lightsweep.schema import Stage, SweepConfig
from lightsweep.schema.stages import least

if TYPE_CHECKING:
    from lightsweep.controller.reader import SweepReader
    from lightsweep.controller.sweeps import Sweep

__all__ = ["NextRun", "StageView", "decide", "next_fresh_run", "stage_views"]


@dataclass(frozen=True)
class NextRun:
    """What comes next.

    Attributes:
        limit: The first ticket that this does not hold for; ``None`` where it holds for all.
        why: Why there is no run beyond ``limit``; empty where one may come later.
        opens: What a fresh trial says of itself that is the first of a stage.
        wait: Why no run can be handed out until others are over.
    """

    limit: int | None = None
    why: str = ""
    opens: Mapping[str, Any] = field(default_factory=dict)
    wait: str = ""


def next_fresh_run(sweep: SweepReader) -> NextRun:
    """What comes next in a sweep, as of the last look."""
    if sweep.plan.course is None:
        return NextRun(*sweep.plan.limit())
    with sweep.lock:
        return decide(
            sweep.plan.course,
            sweep.config,
            sweep.known_entries,
            sweep.book.next_ticket,
            pending=bool(sweep.running() or sweep.waiting()),
        )


def decide(
    course: StageHistory, config: SweepConfig, entries: Callable[[], Sequence[RunEntry]], tickets: int, *, pending: bool
) -> NextRun:
    """Decide what comes next in a sweep with stages.

    A stage begins when every run before it is over, with the best of them by the rule of
    :attr:`~lightsweep.controller.sweeps.Sweep.best_run`; runs of other sweeps are none of them. A stage whose points
    were all run before, with the same values of the parameters that it does not search, is passed over.

    Args:
        course: The stages so far.
        config: The sweep's config.
        entries: Gives every run, by id.
        tickets: How many tickets were given out.
        pending: Whether a run is in hand, or waits to be started again.
    """
    stage = course.current.stage
    if not course.is_full(tickets):
        return NextRun(course.current.end)
    if course.run_cap is not None and tickets >= course.run_cap:
        return NextRun(tickets, f"run_cap {course.run_cap}")
    if not course.later:
        return NextRun(tickets, f"all {len(course.stages)} stages" if len(course.stages) > 1 else "its one stage")
    if pending:
        after = course.later[0].name
        return NextRun(wait=f"every run of {stage.name!r} was handed out; {after!r} begins when they are over")
    own = [entry for entry in entries() if not entry.prior]
    best = best_entry(own, config)
    values = values_of(best, config) if best is not None else None
    if best is None or values is None:
        metric = config.metric.name if config.metric else ""
        return NextRun(tickets, f"no run has a value of {metric} that {course.later[0].name!r} could go on from")
    before = [found for entry in own if (found := values_of(entry, config)) is not None]
    for later in course.later:
        size = later.space.size
        left = None if size is None else size - len(taken_before(later, later.fixed(values), before))
        if left != 0:
            cap = None if course.run_cap is None else course.run_cap - tickets
            limit = least(later.run_cap, left, cap)
            return NextRun(tickets + 1, opens={"stage": later.number, "limit": limit, "base": best.id})
    return NextRun(tickets, "every point of the stages that are left has run")


@dataclass(frozen=True)
class StageView:
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


def stage_views(sweep: Sweep) -> tuple[StageView, ...]:
    """The stages of a sweep as of the last look at it; none where it has none."""
    course = sweep.plan.course
    if course is None:
        return ()
    with sweep.lock:
        begun = {opened.stage.number: opened for opened in course.opened}
        members: dict[int, list[RunEntry]] = {number: [] for number in begun}
        for entry in sweep.known_entries():
            if entry.ticket is not None:
                members[course.of(entry.ticket).stage.number].append(entry)
        return tuple(
            _begun(sweep, course, begun[stage.number], members[stage.number])
            if stage.number in begun
            else StageView(
                stage, "passed over" if stage.number < course.current.stage.number else "waiting", limit=stage.most
            )
            for stage in course.stages
        )


def _begun(sweep: Sweep, course: StageHistory, opened: ActiveStage, entries: Sequence[RunEntry]) -> StageView:
    open_ = {entry.id for entry in (*sweep.running(), *sweep.waiting())}
    ended = sum(entry.id not in open_ for entry in entries)
    over = opened is not course.current or (course.is_full(opened.start + len(entries)) and ended == len(entries))
    best = best_entry(entries, sweep.config)
    base = sweep.book.entries[opened.base] if opened.base is not None else None
    return StageView(
        opened.stage,
        "over" if over else "running",
        runs=len(entries),
        ended=ended,
        limit=opened.limit,
        best=sweep.view(best) if best is not None else None,
        base=opened.base,
        fixed=opened.stage.fixed(values_of(base, sweep.config) if base is not None else None),
    )
