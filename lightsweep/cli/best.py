"""``lightsweep best`` and ``lightsweep apply``: print the parameters of the best run, or run a command with them."""

from __future__ import annotations

import math
import pprint
from enum import Enum
from typing import Annotated

import typer
import yaml

from lightsweep.agents.apply import apply as run_command
from lightsweep.agents.apply import argument_text
from lightsweep.cli.export import run_document
from lightsweep.cli.options import Storage, SweepId, read_sweep, run_of
from lightsweep.cli.output import say, show_json, without_infinities
from lightsweep.cli.runs import front_table, without_best
from lightsweep.controller import Sweep, SweepRun
from lightsweep.controller.ranking import Front, costs, pareto_front, scores
from lightsweep.errors import LightsweepError, UsageError, closest
from lightsweep.text import number


class Format(str, Enum):
    """The forms in which parameters are printed."""

    yaml = "yaml"
    json = "json"
    args = "args"
    python = "python"


def best(
    sweep_id: SweepId,
    format_: Annotated[Format, typer.Option("--format", help="YAML, JSON, arguments, or a Python dict.")] = Format.yaml,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of the run as JSON, not only its parameters.")] = (
        False
    ),
    by: Annotated[
        str | None,
        typer.Option(metavar="METRIC", help="Of several metrics, the one to choose by; the first by default."),
    ] = None,
    storage: Storage = None,
) -> None:
    """Print the parameters of the best run.

    They go to stdout; the id and the value of the run go to stderr. Of a sweep with several metrics it is the best
    run by one of them, and the whole Pareto front goes to stderr.

    For example: python train.py $(lightsweep best latest --format args)
    """
    sweep = read_sweep(sweep_id, storage)
    run, front = _best_run(sweep, by=by)
    if as_json:
        show_json(run_document(run) | ({"front": front.documents(sweep.config)} if front is not None else {}))
    elif format_ is Format.yaml:
        print(yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True), end="")
    elif format_ is Format.json:
        show_json(without_infinities(run.config))
    elif format_ is Format.python:
        print(_Printer(width=100, sort_dicts=False).pformat(run.config))
    else:
        print(argument_text(sweep, run))


class _Printer(pprint.PrettyPrinter):
    """Prints a dict that Python reads back equal."""

    def format(self, value: object, context: dict[int, int], maxlevels: int, level: int, /) -> tuple[str, bool, bool]:
        if isinstance(value, float) and math.isinf(value):  # which has no literal of its own
            return ("1e999" if value > 0 else "-1e999"), True, False
        return super().format(value, context, maxlevels, level)


def apply(
    sweep_id: SweepId,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="Macros as in a sweep file; the sweep's own command by default."),
    ] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="Id of another run than the best one.")] = None,
    storage: Storage = None,
) -> None:
    """Run a command with the parameters of the best run.

    The parameters are in its arguments and in `lightsweep.init()`.

    For example: lightsweep apply latest -- python train.py '${args}' --epochs=100
    """
    sweep = read_sweep(sweep_id, storage)
    chosen = _best_run(sweep, "; choose a run with --run")[0] if run is None else _named(sweep, run)
    if chosen.prior:
        raise UsageError(f"run {chosen.id} is a prior run, {chosen.reason}; apply it from the sweep that ran it")
    raise typer.Exit(run_command(sweep, chosen, command or ()))


def _best_run(sweep: Sweep, remedy: str = "", by: str | None = None) -> tuple[SweepRun, Front[SweepRun] | None]:
    """Return the best run, and of a sweep with several metrics the Pareto front, which is printed too."""
    metric, names = sweep.config.metric, [metric.name for metric in sweep.config.metrics]
    if metric is None:
        raise LightsweepError(f"sweep {sweep.id} has no metric, so no run is the best{remedy}")
    if by is not None and by not in names:
        meant = closest(by, names) or f"; --by takes one of {', '.join(names)}"
        raise UsageError(f"the sweep does not improve {by!r}{meant}")
    if len(names) == 1:
        run = sweep.best_run
        if run is None:
            why = without_best(sweep) or f"no run has logged a finite {metric.name!r} yet"
            raise LightsweepError(f"sweep {sweep.id}: {why}{remedy}")
        score = scores(sweep.known_runs(), sweep.config).get(run.group or "")
        if score is None:
            _announce(sweep, run)
        else:
            say(f"group {run.group}: {metric.name} {score}; its best is run {run.id}", error=True)
        return run, None
    front = pareto_front(sweep.runs, sweep.config)
    if not front.runs:
        why = without_best(sweep) or f"no run has ended with a finite {' and '.join(map(repr, names))} yet"
        raise LightsweepError(f"sweep {sweep.id}: {why}{remedy}")
    place = names.index(by) if by is not None else 0
    points = costs(front.values, sweep.config)
    run = front.runs[min(front.members, key=lambda index: points[index][place])]
    say(front.text, error=True)
    for line in front_table(sweep, front):
        say(f"  {line}", error=True)
    say(
        f"run {run.id} is the best by {names[place]}; another: lightsweep show {sweep.id} RUN, or --by METRIC",
        error=True,
    )
    return run, front


def _named(sweep: Sweep, run_id: str) -> SweepRun:
    run = run_of(sweep, run_id)
    _announce(sweep, run)
    return run


def _announce(sweep: Sweep, run: SweepRun) -> None:
    metric = sweep.config.metric
    value = f": {metric.name} {number(run.best)}" if metric and run.best is not None else ""
    say(f"run {run.id} ({run.standing}){value}", error=True)
