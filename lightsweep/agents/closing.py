"""What an agent says when it leaves: the best run and how to use it."""

from __future__ import annotations

import shlex

import yaml

from lightsweep.controller import Refresher, Sweep, SweepSummary, summarize
from lightsweep.storage import default_url
from lightsweep.text import number, printable

__all__ = ["closing", "storage_option", "without_result"]


def closing(sweep: Sweep, left: str) -> str:
    """Why the agent left, the best run of the sweep with its parameters, what stopping saved, and what to do next."""
    refresher = Refresher(sweep)
    if not refresher.refresh():
        left = f"{left}; the storage does not answer, so this is what was known before"
    refresher.close()
    seen = summarize(sweep)
    metric, best = sweep.config.metric, seen.best
    lines = [f"left sweep {sweep.id}: {left}"]
    if lacking := without_result(sweep, seen):
        lines.append(lacking)
    if seen.unread:
        lines.append(f"never read by a run, though the sweep varies it: {', '.join(seen.unread)}")
    if seen.total and sweep.config.stops_early:
        lines.append(str(seen.savings))
    if best is None or best.best is None or metric is None:
        return "\n".join(map(printable, lines))
    lines.append(f"best run {best.id}: {metric.name} {number(best.best)}")
    shown = yaml.safe_dump(best.config, sort_keys=False, allow_unicode=True, default_flow_style=False)
    lines += [f"  {line}" for line in shown.splitlines()]
    lines.append(f"use it: lightsweep best {sweep.id} --format args{storage_option(sweep)}   (or yaml, json)")
    return "\n".join(map(printable, lines))


def without_result(sweep: Sweep, seen: SweepSummary) -> str:
    """How many runs ended without a result, and how to start them again, once nothing else is left to begin."""
    failed, killed = seen.states["failed"], seen.states["killed"]
    count = failed + killed
    if not count or not sweep.spent():
        return ""
    what = "point" if sweep.config.method == "grid" and not sweep.config.stages else "run"
    whose = f"{count:,} {what} has" if count == 1 else f"{count:,} {what}s have"
    how = ", ".join(f"{how_many:,} {state}" for how_many, state in ((failed, "failed"), (killed, "killed")) if how_many)
    return f"{whose} no result ({how}): lightsweep retry {sweep.id} --failed{storage_option(sweep)}"


def storage_option(sweep: Sweep) -> str:
    """`` --storage URL`` where a command would not find the sweep without it; never a password."""
    return "" if sweep.storage.url == default_url() else f" --storage {shlex.quote(str(sweep.storage))}"
