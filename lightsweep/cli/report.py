"""``lightsweep report`` and ``lightsweep dashboard``: the results of a sweep in a browser."""

from __future__ import annotations

import re
import sys
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
from lightsweep.cli.output import check_folder, write_whole
from lightsweep.cli.serve import browse_to, serve_page
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
        serve_page(sweep, home, host, port, browse=open_)
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
            browse_to(path.absolute().as_uri())


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
            browse_to(address)
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
