"""What ends a sweep by itself."""

from __future__ import annotations

from collections.abc import Sequence

from lightsweep.schema.describe import count
from lightsweep.schema.metric import Metric
from lightsweep.schema.scheduler import Scheduler
from lightsweep.schema.stages import Stage, most_runs
from lightsweep.space import Space

__all__ = ["ends"]


def ends(
    method: str,
    space: Space,
    run_cap: int | None,
    metric: Metric | None,
    scheduler: Scheduler | None,
    stages: Sequence[Stage] = (),
) -> str | None:
    """What ends a sweep by itself, whichever comes first, in words; ``None`` where nothing does.

    Of several metrics ``metric`` is the first: its target alone counts.
    """
    size = None if scheduler is not None and scheduler.search_space else space.size
    parts = []
    if stages:
        size = None
        if most_runs(stages) is not None:
            parts.append(f"stages of at most {' + '.join(count(stage.most) for stage in stages)} runs")
    if size is not None and (run_cap is None or size <= run_cap):
        parts.append(f"{'grid' if method == 'grid' else 'space'} of {count(size)}")
    elif run_cap is not None:
        parts.append(f"run_cap {run_cap}")
    if metric is not None and metric.target is not None:
        sign = "<=" if metric.goal == "minimize" else ">="
        parts.append(f"{metric.name} {sign} {metric.target:g}")
    return " or ".join(parts) or None
