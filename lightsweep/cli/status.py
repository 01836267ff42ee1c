"""``lightsweep status``: where a sweep stands."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightsweep.cli.options import Storage, SweepId

if TYPE_CHECKING:
    from lightsweep.controller import Sweep, SweepRun

__all__ = ["document", "status", "without_infinities"]

_SHOWN = 20
_REASON_WIDTH = 80
_STATES = ("running", "waiting", "finished", "pruned", "failed", "killed")


def status(
    sweep_id: SweepId,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the sweep until it is over, or until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="How often to look, with --watch.")] = 2.0,
    storage: Storage = None,
) -> None:
    """Show a sweep: its state, its runs by state, the best so far, what stopping early saved."""
    from lightsweep.cli.output import looking
    from lightsweep.controller import Sweep
    from lightsweep.errors import UsageError

    if watch and as_json:
        raise UsageError("--watch is for reading along and --json is for programs: give one of them")
    sweep = Sweep.load(sweep_id, storage=looking(storage))
    if watch:
        from rich.console import Console

        from lightsweep.cli.live_view import watch as follow

        follow(sweep, Console(highlight=False), every)
        return
    print(json.dumps(document(sweep), indent=2, allow_nan=False) if as_json else _text(sweep))


def document(sweep: Sweep) -> dict[str, Any]:
    """The JSON document of a sweep; metrics that are not finite become null, such parameters text (``"inf"``).

    Only a sweep with stages has the keys ``stages`` and, in its runs, ``stage``; only a prior run has ``prior``.
    """
    from lightsweep.cli.output import progress_document

    state = sweep.state
    metric = sweep.config.metric
    return {
        "id": sweep.id,
        "name": sweep.config.name,
        "state": state.name,
        "reason": state.reason,
        "method": sweep.config.method,
        "metric": {"name": metric.name, "goal": metric.goal} if metric else None,
        "storage": str(sweep.storage),
        **without_infinities(progress_document(sweep)),
        "runs": [run_document(run) for run in sweep.known_runs()],
    }


def run_document(run: SweepRun) -> dict[str, Any]:
    """The JSON document of a run."""
    from lightsweep.controller.runs import json_number

    return {
        "id": run.id,
        "state": run.state,
        "config": without_infinities(run.config),
        "best": json_number(run.best),
        "last": json_number(run.last),
        "iterations": run.iterations,
        "started": run.started.isoformat() if run.started else None,
        "ended": run.ended.isoformat() if run.ended else None,
        "reason": run.reason,
        "unread": list(run.unread),
        **run.labels,
        **({"prior": True} if run.prior else {}),
    }


def without_infinities(value: Any) -> Any:
    """``value`` for a JSON document, which has no infinities: they become text, ``"inf"``."""
    if isinstance(value, dict):
        return {key: without_infinities(below) for key, below in value.items()}
    if isinstance(value, list):
        return [without_infinities(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(sweep: Sweep) -> str:
    from lightsweep.agents.closing import without_result
    from lightsweep.cli.output import aligned, besides, parameter_count, progress_lines, table
    from lightsweep.controller import part_views, summarize
    from lightsweep.text import counted, number, parameters, printable, shortened

    state = sweep.state
    seen = summarize(sweep, _SHOWN)
    searched = seen.searched
    views, labels = part_views(sweep), sweep.config.labels
    metric = sweep.config.metric
    title = f"sweep {sweep.id}" + (f" ({printable(sweep.config.name)})" if sweep.config.name else "")
    lines = [
        f"{title}: {state}",
        (sweep.config.method if sweep.config.is_flat else f"in {counted(len(views), *labels)}")
        + f" over {parameter_count(sweep.config, searched)}"
        + (f", {metric.goal} {printable(metric.name)}" if metric else ""),
        (", ".join(f"{seen.states[name]} {name}" for name in _STATES if seen.states[name]) or "no runs yet")
        + besides(seen.priors),
    ]
    if lacking := without_result(sweep, seen):
        lines.append(lacking)
    if sweep.config.stops_early:
        lines.append(str(seen.savings))
    if (best := seen.best) is not None and best.best is not None and metric is not None:
        lines.append(
            f"best: run {best.id}, {printable(metric.name)} {number(best.best)}: {parameters(best.values, searched)}"
        )
    if seen.unread:
        lines.append(f"never read by a run, though the sweep varies it: {printable(', '.join(seen.unread))}")
    if views:
        lines += [progress_lines(views)[0], "", table(views, searched)]
    if seen.last:
        rows = [
            [
                run.id,
                *(printable(run.labels.get(name, "–"))[:20] for name in labels),
                run.standing,
                str(run.iterations),
                number(run.best) if run.best is not None else "–",
                shortened(printable(run.reason or parameters(run.values, searched)), _REASON_WIDTH),
            ]
            for run in seen.last
        ]
        lines.append("")
        if seen.total > _SHOWN:
            lines.append(f"the last {_SHOWN} of {seen.total} runs (all with --json or `lightsweep export`):")
        heading = ["run", *labels, "state", "iterations", "best", "reason or parameters"]
        lines.append(aligned(heading, rows))
    return "\n".join(lines)
