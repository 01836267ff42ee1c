"""The entry point: which commands there are, and what an error looks like."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click
import typer

from lightsweep.cli.agent import agent
from lightsweep.cli.best import best
from lightsweep.cli.check import check
from lightsweep.cli.export import export
from lightsweep.cli.ls import ls
from lightsweep.cli.run import run
from lightsweep.cli.schema import schema
from lightsweep.cli.status import status
from lightsweep.cli.sweep import sweep
from lightsweep.errors import LightsweepError

__all__ = ["app", "main"]

app = typer.Typer(
    name="lightsweep",
    help="Hyperparameter sweeps that you own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (sweep, agent, run, check, schema, ls, status, best, export):
    app.command()(command)


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"lightsweep {installed('lightsweep')}")
        raise typer.Exit
    del debug  # main() looks for it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code: 0 done, 1 the work failed, 2 the input was wrong, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if sys.platform == "win32":
        print("lightsweep runs on Linux and macOS only", file=sys.stderr)
        return 2
    try:
        code = app(arguments, prog_name="lightsweep", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return 130
    except LightsweepError as error:
        if "--debug" in arguments:
            traceback.print_exc()
        print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of a pipe, such as head, has left; what Python flushes at its end has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0
