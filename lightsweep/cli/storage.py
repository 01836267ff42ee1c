"""``lightsweep storage``: a database for sweeps, copies of it, and a check for damage."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from lightsweep.cli.output import say
from lightsweep.controller import Sweep
from lightsweep.controller.damage import sweep_damage
from lightsweep.controller.reader import storage_errors
from lightsweep.errors import LightsweepError, UsageError
from lightsweep.storage import default_url, open_storage, shown
from lightsweep.storage.copying import copy_study, missing
from lightsweep.storage.damage import Damage, file_damage, table_damage, text_damage
from lightsweep.text import counted, printable

storage = typer.Typer(
    help="Start a database for several machines, copy sweeps between databases, or check one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@storage.callback()
def _group() -> None:
    """Keep the name of a single command: typer would drop it."""


@storage.command()
def serve() -> None:
    """Start a PostgreSQL server for sweeps, until Ctrl-C."""
    raise LightsweepError("not built yet")


@storage.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Storage that has the sweeps: a URL or an SQLite file.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="Storage to copy them to; created if it is missing.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Sweeps; all by default.")] = None,
) -> None:
    """Copy sweeps to another storage, between SQLite and PostgreSQL or within one kind.

    A sweep keeps its id, runs, prior runs, numbers and attributes. It appears in DST when every row was read back and
    found equal. A sweep that agents work on, or that DST has already, is refused. Files of runs are not copied.
    """
    opened = open_storage(source, create=False, look=True)
    sweeps = [Sweep.load(name, storage=opened) for name in dict.fromkeys(ids)] if ids else Sweep.all(storage=opened)
    if not sweeps:
        say(f"no sweeps in {opened}; nothing was copied")
        return
    into = open_storage(target)
    names = [sweep.id for sweep in sweeps]
    with storage_errors():
        absent = missing(into, names)
    if present := [name for name in names if name not in absent]:
        rest = f"; to copy the others, name them: {' '.join(absent)}" if absent else ""
        raise UsageError(f"{into} has {_named(present)} already, so nothing was copied{rest}")
    for sweep in sweeps:
        sweep.refresh()  # for the config in force
        with storage_errors():
            copied = copy_study(opened, into, sweep.id, sweep.config.options.lease)
        say(f"copied sweep {sweep.id}: {counted(copied.trials, 'trial')}, {counted(copied.rows, 'row')} compared")
    where = f"--storage {shlex.quote(str(opened))}"
    say(f"the old storage has {_named(names)} too; let agents work in one of the two storages only", error=True)
    say(f"(to stop a sweep in the old one: lightsweep sweep --stop ID {where})", error=True)
    say("files of runs (logs, checkpoints, media) were not copied; they stay in lightsweep_runs", error=True)


def _named(names: list[str]) -> str:
    return f"sweep {names[0]}" if len(names) == 1 else f"{len(names)} sweeps ({', '.join(names)})"


@storage.command()
def check(
    url: Annotated[
        str | None,
        typer.Argument(metavar="[URL]", help="The storage; LIGHTSWEEP_STORAGE or lightsweep.db by default."),
    ] = None,
) -> None:
    """Look for damage in a storage, and say what to do about it; nothing is changed.

    The exit code is 1 if there is damage.
    """
    named = url or default_url()
    found = file_damage(named)
    if found:
        _end(shown(named), found)
    opened = open_storage(named, create=False, look=True)
    with storage_errors():
        found = table_damage(opened)
        found += text_damage(opened) if opened.schema_known else []
    if found:
        _end(str(opened), found)
    count, found = sweep_damage(opened)
    if found:
        _end(str(opened), found)
    print(f"no damage in {opened}: {counted(count, 'sweep')}")


def _end(name: str, found: list[Damage]) -> None:
    for damage in found:
        print("\n".join(printable(line).rstrip() for line in str(damage).splitlines()))
    raise LightsweepError(f"{counted(len(found), 'fault')} in {name}")
