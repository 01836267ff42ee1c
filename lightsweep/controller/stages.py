"""Decide how a sweep goes from one stage to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightsweep.controller.runs import RunEntry, best_entry, values_of
from lightsweep.controller.stage_history import StageHistory
from lightsweep.sampler import taken_before
from lightsweep.schema import SweepConfig
from lightsweep.schema.stages import least

__all__ = ["NextRun", "decide"]


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
