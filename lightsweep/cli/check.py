"""``lightsweep check``: what a sweep file means, and whether its program is ready for it."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lightsweep.agents.findings import findings
from lightsweep.agents.launchers.process import check_program, find_program
from lightsweep.agents.signals import handled
from lightsweep.agents.smoke import smoke_run
from lightsweep.cli.options import Config, StandIn
from lightsweep.cli.output import say
from lightsweep.cli.wandb_names import LABELS, imports_wandb, uses_of_wandb
from lightsweep.client.loaders import SMOKE_STEPS
from lightsweep.controller.changes import check_takes_prior_runs
from lightsweep.controller.runs import nested
from lightsweep.errors import CommandError
from lightsweep.sampler import Observation, RunState, make_searcher
from lightsweep.schema import SweepConfig, explain
from lightsweep.schema.command import DEFAULT_COMMAND, MACRO, SEVERAL, build_command
from lightsweep.schema.explanation import entry
from lightsweep.schema.nesting import Group, arguments, passed_groups
from lightsweep.schema.source import program_file, read_modules
from lightsweep.text import counted, parameters, printable

_MARKS = {True: "ok", False: "WRONG", None: "-"}
_SAMPLES = 3
STAND_IN = "write `import lightsweep as wandb`, or let lightsweep stand in for it: `lightsweep: {stand_in: wandb}`"
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
    stand_in: StandIn = None,
) -> None:
    """Validate a sweep file and show what the sweep would do.

    That is its parameters, grid, bands and stages, three sample commands, and when it ends.
    """
    loaded = SweepConfig.load(config).standing_in(stand_in)
    if loaded.options.prior_runs:
        check_takes_prior_runs(loaded)  # as `lightsweep sweep` will; only the storage knows whether they exist
    terminal = sys.stdout.isatty()
    say(explain(loaded, whole=not terminal, width=max(80, shutil.get_terminal_size().columns) if terminal else 120))
    directory = str(Path(config).resolve().parent)
    program = find_program(loaded, directory)
    for line in (*_groups(passed_groups(loaded, program, loaded.command)), *_names(loaded, program)):
        say(line)
    points = _points(loaded)
    say(_samples(loaded, points, program))
    check_program(loaded, directory)
    if smoke:
        if not points:
            raise CommandError("the sweep has no point to try")
        raise typer.Exit(_smoke(loaded, points[0], smoke_timeout, steps))


def _points(config: SweepConfig) -> list[Mapping[str, Any]]:
    """Return the values of the first runs, drawn as an agent draws them."""
    searcher = make_searcher(config, config.options.seed or 0)
    drawn: list[Observation] = []
    while len(drawn) < _SAMPLES and (values := searcher.suggest(len(drawn), drawn)) is not None:
        drawn.append(Observation(str(len(drawn)), len(drawn), values, RunState.RUNNING))
    return [each.values for each in drawn]


def _groups(groups: list[Group]) -> list[str]:
    """Return the lines on the form of nested groups; one for all groups with the same form and reason."""
    alike: dict[str, list[str]] = {}
    for group in groups:
        form = f"--{group.name}={{...}}" if group.as_json else f"--{group.name}.NAME=..."
        alike.setdefault(group.reason, []).append(form)
    return [line for reason, forms in alike.items() for line in entry("nested", f"{', '.join(forms)}: {reason}")]


def _names(config: SweepConfig, program: str | None) -> list[str]:
    """Return the lines on names of W&B in the program's source that do not work as in W&B; one for equal remarks."""
    start = program_file(program, config.command) if program is not None or config.command is not None else None
    if start is None:
        return []
    modules, stand_in = read_modules(*start), config.options.stand_in == "wandb"
    alike: dict[tuple[str, str], list[str]] = {}
    for use in uses_of_wandb(modules, stand_in=stand_in):
        alike.setdefault((LABELS[use.kind], use.says), []).append(f"{use.name} ({use.file}:{use.line})")
    lines = [line for (label, says), uses in alike.items() for line in entry(label, f"{', '.join(uses)}: {says}")]
    if not stand_in and (place := imports_wandb(modules)):
        file, line = place
        text = f"{file}:{line} imports W&B itself, which reports nothing to the sweep"
        lines += entry("warning", f"{text}; {STAND_IN}")
    return lines


def _samples(config: SweepConfig, points: list[Mapping[str, Any]], program: str | None) -> str:
    runs_program = config.program is not None or config.command is not None
    values = [f"  {', '.join(f'{name}={value!r}' for name, value in point.items())}" for point in points]
    try:
        commands = [f"  {_command(config, point, program)}" for point in points] if runs_program else []
    except CommandError as error:
        return f"\nsample commands: {error}"
    of_first = f" of {config.parts[0].name!r}" if config.parts[0].name else ""
    lines = ["", f"sample commands{of_first}:", *commands]
    if not runs_program:
        lines = ["", f"sample parameters (for a function){of_first}:", *values]
    elif commands and not _passes_parameters(config, points[0]):
        lines = ["", "command of every run, without parameters (pass them with ${args}, or read them by init()):"]
        lines += [commands[0], "", f"sample parameters that init() gives the script{of_first}:", *values]
    if config.scheduler is not None and (config.scheduler.optimizer or config.scheduler.search_space):
        lines += ["", f"check executed the Python file {config.scheduler.source}, as scheduler.source says"]
    return "\n".join(lines)


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


def _smoke(config: SweepConfig, values: Mapping[str, Any], timeout: float, steps: int) -> int:
    """Run the program once with sampled parameters, print the findings, and return the exit code.

    Args:
        config: The sweep's config.
        values: The parameters.
        timeout: Seconds after which the program is ended.
        steps: Training steps, and batches of each pass over a loader.

    Raises:
        InputError: The sweep has no program, or the program does not exist.
    """
    say(f"\nsmoke run outside of any sweep, with {parameters(values, list(values))}")
    # SIGTERM unwinds the stack, so that the program ends with this process.
    with handled({signal.SIGTERM: lambda number, _: sys.exit(128 + number)}):
        seen = smoke_run(config, values, timeout=timeout, steps=steps)
    found = findings(config, seen, timeout)
    width = max(40, min(shutil.get_terminal_size().columns, 120))
    for finding in found:
        mark = f"  {_MARKS[finding.right]:<6}"
        wrapped = textwrap.wrap(
            printable(finding.text), width - len(mark), break_on_hyphens=False, break_long_words=False
        )
        say(mark + f"\n{' ' * len(mark)}".join(wrapped))
    wrong = sum(finding.right is False for finding in found)
    if not wrong:
        say("the script is ready for the sweep")
        return 0
    if seen.output:
        say("the last lines of its output:")
        say("\n".join(f"  | {printable(line)}" for line in seen.output))
    say(f"{counted(wrong, 'thing')} to correct before a sweep")
    return 1
