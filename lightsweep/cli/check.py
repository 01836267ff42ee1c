"""``lightsweep check``: validate a sweep file and show what it would do."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lightsweep.cli.options import Config
from lightsweep.cli.output import say
from lightsweep.client.run import SMOKE_STEPS

if TYPE_CHECKING:
    from lightsweep.schema import SweepConfig

__all__ = ["check", "run_smoke"]

_MARKS = {True: "ok", False: "WRONG", None: "-"}


def run_smoke(config: SweepConfig, timeout: float, steps: int) -> int:
    """Run the program once with sampled parameters and print the report; the exit code.

    Args:
        config: The sweep's config.
        timeout: Seconds after which the program is ended.
        steps: How many steps of training it takes, and batches of each pass over a loader.

    Raises:
        InputError: There is no program to run, or none of that name.
    """
    from lightsweep.agents.findings import findings
    from lightsweep.agents.smoke import smoke_run
    from lightsweep.errors import CommandError
    from lightsweep.text import parameters, printable

    values = _sample(config)
    if values is None:
        raise CommandError("the sweep has no point to try")
    shown = parameters(values, list(values))
    say(f"\nsmoke run outside of any sweep, with {printable(shown)}")
    with _ending_by_sigterm():
        seen = smoke_run(config, values, timeout=timeout, steps=steps)
    found = findings(config, seen, timeout)
    for finding in found:
        say(_entry(f"  {_MARKS[finding.right]:<6}", printable(finding.text)))
    wrong = sum(finding.right is False for finding in found)
    if not wrong:
        say("the script is ready for the sweep")
        return 0
    if seen.output:
        say("the last that it printed:")
        say("\n".join(f"  | {printable(line)}" for line in seen.output))
    say(f"{wrong} thing{'s' if wrong > 1 else ''} to correct before a sweep")
    return 1


@contextmanager
def _ending_by_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that the program is ended with this process."""
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _entry(mark: str, text: str) -> str:
    width = max(40, min(shutil.get_terminal_size().columns, 120))
    wrapped = textwrap.wrap(text, width - len(mark), break_on_hyphens=False, break_long_words=False)
    return mark + f"\n{' ' * len(mark)}".join(wrapped)


def _sample(config: SweepConfig) -> Mapping[str, Any] | None:
    """The first of the sample commands."""
    from lightsweep.sampler import make_searcher

    return make_searcher(config, config.options.seed or 0).suggest(0, [])


_SAMPLES = 3
_JSON_FILE = "lightsweep_runs/SWEEP/RUN/parameters.json"


def check(
    config: Config,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Run the program once, on one batch, outside of any sweep.")
    ] = False,
    smoke_timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="End the smoke run after this time.")
    ] = 300.0,
    steps: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Training steps of the smoke run, batches of each pass over a DataLoader; below 5 also reports.",
        ),
    ] = SMOKE_STEPS,
) -> None:
    """Validate a sweep file: its space, grid, bands, stages, three sample commands, and whether it ever ends."""
    from lightsweep.agents.launchers.process import check_program
    from lightsweep.schema import SweepConfig, explain

    loaded = SweepConfig.load(config)
    if loaded.options.prior_runs:
        from lightsweep.controller import check_takes_prior_runs

        check_takes_prior_runs(loaded)  # as `lightsweep sweep` will; that they exist only the storage can tell
    terminal = sys.stdout.isatty()
    say(explain(loaded, whole=not terminal, width=max(80, shutil.get_terminal_size().columns) if terminal else 120))
    say(_samples(loaded))
    check_program(loaded, str(Path(config).resolve().parent))
    if smoke:
        raise typer.Exit(run_smoke(loaded, smoke_timeout, steps))


def _samples(config: SweepConfig) -> str:
    from lightsweep.errors import CommandError
    from lightsweep.sampler import Observation, make_searcher

    searcher = make_searcher(config, config.options.seed or 0)
    drawn: list[Observation] = []
    points: list[Mapping[str, Any]] = []
    while len(points) < _SAMPLES and (values := searcher.suggest(len(points), drawn)) is not None:
        drawn.append(Observation(str(len(points)), len(points), values, "running"))
        points.append(values)
    runs_program = config.program is not None or config.command is not None
    parameters = [f"  {', '.join(f'{name}={value!r}' for name, value in point.items())}" for point in points]
    try:
        commands = [f"  {_command(config, point)}" for point in points] if runs_program else []
    except CommandError as error:
        return f"\nsample commands: {error}"
    of_first = f" of {config.parts[0].name!r}" if config.parts[0].name else ""
    lines = ["", f"sample commands{of_first}:", *commands]
    if not runs_program:
        lines = ["", f"sample parameters (for a function){of_first}:", *parameters]
    elif commands and not _passes_parameters(config, points[0]):
        lines = ["", "command of every run, without parameters (pass them with ${args}, or read them by init()):"]
        lines += [commands[0], "", f"sample parameters that init() gives the script{of_first}:", *parameters]
    if config.scheduler is not None and (config.scheduler.optimizer or config.scheduler.search_space):
        lines += ["", f"check executed the Python file {config.scheduler.source}, as scheduler.source says"]
    return "\n".join(lines)


def _passes_parameters(config: SweepConfig, values: Mapping[str, Any]) -> bool:
    """Whether the command line of a run holds any of its parameters."""
    from lightsweep.command import DEFAULT_COMMAND
    from lightsweep.controller.runs import nested
    from lightsweep.schema.command import MACRO, SEVERAL

    names = {name for item in config.command or DEFAULT_COMMAND for name in MACRO.findall(item)}
    return not names.isdisjoint({*SEVERAL, "args_json", "args_json_file", *values, *nested(values, config)})


def _command(config: SweepConfig, values: Mapping[str, Any]) -> str:
    """The command of a run with these values; below it, where it names a file of them, what that will hold."""
    from lightsweep.command import build_command
    from lightsweep.controller.runs import nested

    config_of_run = nested(values, config)
    with tempfile.TemporaryDirectory(prefix="lightsweep-check-") as scratch:
        path = Path(scratch) / "parameters.json"
        command = build_command(config.program, config.command, values, config_of_run, json_path=path)
        line = shlex.join(item.replace(str(path), _JSON_FILE) for item in command)
        return f"{line}\n    {_JSON_FILE}: {json.dumps(config_of_run)}" if path.exists() else line
