"""``lightsweep check``: what a sweep file means, and whether its program is ready for it."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from lightsweep.agents.findings import Finding, findings
from lightsweep.agents.launchers.process import check_program, find_program
from lightsweep.agents.signals import handled
from lightsweep.agents.smoke import smoke_run
from lightsweep.cli.options import Config, Json, StandIn
from lightsweep.cli.output import columns, say, show_json, without_infinities
from lightsweep.cli.wandb_names import LABELS, reports_to_wandb_only, uses_of_wandb
from lightsweep.client.loaders import SMOKE_STEPS
from lightsweep.controller.changes import check_takes_prior_runs
from lightsweep.controller.plan import sample_runs
from lightsweep.controller.runs import nested
from lightsweep.errors import CommandError
from lightsweep.schema import SweepConfig, explain
from lightsweep.schema.command import DEFAULT_COMMAND, MACRO, SEVERAL, build_command
from lightsweep.schema.distributions import spelt
from lightsweep.schema.explanation import LABEL, entry
from lightsweep.schema.nesting import Group, arguments, passed_groups
from lightsweep.schema.source import program_file, read_modules
from lightsweep.text import counted, paint, parameters, printable

_MARKS = {True: ("ok", "green"), False: ("WRONG", "red"), None: ("-", "")}
_BANDS = 12
_SAMPLES = 3
_JSON_FILE = "lightsweep_runs/SWEEP/RUN/parameters.json"


def check(
    config: Config,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Also run the program for a few steps, outside of any sweep.")
    ] = False,
    smoke_timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="End the smoke run after this time.")
    ] = 300.0,
    steps: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Training steps of the smoke run, and batches of each pass over a DataLoader; below 5 also reports.",
        ),
    ] = SMOKE_STEPS,
    as_json: Json = False,
    stand_in: StandIn = None,
) -> None:
    """Validate a sweep file and show what the sweep would do.

    That is its parameters, grid, bands and stages, three sample commands, and when it ends.

    For example: lightsweep check sweep.yaml --smoke
    """
    loaded = SweepConfig.load(config).standing_in(stand_in)
    if loaded.options.prior_runs:
        check_takes_prior_runs(loaded)  # as `lightsweep sweep` will; only the storage knows whether they exist
    directory = str(Path(config).resolve().parent)
    program = find_program(loaded, directory)
    points = sample_runs(loaded, _SAMPLES)
    width = columns()
    lines = explain(loaded, whole=width is None, width=max(80, width or 120)).splitlines()
    lines += [*_groups(passed_groups(loaded, program, loaded.command)), *_names(loaded, program)]
    lines += _samples(loaded, points, program).split("\n")
    if not as_json:  # at once, since the samples take a moment
        say("\n".join(map(_dressed, lines)))
    check_program(loaded, directory)
    if smoke and not points:
        raise CommandError("the sweep has no point to try")
    found = _smoke(loaded, points[0][1], smoke_timeout, steps, quiet=as_json) if smoke else None
    if as_json:
        show_json(_document(loaded, points, program, found))
    if found is not None:
        raise typer.Exit(int(any(finding.right is False for finding in found)))


def _dressed(line: str) -> str:
    """Return a line of the text with its label in bold, and a warning in yellow."""
    label, text = line[:LABEL], line[LABEL:]
    if not label.strip() or label.startswith(" ") or not text or line.endswith(":"):
        return paint(line, "bold") if line.endswith(":") else line
    return paint(label, "yellow" if label.startswith("warning") else "bold") + text


def _document(
    config: SweepConfig,
    points: Sequence[tuple[str, Mapping[str, Any]]],
    program: str | None,
    found: Sequence[Finding] | None,
) -> dict[str, Any]:
    """Return what the text says, for programs."""
    try:
        commands = [_command(config, point, program) for _, point in points] if _runs_program(config) else []
    except CommandError:
        commands = []
    bands = config.rule
    smoke = {"smoke": [{"right": each.right, "text": each.text} for each in found]} if found is not None else {}
    return {
        "file": config.source,
        "name": config.name,
        "method": config.method,
        "metrics": [{"name": metric.name, "goal": metric.goal, "target": metric.target} for metric in config.metrics],
        "parameters": [
            {
                "name": parameter.name,
                "distribution": parameter.distribution.traits.kind,
                "range": parameter.distribution.describe(spelt),
                "values": parameter.distribution.size,
            }
            for parameter in config.space.parameters
        ],
        "points": config.space.size,
        "stopping": bands.text if bands is not None else None,
        "bands": list(bands.first(_BANDS)) if bands is not None else [],
        "ends": config.ends,
        "warnings": [{"line": each.line, "key": each.where, "message": each.message} for each in config.warnings],
        "samples": [without_infinities(dict(values)) for _, values in points],
        "commands": commands,
        **smoke,
    }


def _groups(groups: list[Group]) -> list[str]:
    """Return the lines on the form of nested groups; one for all groups with the same form and reason."""
    alike: dict[str, list[str]] = {}
    for group in groups:
        form = f"--{group.name}={{...}}" if group.as_json else f"--{group.name}.NAME=..."
        alike.setdefault(group.reason, []).append(form)
    return [line for reason, forms in alike.items() for line in entry("nested", f"{', '.join(forms)}: {reason}")]


def _names(config: SweepConfig, program: str | None) -> list[str]:
    """Return the lines on names of W&B in the program's source that do not work as in W&B; one for equal remarks."""
    start = program_file(program, config.command)
    if start is None:
        return []
    modules, stand_in = read_modules(*start), config.options.stand_in == "wandb"
    alike: dict[tuple[str, str], list[str]] = {}
    for use in uses_of_wandb(modules, stand_in=stand_in):
        alike.setdefault((LABELS[use.kind], use.says), []).append(f"{use.name} ({use.file}:{use.line})")
    lines = [line for (label, says), uses in alike.items() for line in entry(label, f"{', '.join(uses)}: {says}")]
    if not stand_in and (warning := reports_to_wandb_only(modules)):
        lines += entry("warning", warning)
    return lines


def _runs_program(config: SweepConfig) -> bool:
    return config.program is not None or config.command is not None


def _samples(config: SweepConfig, points: Sequence[tuple[str, Mapping[str, Any]]], program: str | None) -> str:
    values = [f"  {', '.join(f'{name}={value!r}' for name, value in point.items())}" for _, point in points]
    try:
        commands = [f"  {_command(config, point, program)}" for _, point in points] if _runs_program(config) else []
    except CommandError as error:
        return f"\nsample commands: {error}"
    names = [name for name, _ in points]
    if not _runs_program(config):
        lines = _by_part("sample parameters (for a function)", names, values)
    elif commands and not _passes_parameters(config, points[0][1]):
        lines = ["", "command of every run, without parameters (pass them with ${args}, or read them by init()):"]
        lines += [commands[0], *_by_part("sample parameters that init() gives the script", names, values)]
    else:
        lines = _by_part("sample commands", names, commands)
    if config.scheduler is not None and (config.scheduler.optimizer or config.scheduler.search_space):
        lines += ["", f"check executed the Python file {config.scheduler.source}, as scheduler.source says"]
    return "\n".join(lines)


def _by_part(title: str, names: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Return the lines below a title, or below one for each part of the sweep."""
    found: list[str] = [] if lines else ["", f"{title}:"]
    for name, group in groupby(zip(names, lines, strict=True), key=lambda each: each[0]):
        later = ", with the values of the run above as the best" if found else ""
        found += ["", f"{title}{f' of {name!r}' if name else ''}{later}:", *(line for _, line in group)]
    return found


def _passes_parameters(config: SweepConfig, values: Mapping[str, Any]) -> bool:
    """Return whether the command line of a run holds any of its parameters."""
    names = {name for item in config.command or DEFAULT_COMMAND for name in MACRO.findall(item)}
    return not names.isdisjoint({*SEVERAL, "args_json", "args_json_file", *values, *nested(values, config)})


def _command(config: SweepConfig, values: Mapping[str, Any], program: str | None) -> str:
    """Return the command of a run, and below it the content of its file of parameters if it has one."""
    config_of_run = nested(values, config)
    with tempfile.TemporaryDirectory(prefix="lightsweep-check-") as scratch:
        path = Path(scratch) / "parameters.json"
        passed = arguments(config, values, program, config.command)
        command = build_command(config.program, config.command, values, config_of_run, json_path=path, passed=passed)
        line = shlex.join(item.replace(str(path), _JSON_FILE) for item in command)
        return f"{line}\n    {_JSON_FILE}: {json.dumps(config_of_run)}" if path.exists() else line


def _smoke(config: SweepConfig, values: Mapping[str, Any], timeout: float, steps: int, *, quiet: bool) -> list[Finding]:
    """Run the program once with sampled parameters, print the findings unless ``quiet``, and return them.

    Args:
        config: The sweep's config.
        values: The parameters.
        timeout: Seconds after which the program is ended.
        steps: Training steps, and batches of each pass over a loader.
        quiet: Print nothing.

    Raises:
        InputError: The sweep has no program, or the program does not exist.
    """
    if not quiet:
        say(f"\nsmoke run outside of any sweep, with {parameters(values, list(values))}")
    # SIGTERM unwinds the stack, so that the program ends with this process.
    with handled({signal.SIGTERM: lambda number, _: sys.exit(128 + number)}):
        seen = smoke_run(config, values, timeout=timeout, steps=steps)
    found = findings(config, seen, timeout)
    if quiet:
        return found
    width = max(40, min(shutil.get_terminal_size().columns, 120))
    for finding in found:
        mark, style = _MARKS[finding.right]
        indent = " " * 8
        wrapped = textwrap.wrap(printable(finding.text), width - 8, break_on_hyphens=False, break_long_words=False)
        say(f"  {paint(f'{mark:<6}', style)}" + f"\n{indent}".join(wrapped))
    wrong = sum(finding.right is False for finding in found)
    if not wrong:
        say("the script is ready for the sweep", style="green")
        return found
    if seen.output:
        say("the last lines of its output:")
        say("\n".join(f"  | {printable(line)}" for line in seen.output), style="dim")
    say(f"{counted(wrong, 'thing')} to correct before a sweep", style="red")
    return found
