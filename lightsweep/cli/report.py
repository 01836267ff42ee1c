"""``lightsweep report`` and ``lightsweep dashboard``: the results of a sweep in a browser."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Annotated, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import typer

from lightsweep.agents.active_run import RUNS
from lightsweep.analysis import required
from lightsweep.cli.options import Storage, SweepId, read_sweep
from lightsweep.cli.output import check_folder, say, write_whole
from lightsweep.controller import Sweep
from lightsweep.errors import UsageError
from lightsweep.storage import default_url, open_storage

_HOST = "127.0.0.1"
_SERVE_PORT = 8765
_NAMES = {_HOST, "localhost"}
_PORT = re.compile(r":\d*\Z")


class Format(str, Enum):
    """The kinds of report."""

    html = "html"
    png = "png"
    svg = "svg"


def report(
    sweep_id: SweepId,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The page, or the folder of the figures; report-ID in the current directory by default.",
        ),
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="html: one page for any browser; png, svg: a file for each figure.")
    ] = Format.html,
    logs: Annotated[
        bool, typer.Option("--logs", help="Put the last 20 lines of each run's output into the page.")
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Show the page live, until Ctrl-C, instead of writing it.")
    ] = False,
    host: Annotated[str, typer.Option(metavar="HOST", help="Listen on this address, with --serve.")] = _HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port, with --serve; 0 takes any free one.")
    ] = _SERVE_PORT,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    storage: Storage = None,
) -> None:
    """Write the report or the figures of a sweep, or show it live.

    The page needs no network. If the directories of runs are on this machine, it also shows the curves of every number
    that was logged, the parts of runs, and images, tables and charts of the three best runs. Existing files are
    replaced. With --serve the page follows the sweep.

    For example: lightsweep report latest --serve --open
    """
    if not serve and (host, port) != (_HOST, _SERVE_PORT):
        raise UsageError("--host and --port are those of the live page; add --serve")
    required("plotly")
    from lightsweep.report import (
        all_details,
        figures,
        logged_curves,
        page,
        run_media,
        run_parts,
        sweep_data,
        write_images,
    )

    sweep = read_sweep(sweep_id, storage)
    home = RUNS / sweep.id
    if serve:
        if output is not None or format_ is not Format.html:
            raise UsageError("--serve shows the page in a browser and writes no file; leave out --output and --format")
        _serve_page(sweep, home, host, port, browse=open_)
        return
    state = sweep.state
    data = sweep_data(sweep)
    path = output or Path(f"report-{sweep.id}{'.html' if format_ is Format.html else ''}")
    check_folder(path)
    if format_ is not Format.html:
        if path.exists() and not path.is_dir():
            raise UsageError(
                f"--output is the folder of the figures with --format {format_.value}, but {path} is a file"
            )
        for written in write_images(figures(data), path, format_.value):
            print(written)
        return
    if path.is_dir():
        raise UsageError(f"--output is the file of the page, but {path} is a folder; write to {path / 'report.html'}")
    details = all_details(sweep.id, data, home if logs else None)
    text = page(sweep.id, state, data, run_media(home, data), logged_curves(data, home), run_parts(data, home), details)
    if write_whole(path, text):
        print(path)
        if open_:
            _browse_to(path.absolute().as_uri())


def _serve_page(sweep: Sweep, home: Path, host: str, port: int, *, browse: bool) -> None:
    """Serve the page of a sweep until Ctrl-C.

    Args:
        sweep: The sweep.
        home: The folder that has the runs' directories if a run names none.
        host: The address to listen on.
        port: The port; 0 for any free one.
        browse: Whether to open the page in a browser.

    Raises:
        UsageError: The address or the port cannot be used.
    """
    from lightsweep.report import LivePage, PageServer

    page = LivePage(sweep, home)
    try:
        server = PageServer(page, host, port)
    except (OSError, UnicodeError) as error:
        raise UsageError(_refused(host, port, error)) from None
    with server:
        say(server.url)
        say(f"showing sweep {sweep.id} of {sweep.storage} live; Ctrl-C ends it", error=True)
        if not _only_here(host):
            say(f"all who can reach {host} and have this address see the sweep; nothing is encrypted", error=True)
        elif "SSH_CONNECTION" in os.environ:
            name, port = socket.gethostname(), server.server_port
            say(f"to see it from your machine, run there: ssh -N -L {port}:localhost:{port} {name}", error=True)
        try:
            if browse:
                _browse_to(server.url)
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended; the sweep goes on", error=True)


def _browse_to(url: str) -> None:
    """Open an address in a browser, or say that there is none."""
    if not webbrowser.open(url):
        say("no browser was found on this machine; open the address in one", error=True)


def _only_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refused(host: str, port: int, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES):
        return f"port {port} cannot be used: {error.strerror}\nchoose another one with --port; 0 takes any free one"
    return f"--host {host!r} is not an address of this machine\nleave it out to be seen on this machine only"


def dashboard(
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="Port; 0 takes any free one.")] = 8080,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    storage: Storage = None,
) -> None:
    """Show a storage in the browser with optuna-dashboard.

    The page is live and answers on this machine only; Ctrl-C ends it.

    For example: lightsweep dashboard --open
    """
    wsgi = required("optuna_dashboard", "dashboard").wsgi
    opened = open_storage(storage or default_url(), create=False)
    try:
        server: Any = make_server(
            _HOST, port, only_here(wsgi(opened.optuna)), server_class=_Server, handler_class=_Handler
        )
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}; choose another one with --port") from None
    with server:
        address = f"http://{_HOST}:{server.server_port}/"
        print(address, flush=True)
        print(f"showing {opened}; Ctrl-C ends it", file=sys.stderr, flush=True)
        if open_:
            _browse_to(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended", file=sys.stderr)
    opened.close()


def only_here(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Refuse requests for another host name, which a web page elsewhere can make a browser send."""

    def guarded(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        # A client sends the name as its user wrote it, and leaves out port 80.
        if _PORT.sub("", environ.get("HTTP_HOST", "")).lower() not in _NAMES:
            start("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This page answers to 127.0.0.1 and localhost only.\n"]
        return app(environ, start)

    return guarded


class _Handler(WSGIRequestHandler):
    """Answers without a line for each request."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the class above
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """One thread for each request, since the page sends several at once."""

    daemon_threads = True

    def server_bind(self) -> None:
        # Without the look-up of the machine's full name, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = _HOST, self.server_address[1]
        self.setup_environ()
