"""The stages of a sweep as lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from lightsweep.agents.displays.lines import number, parameters, plain
from lightsweep.cli.tables import aligned
from lightsweep.controller import StageView

__all__ = ["now", "progress", "table"]


def progress(view: StageView) -> str:
    """How many of the runs of a stage are over: ``5 of 12``."""
    return f"{view.ended} of {view.limit:,}" if view.limit is not None else str(view.ended)


def now(views: Sequence[StageView]) -> str:
    """Where a sweep stands in its stages: ``stage 2 of 3, architecture: 5 of 12 runs over``."""
    begun = [view for view in views if view.fixed is not None]
    current = begun[-1]
    base = f", from run {current.base}" if current.base is not None else ""
    return plain(
        f"stage {current.stage.number} of {len(views)}, {current.stage.name}: {progress(current)} runs over{base}"
    )


def table(views: Sequence[StageView], names: list[str]) -> str:
    """A line for each stage, with what its best run had of the parameters ``names`` that it searches."""
    rows = [
        [
            plain(view.stage.name),
            view.state,
            view.stage.method,
            progress(view),
            view.base or "–",
            f"{number(view.best.best)} ({view.best.id})" if view.best and view.best.best is not None else "–",
            plain(parameters(view.best.values, [name for name in names if name in view.stage.searched]))
            if view.best
            else plain(", ".join(view.stage.searched)),
        ]
        for view in views
    ]
    return aligned(["stage", "state", "method", "runs over", "from run", "best (run)", "searched"], rows)
