"""``lightsweep storage``: a database for sweeps, copies of it, and a check for damage."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lightsweep.cli.output import say
from lightsweep.controller import Sweep
from lightsweep.controller.reader import storage_errors
from lightsweep.controller.sweeps import sweep_damage
from lightsweep.errors import LightsweepError, StorageError, UsageError
from lightsweep.schema.launching import seconds
from lightsweep.storage import Storage, default_url, open_storage, shown
from lightsweep.storage.copying import copy_study, mark, missing
from lightsweep.storage.damage import Damage, file_damage, table_damage, text_damage
from lightsweep.storage.server import UNUSED_SECONDS, Server, is_loopback, told_to_end, url_file, url_of
from lightsweep.storage.sqlite_file import network_file_system
from lightsweep.storage.url import SERVED, read_url
from lightsweep.text import counted, printable

storage = typer.Typer(
    help="Start a database for several machines; copy or check one.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@storage.callback()
def _group() -> None:
    """Keep the name of a single command: typer would drop it."""


@storage.command()
def serve(
    directory: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the data is, and the file with the URL; made if it is missing.")
    ] = SERVED,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST",
            help="Address to listen on: 0.0.0.0 for other machines too, or a name of this machine. By default that of "
            "the last start, at first 127.0.0.1.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="P", help="By default that of the last start, at first 5432; 0 for a free one."
        ),
    ] = None,
    idle: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End after so long without a connection, such as 30m.")
    ] = None,
    show_url: Annotated[
        bool, typer.Option("--show-url", help="Print the URL with its password, and start nothing.")
    ] = False,
) -> None:
    """Start a PostgreSQL server for sweeps, until Ctrl-C.

    The data is beside the project and stays; the next start has the same address, port and password. The server runs
    in the foreground: use tmux, or a unit of systemd.

    For example: lightsweep storage serve --host 0.0.0.0
    """
    if show_url:
        print(url_of(directory))
        return
    try:
        idle_seconds = None if idle is None else seconds(idle)
    except ValueError as error:
        raise UsageError(f"--idle {error}") from None
    kind = network_file_system(directory)
    if kind is not None:
        say(
            f"warning: {directory} lies on a network file system ({kind}); a local disk is faster and safer", error=True
        )
    server = Server(directory, host, port)
    with _ended_by_signals(server):
        server.start()
        if not server.stopping:
            introduce(server, directory)
        code = _wait(server, idle_seconds)
    if not server.stopping:
        raise LightsweepError(
            f"the server has ended unexpectedly (exit code {code}); start it again with the same command\n"
            f"the end of {server.log}:\n"
            f"{server.last_lines()}"
        )
    say("the server has stopped; its data stays, and the same command starts it again")


def introduce(server: Server, directory: Path) -> None:
    """Say what runs, and how to use it."""
    file = url_file(directory)
    say(f"PostgreSQL {server.version} runs, with its data in {server.directory}")
    say(f"  {shown(server.url)}   (--show-url shows the password, which is in {file})")
    if not is_loopback(server.host):
        say("  connections are not encrypted (no TLS), but the password is never sent: use it in a network you trust")
    say(f"use it, in another terminal: export LIGHTSWEEP_STORAGE_FILE={shlex.quote(str(file))}")
    say("stop it with Ctrl-C")


def _wait(server: Server, idle: float | None) -> int:
    """Wait for the end of the server; end it after ``idle`` seconds without a connection, or fewer once told to."""
    last, began = time.monotonic(), time.time()
    while (code := server.wait(None if idle is None else min(idle, 10.0) / 4)) is None:
        if server.connections():
            last = time.monotonic()
        elif idle is not None and not server.stopping:
            limit = min(idle, UNUSED_SECONDS) if told_to_end(server.directory, began) else idle
            if time.monotonic() - last > limit:
                say(f"no program has been connected for {limit:g} s")
                server.stop()
    return code


@contextmanager
def _ended_by_signals(server: Server) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP stop the server; the second one stops it at once."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in signals if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, lambda *_: server.stop()) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@storage.command()
def copy(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="Storage of the sweeps: a URL, an SQLite file, or a file with a URL.")
    ],
    target: Annotated[str, typer.Argument(metavar="DST", help="Storage to copy them to; created if it is missing.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Sweeps; all by default.")] = None,
) -> None:
    """Copy sweeps to another storage, between SQLite and PostgreSQL or within one kind.

    A sweep keeps its id, runs, prior runs, numbers and attributes. It appears in DST when every row was read back and
    found equal. A sweep that agents work on, or that DST has already, is refused. Files of runs are not copied; `rm` of
    the old sweep keeps them.

    For example: lightsweep storage copy lightsweep.db postgresql://me@host/sweeps
    """
    given, source, target = source, _from_file(source), _from_file(target)
    opened = open_storage(source, create=False, look=True)
    named = [Sweep.load(name, storage=opened) for name in ids] if ids else Sweep.all(storage=opened)
    sweeps = list({sweep.id: sweep for sweep in named}.values())
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
            _mark(source, sweep.id, into)
        say(f"copied sweep {sweep.id}: {counted(copied.trials, 'trial')}, {counted(copied.rows, 'row')} compared")
    stop = f"lightsweep stop ID --storage {shlex.quote(str(opened))}"
    if given != source:  # the URL may have a password, which is not shown
        stop = f"LIGHTSWEEP_STORAGE= LIGHTSWEEP_STORAGE_FILE={shlex.quote(given)} lightsweep stop ID"
    say(f"the old storage has {_named(names)} too; let agents work in one of the two storages only", error=True)
    say(f"(to stop a sweep in the old one: {stop})", error=True)
    say(
        "files of runs (logs, checkpoints, media) were not copied; both sweeps use those in lightsweep_runs", error=True
    )


def _mark(source: str, name: str, into: Storage) -> None:
    """Note at the old sweep that it was copied, so that its removal keeps the files of its runs."""
    try:
        opened = open_storage(source, create=False)
        with storage_errors():
            mark(opened, name, str(into))
    except StorageError as error:
        say(f"sweep {name}: the copy cannot be noted there, so rm would remove files of its runs: {error}", error=True)


def _from_file(text: str) -> str:
    """Return the URL in a file such as that of a served storage; any other text as it is."""
    path = Path(text)  # an SQLite file has a suffix, or its URL is given
    return read_url(path) if not path.suffix and path.is_file() else text


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

    For example: lightsweep storage check lightsweep.db
    """
    named = _from_file(url) if url else default_url()
    found = file_damage(named)
    if found:
        _end(shown(named), found)
    opened = open_storage(named, create=False, look=True)
    with storage_errors():
        found = [*table_damage(opened), *text_damage(opened)]
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
