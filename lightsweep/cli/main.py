"""The entry point: the commands, loaded when they are called, the form of their errors, and ``lightsweep schema``."""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

import lightsweep
from lightsweep.cli.output import discard, flush, say
from lightsweep.errors import LightsweepError
from lightsweep.text import printable

GROUPS = {
    "Begin": {
        "demo": ("starters", "Run a small sweep of a real training, in some seconds."),
        "init": ("starters", "Write train.py and sweep.yaml to begin with."),
        "check": ("check", "Validate a sweep file and show what the sweep would do."),
        "schema": ("main", "Print the JSON Schema of sweep files, for editors."),
    },
    "Run": {
        "run": ("agent", "Create a sweep and run it: `sweep` and `agent` in one."),
        "sweep": ("sweep", "Create a sweep, or stop, pause, resume, cancel or update one."),
        "agent": ("agent", "Run the program of a sweep until no run is left."),
        "launch": ("launch", "Start agents on this machine or as jobs of a cluster, or end them."),
        "exec": ("agent", "Run a command whose programs find lightsweep when they import W&B."),
    },
    "Look": {
        "ls": ("status", "List the sweeps of a storage."),
        "status": ("status", "Show the state of a sweep, its runs and its best run."),
        "logs": ("logs", "Show the output of a run, or of an agent that was launched."),
        "runs": ("runs", "Show the runs of a sweep with their parameters."),
        "show": ("runs", "Show one run: its parameters, numbers, parts and directory."),
        "report": ("report", "Write an HTML report of a sweep, or its figures."),
        "dashboard": ("report", "Show a storage in the browser with optuna-dashboard."),
        "importance": ("analysis", "Show which parameters matter for the metric."),
    },
    "Use the result": {
        "best": ("best", "Print the parameters of the best run."),
        "apply": ("best", "Run a command with the parameters of the best run."),
        "export": ("export", "Print all runs of a sweep as CSV or JSON."),
        "refine": ("analysis", "Write a sweep file that searches around the best runs."),
    },
    "Change a sweep": {
        "stop": ("sweep", "Begin no more runs of a sweep; the running ones finish."),
        "pause": ("sweep", "Begin no runs of a sweep until it is resumed."),
        "resume": ("sweep", "Let a paused or stopped sweep continue."),
        "cancel": ("sweep", "End a sweep and its running runs."),
        "retry": ("sweep", "Retry runs that have no result."),
        "rm": ("remove", "Remove sweeps with their runs, or the files of runs."),
    },
    "Storage": {
        "storage": ("storage", "Start a database for several machines, copy sweeps between databases, or check one."),
    },
}
"""Below each heading of the help: the module of each command, which has its function (or a ``Typer`` of several), and
the first line of its help."""

COMMANDS = {name: found for commands in GROUPS.values() for name, found in commands.items()}


_HELP = {"help_option_names": ["-h", "--help"]}
_WIDEST = max(map(len, COMMANDS))
_COMPLETE = "_LIGHTSWEEP_COMPLETE"
"""The variable by which a shell asks for completions."""

# A sweep of 100,000 runs is millions of objects that stay; with Python's default a third of the time goes into
# searching them for garbage.
_GARBAGE = 100_000

# What typer raises for a wrong command line is click's own class or a copy of it, depending on its version.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


class _LazyGroup(TyperGroup):
    """The commands of `COMMANDS`: the help names them without loading their modules."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        names: Any = dict.fromkeys(COMMANDS)
        self.commands = names  # what typer lists and suggests; `get_command` makes the commands

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        found = getattr(importlib.import_module(f"lightsweep.cli.{module}"), cmd_name)
        if isinstance(found, typer.Typer):
            return get_command(found)
        one = typer.Typer(add_completion=False, rich_markup_mode=None)
        one.command(cmd_name, context_settings=_HELP)(found)
        return get_command(one)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        del ctx
        for heading, commands in GROUPS.items():
            with formatter.section(heading):
                # One column of names for all sections.
                formatter.write_dl([(name.ljust(_WIDEST), text) for name, (_, text) in commands.items()])


def schema() -> None:
    """Print the JSON Schema of sweep files, for editors.

    An editor that knows it completes and checks the keys of a sweep file.
    """
    from lightsweep.schema import json_schema

    print(json.dumps(json_schema(), indent=2))


app = typer.Typer(
    cls=_LazyGroup,
    help="Hyperparameter sweeps that you own.\n\n"
    "To begin: lightsweep demo, or lightsweep init and lightsweep run sweep.yaml",
    no_args_is_help=True,
    context_settings=_HELP,
    rich_markup_mode=None,
)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"lightsweep {lightsweep.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_show_version
    ),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    del version, debug  # main() takes it out of the arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    The codes: 0 done, 1 the work failed, 2 the input was wrong, 85 an agent left work since its job ends soon, 128 + N
    ended by signal N.
    """
    if sys.platform == "win32":
        print("lightsweep runs on Linux and macOS only", file=sys.stderr)
        return 2
    gc.set_threshold(_GARBAGE)
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Removed here, so that it may follow the command too; behind "--" it belongs to the user's program.
    end = given.index("--") if "--" in given else len(given)
    ours, theirs = given[:end], given[end:]
    debug, given = "--debug" in ours, [argument for argument in ours if argument != "--debug"] + theirs
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character must not end a command
    try:
        return _run(given)
    except BrokenPipeError:
        # The reader of a pipe, such as head, has what it wanted from a command that only shows something.
        discard(sys.stdout)
        discard(sys.stderr)
        return 0
    except KeyboardInterrupt:
        say("interrupted", error=True)
        return 128 + signal.SIGINT
    except Exception as error:  # the last place where a traceback can be kept from the user
        if debug:
            say(traceback.format_exc(), error=True)
        say("\n".join(f"error: {line}" for line in describe(error).splitlines()), error=True)
        return error.exit_code if isinstance(error, LightsweepError) else 1


def _run(arguments: list[str]) -> int:
    code = 0
    group = get_command(app)
    if _COMPLETE in os.environ:
        group(arguments, prog_name="lightsweep")  # prints the completions, and exits
    try:
        with group.make_context("lightsweep", arguments) as context:
            group.invoke(context)
    except _UsageError as error:
        error.show()  # type: ignore[attr-defined]  # a method of typer's class, which has no public name
        return 2
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.Exit as left:
        code = left.exit_code
    flush()
    return code


def describe(error: Exception) -> str:
    """Return an exception as one message, without control characters."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else text
    elif not isinstance(error, LightsweepError):
        text = f"{type(error).__name__}: {text}\nthis is a bug in lightsweep; --debug shows the traceback"
    return "\n".join(map(printable, text.splitlines() or [type(error).__name__]))
