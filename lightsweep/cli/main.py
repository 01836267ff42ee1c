"""The entry point: which commands there are, and what an error looks like."""

from __future__ import annotations

import io
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from lightsweep.cli.agent import agent, agents
from lightsweep.cli.apply import apply
from lightsweep.cli.best import best
from lightsweep.cli.check import check
from lightsweep.cli.dashboard import dashboard
from lightsweep.cli.export import export
from lightsweep.cli.importance import importance
from lightsweep.cli.ls import ls
from lightsweep.cli.output import discard, flush, say
from lightsweep.cli.refine import refine
from lightsweep.cli.report import report
from lightsweep.cli.retry import retry
from lightsweep.cli.run import run
from lightsweep.cli.schema import schema
from lightsweep.cli.status import status
from lightsweep.cli.sweep import sweep
from lightsweep.errors import LightsweepError

__all__ = ["app", "describe", "main"]

# What typer raises for a wrong command line is click's own class or a copy of it, depending on its version.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


class _InterruptedError(Exception):
    """Ctrl-C, under a name that typer does not turn into an exit code without a word."""


class _UnreadError(Exception):
    """The reader of stdout has left, under a name that typer does not turn into exit code 1."""


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _InterruptedError from None
        except BrokenPipeError:
            raise _UnreadError from None


app = typer.Typer(
    name="lightsweep",
    cls=_Commands,
    help="Hyperparameter sweeps that you own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_COMMANDS = (
    *(sweep, agent, agents, run, check, schema, ls, status, best, export, retry),
    *(importance, refine, apply, report, dashboard),
)
for command in _COMMANDS:
    app.command()(command)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"lightsweep {version('lightsweep')}")
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
    """Run a command; its exit code: 0 done, 1 the work failed, 2 the input was wrong, 128 + N ended by signal N."""
    if sys.platform == "win32":
        print("lightsweep runs on Linux and macOS only", file=sys.stderr)
        return 2
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Taken out here, so that it may stand behind the command too; behind "--" it belongs to a program of the user's.
    end = given.index("--") if "--" in given else len(given)
    ours, theirs = given[:end], given[end:]
    debug, given = "--debug" in ours, [argument for argument in ours if argument != "--debug"] + theirs
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to fail
    try:
        return _run(given)
    except _UnreadError:
        # The reader of a pipe, such as head, has left: it has seen all that it wanted of a command that only shows.
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
    try:
        code = app(arguments, prog_name="lightsweep", standalone_mode=False)
    except _UsageError as error:
        error.show()  # type: ignore[attr-defined]  # a method of typer's class, which has no public name
        return 2
    except (typer.Abort, _InterruptedError):
        raise KeyboardInterrupt from None
    flush()
    return code if isinstance(code, int) else 0


def describe(error: Exception) -> str:
    """An exception as one message, without control characters."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else text
    elif not isinstance(error, LightsweepError):
        text = (
            f"{type(error).__name__}: {text}\nthis is a fault of lightsweep; run the command with --debug to see where"
        )
    lines = text.splitlines() or [type(error).__name__]
    return "\n".join("".join(char if char.isprintable() else " " for char in line) for line in lines)
