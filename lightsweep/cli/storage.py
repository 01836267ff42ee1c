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
from lightsweep.errors import LightsweepError
from lightsweep.storage.opening import network_file_system
from lightsweep.storage.server import Server, is_loopback, url_file, url_of
from lightsweep.storage.url import shown

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
def serve(
    directory: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the data is, and the file with the URL; made if it is missing.")
    ] = Path("lightsweep_storage"),
    host: Annotated[
        str,
        typer.Option(
            metavar="HOST", help="Address to listen on: 0.0.0.0 for other machines too, or a name of this machine."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, metavar="P", help="By default that of the last start, at first 5432; 0 for a free one."
        ),
    ] = None,
    idle: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="End after so long without a connection.")
    ] = None,
    show_url: Annotated[
        bool, typer.Option("--show-url", help="Print the URL with its password, and start nothing.")
    ] = False,
) -> None:
    """Start a PostgreSQL server for sweeps, until Ctrl-C.

    The data is beside the project and stays; the next start has the same password and port. The server runs in the
    foreground: use tmux, or a unit of systemd.
    """
    if show_url:
        print(url_of(directory))
        return
    kind = network_file_system(directory)
    if kind is not None:
        say(
            f"warning: {directory} lies on a network file system ({kind}); a local disk is faster and safer", error=True
        )
    server = Server(directory, host, port)
    with _ended_by_signals(server):
        server.start()
        if not server.stopping:
            _introduce(server, directory)
        code = _wait(server, idle)
    if not server.stopping:
        raise LightsweepError(
            f"the server has ended by itself ({code}); start it again by the same command. The end of {server.log}:\n"
            f"{server.last_lines()}"
        )
    say("the server has stopped; its data stays, and the same command starts it again")


def _introduce(server: Server, directory: Path) -> None:
    file = url_file(directory)
    say(f"PostgreSQL {server.version} runs, with its data in {server.directory}")
    say(f"  {shown(server.url)}   (--show-url shows the password, which is in {file})")
    if not is_loopback(server.host):
        say("  connections are not encrypted (no TLS), but the password is never sent: use it in a network you trust")
    say(f"use it, in another terminal: export LIGHTSWEEP_STORAGE_FILE={shlex.quote(str(file))}")
    say("stop it by Ctrl-C")


def _wait(server: Server, idle: float | None) -> int:
    """Wait for the end of the server, and end it after ``idle`` seconds without a connection."""
    last = time.monotonic()
    while (code := server.wait(None if idle is None else min(idle, 10.0) / 4)) is None:
        if server.connections():
            last = time.monotonic()
        elif idle is not None and time.monotonic() - last > idle and not server.stopping:
            say(f"no program has been connected for {idle:g} s")
            server.stop()
    return code


@contextmanager
def _ended_by_signals(server: Server) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP stop the server; the second one stops it at once."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: server.stop()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
