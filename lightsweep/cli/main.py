"""The entry point: the commands, loaded when they are called, the form of their errors, ``schema`` and ``help``."""

from __future__ import annotations

import gc
import importlib
import io
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import lightsweep
from lightsweep.cli.output import discard, flush, say
from lightsweep.errors import LightsweepError, NotFoundError, UsageError, closest
from lightsweep.text import in_colour, paint, printable

GROUPS = {
    "Begin": {
        "demo": ("starters", "Run a small sweep of a real training, in some seconds."),
        "init": ("starters", "Write train.py and sweep.yaml to begin with."),
        "check": ("check", "Validate a sweep file and show what the sweep would do."),
        "schema": ("main", "Print the JSON Schema of sweep files, for editors."),
        "help": ("main", "Answer a question about sweeps, or show the help of a command."),
    },
    "Run": {
        "run": ("agent", "Create a sweep and run it: `sweep` and `agent` in one."),
        "sweep": ("sweep", "Create a sweep, or stop, pause, resume, cancel or update one."),
        "agent": ("agent", "Run the program of a sweep until no run is left."),
        "launch": ("launch", "Start agents here or as jobs of a cluster, or end them."),
        "exec": ("agent", "Run a command, with lightsweep in place of W&B."),
    },
    "Look": {
        "ls": ("status", "List the sweeps of a storage, the newest first."),
        "status": ("status", "Show a sweep: its state and runs, and what more runs may bring."),
        "logs": ("logs", "Show the output of a run, or of an agent that was launched."),
        "runs": ("runs", "Show the runs of a sweep with their parameters."),
        "show": ("runs", "Show one run: its parameters, numbers, parts and directory."),
        "report": ("report", "Write the report or the figures of a sweep, or show it live."),
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
        "storage": ("storage", "Start a database for several machines; copy or check one."),
    },
}
"""Below each heading of the help: the module of each command, which has its function (or a ``Typer`` of several), and
the first line of its help."""

COMMANDS = {name: found for commands in GROUPS.values() for name, found in commands.items()}


_HELP = {"help_option_names": ["-h", "--help"]}
_WIDEST = max(map(len, COMMANDS))
_PAGE = Path("docs", "faq.md")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_COMPLETE = "_LIGHTSWEEP_COMPLETE"
"""The variable by which a shell asks for completions."""

# A sweep of 100,000 runs is millions of objects that stay; with Python's default a third of the time goes into
# searching them for garbage.
_GARBAGE = 100_000

# What typer raises for a wrong command line is click's own class or a copy of it, depending on its version.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


_ELSEWHERE = {
    **dict.fromkeys(("delete", "remove", "clean"), "rm"),
    **dict.fromkeys(("trials", "table", "results"), "runs"),
    **dict.fromkeys(("view", "open", "ui", "web", "plot"), "report"),
    **dict.fromkeys(("start", "tune", "optimize", "train"), "run"),
    **dict.fromkeys(("create", "create-study", "new"), "sweep"),
    **dict.fromkeys(("worker", "work"), "agent"),
    **dict.fromkeys(("list", "sweeps", "studies"), "ls"),
    **dict.fromkeys(("validate", "test"), "check"),
    **dict.fromkeys(("watch", "info"), "status"),
    **dict.fromkeys(("params", "best-trial"), "best"),
    "log": "logs",
    "submit": "launch",
}
"""The commands that go by other names in other tools."""

_TYPES = re.compile(r" <(?:str|list\[str\])>")
_NEEDED = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"\s+\[(?:default:\s+([^;\]]+);\s+)?x[<>]=?[^\]]*\]|\s+\[[\d.]+<=x[^\]]*\]|\s+\[required\]")
_HEADING = re.compile(r"^(?:Usage(?=:)|[A-Z][^\n.]*:$)", re.MULTILINE)
_NAME = re.compile(r"^(  )(-\S+(?:, -\S+)*|[a-z]+)(?=  )", re.MULTILINE)


def _dressed(text: str) -> str:
    """Return the text of a help without notes for programmers, and with colours if stdout has them."""
    usage, between, rest = _NEEDED.sub(r"\1", text).partition("\n")
    rest = _RANGE.sub(lambda found: f"  [default: {found[1]}]" if found[1] else "", rest)
    rest = _TYPES.sub(lambda found: " " * len(found[0]), rest)
    text = _HEADING.sub(lambda found: paint(found[0], "bold"), usage + between + rest)
    return _NAME.sub(lambda found: found[1] + paint(found[2], "cyan"), text)


class _Command(TyperCommand):
    """A command whose help is for its users."""

    def get_help(self, ctx: Any) -> str:
        return _dressed(super().get_help(ctx))


class _LazyGroup(TyperGroup):
    """The commands of `COMMANDS`: the help names them without loading their modules."""

    def get_help(self, ctx: Any) -> str:
        return _dressed(super().get_help(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            meant = _ELSEWHERE.get(name)
            hint = f"; it is called {meant!r} here" if meant else closest(name, COMMANDS)
            raise UsageError(f"there is no command {name!r}{hint or '; all commands: lightsweep -h'}")
        return super().resolve_command(ctx, args)

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
        one.command(cmd_name, cls=_Command, context_settings=_HELP)(found)
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

    For example: lightsweep schema > sweep.schema.json
    """
    from lightsweep.schema import json_schema

    print(json.dumps(json_schema(), indent=2))


def help(  # noqa: A001 - the name of the command
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD ...", help="Words of a question, or a command.")
    ] = None,
) -> None:
    """Answer a question about sweeps, or show the help of a command.

    It prints what the page of questions and answers has about the words. No network is needed.

    For example: lightsweep help pruned
    """
    found = answers(words or ())
    if not found:
        say("\n".join(["questions:", *(f"  {question}" for question in questions())]), error=True)
        raise NotFoundError(f"no question has {' '.join(words or ())!r}; take a word of one of these")
    say("\n\n".join(found))


def questions() -> dict[str, str]:
    """Return the answer to each question, as text for a terminal."""
    package = Path(lightsweep.__file__).parent  # in a checkout, docs is beside it
    page = next(path for path in (package / _PAGE, package.parent / _PAGE) if path.exists()).read_text(encoding="utf-8")
    sections = (section.partition("\n") for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:])
    return {question: _LINK.sub(r"\1", answer).strip() for question, _, answer in sections}


def answers(words: Sequence[str]) -> list[str]:
    """Return the questions that have all words, with their answers; if none has, those whose answers have them."""
    wanted = [word.lower() for word in words]
    texts = {question: f"{question}\n\n{answer}" for question, answer in questions().items()}
    asked = [text for question, text in texts.items() if all(word in question.lower() for word in wanted)]
    return asked or [text for text in texts.values() if all(word in text.lower() for word in wanted)]


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
    if ours == ["version"]:
        ours = ["--version"]
    if ours[:1] == ["help"] and (len(ours) == 1 or ours[1] in COMMANDS):  # other words are of a question
        ours = [*ours[1:2], "--help"]
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
        _say_error(describe(error))
        return error.exit_code if isinstance(error, LightsweepError) else 1


def _run(arguments: list[str]) -> int:
    code = 0
    group = get_command(app)
    if _COMPLETE in os.environ:
        group(arguments, prog_name="lightsweep")  # prints the completions, and exits
    try:
        with group.make_context("lightsweep", arguments, color=in_colour(sys.stdout)) as context:
            group.invoke(context)
    except _UsageError as error:
        _show_usage_error(error)
        return 2
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.Exit as left:
        code = left.exit_code
    flush()
    return code


def _show_usage_error(error: Any) -> None:
    """Print what is wrong with a command line, and an example or the command that shows the right ones."""
    text, more = str(error.format_message()), f"see: {error.ctx.command_path if error.ctx else 'lightsweep'} -h"
    if text.startswith("Usage: "):  # a group without a command
        say(text, error=True)
        return
    if text.startswith("No such option"):
        text = f"there is no option {error.option_name!r}{closest(error.option_name, error.possibilities or ())}"
    elif missing := _MISSING.fullmatch(text):
        text, example = f"{missing[1]} is missing", _EXAMPLE.search(str(error.ctx.command.help))
        more = f"for example: {example[1]}" if example else more
    for jargon, plain in _PLAIN.items():
        text = re.sub(jargon, plain, text)
    _say_error(text)
    say(more, error=True)


_MISSING = re.compile(r"Missing argument '(\S+)'\.")
_EXAMPLE = re.compile(r"For example: ([^\n]+)")
_PLAIN = {
    r"Value error, ": "",
    r"(?:[Ii]nput should be greater than or equal to |\S+ is not in the range x>=)([\d.]*\d)\.?": r"must be \1 or more",
    r"Input should be less than or equal to ([\d.]*\d)": r"must be \1 or less",
    r"Input should be a valid integer, unable to parse string as an integer": "must be a whole number",
    r"Input should be a valid number, unable to parse string as a number": "must be a number",
    r"Got unexpected extra argument\(?s?\)? \((.*)\)": r"too many arguments: \1",
}


def _say_error(text: str) -> None:
    sign = paint("error:", "red", sys.stderr)
    say("\n".join(f"{sign} {line}" for line in text.splitlines()), error=True)


def describe(error: Exception) -> str:
    """Return an exception as one message, without control characters."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else text
    elif not isinstance(error, LightsweepError):
        text = f"{type(error).__name__}: {text}\nthis is a bug in lightsweep; --debug shows the traceback"
    return "\n".join(map(printable, text.splitlines() or [type(error).__name__]))
