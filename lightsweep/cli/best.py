"""``lightsweep best``: the best run's parameters, ready to use."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from lightsweep.cli.options import Storage, SweepId

__all__ = ["Format", "best"]


class Format(str, Enum):
    """How parameters are written."""

    yaml = "yaml"
    json = "json"
    args = "args"
    python = "python"


def best(
    sweep_id: SweepId,
    format_: Annotated[Format, typer.Option("--format", help="yaml, json, arguments, or a Python dict.")] = Format.yaml,
    storage: Storage = None,
) -> None:
    """Print the parameters of the best run on stdout, and which run that is on stderr."""
    import yaml

    from lightsweep.cli.output import looking
    from lightsweep.cli.status import without_infinities
    from lightsweep.controller import Sweep
    from lightsweep.errors import LightsweepError
    from lightsweep.schema.command import build_command
    from lightsweep.text import number

    sweep = Sweep.load(sweep_id, storage=looking(storage))
    metric = sweep.config.metric
    if metric is None:
        raise LightsweepError(f"sweep {sweep.id} has no metric, so no run of it is the best")
    run = sweep.best_run
    if run is None or run.best is None:
        raise LightsweepError(
            f"sweep {sweep.id}: no run has logged a finite {metric.name!r} yet, so there is no best one"
        )
    print(f"run {run.id} ({run.standing}): {metric.name} {number(run.best)}", file=sys.stderr)
    if format_ is Format.yaml:
        print(yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True), end="")
    elif format_ is Format.json:
        print(json.dumps(without_infinities(run.config), indent=2, allow_nan=False))
    elif format_ is Format.python:
        print(_literal(run.config))
    else:
        arguments = build_command(None, ["lightsweep", "${args}"], run.values, run.config, json_path=Path(os.devnull))
        print(shlex.join(arguments[1:]))


def _literal(config: Mapping[str, Any]) -> str:
    """A dict that Python reads back as it was, one entry a line where it does not fit into one."""
    import pprint

    class Printer(pprint.PrettyPrinter):
        def format(
            self, value: object, context: dict[int, int], maxlevels: int, level: int, /
        ) -> tuple[str, bool, bool]:
            if isinstance(value, float) and math.isinf(value):  # which has no literal of its own
                return ("1e999" if value > 0 else "-1e999"), True, False
            return super().format(value, context, maxlevels, level)

    return Printer(width=100, sort_dicts=False).pformat(config)
