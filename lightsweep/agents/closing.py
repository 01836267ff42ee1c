"""What an agent says when it leaves: the best run and how to use it."""

from __future__ import annotations

import yaml

from lightsweep.agents.lines import number
from lightsweep.controller import Sweep, best_run, savings

__all__ = ["closing"]


def closing(sweep: Sweep, left: str) -> str:
    """Why the agent left, the best run of the sweep with its parameters, what stopping saved, and what to do next."""
    runs = sweep.runs
    metric = sweep.config.metric
    lines = [f"left sweep {sweep.id}: {left}"]
    unread = sorted({name for run in runs for name in run.unread})
    if unread:
        lines.append(f"never read by a run, though the sweep varies it: {', '.join(unread)}")
    if runs:
        lines.append(str(savings(((run.state, run.iterations) for run in runs), sweep.config.early_terminate)))
    best = best_run(runs, sweep.config)
    if best is None or best.best is None or metric is None:
        return "\n".join(lines)
    lines.append(f"best run {best.id}: {metric.name} {number(best.best)}")
    shown = yaml.safe_dump(best.config, sort_keys=False, allow_unicode=True, default_flow_style=False)
    lines += [f"  {line}" for line in shown.splitlines()]
    lines.append(f"use it: lightsweep best {sweep.id} --format args   (or yaml, json)")
    return "\n".join(lines)
