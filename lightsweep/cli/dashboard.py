"""``lightsweep dashboard``: optuna-dashboard on the storage of the sweeps, for this machine only."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from lightsweep.cli.options import Storage

__all__ = ["dashboard", "only_here"]

_HOST = "127.0.0.1"
_NAMES = {_HOST, "localhost"}
_PORT = re.compile(r":\d*\Z")


def dashboard(
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="PORT", help="0 takes any that is free.")] = 8080,
    storage: Storage = None,
) -> None:
    """Show the sweeps of a storage live in a browser on this machine, with optuna-dashboard; Ctrl-C ends it."""
    from lightsweep.errors import UsageError
    from lightsweep.storage import default_url, open_storage

    try:
        from optuna_dashboard import wsgi
    except ModuleNotFoundError as error:
        if error.name != "optuna_dashboard":
            raise
        raise UsageError(
            "the dashboard is optuna-dashboard, which is not installed; install it with: "
            "pip install 'lightsweep[dashboard]'"
        ) from None
    opened = open_storage(storage or default_url(), create=False)
    try:
        server = _server(port, only_here(wsgi(opened.optuna)))
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}; try another one with --port") from None
    with server:
        print(f"http://{_HOST}:{server.server_port}/", flush=True)
        print(f"showing {opened}; Ctrl-C ends it", file=sys.stderr, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended", file=sys.stderr)
    opened.close()


def only_here(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Refuse requests that were addressed to another name, as a web page elsewhere can make a browser send."""

    def guarded(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        # A client writes the name as its user did, and leaves out port 80.
        if _PORT.sub("", environ.get("HTTP_HOST", "")).lower() not in _NAMES:
            start("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"This page answers to 127.0.0.1 and localhost only.\n"]
        return app(environ, start)

    return guarded


def _server(port: int, app: Callable[..., Iterable[bytes]]) -> Any:
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    class Handler(WSGIRequestHandler):
        """Answers without a line for each request."""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the class above
            pass

    class Server(ThreadingMixIn, WSGIServer):
        """One thread for each request: the page asks for several things at once."""

        daemon_threads = True
        address_family = socket.AF_INET

        def server_bind(self) -> None:
            # Without the look-up of the machine's full name, which can take seconds.
            from socketserver import TCPServer

            TCPServer.server_bind(self)
            self.server_name, self.server_port = _HOST, self.server_address[1]
            self.setup_environ()

    return make_server(_HOST, port, app, server_class=Server, handler_class=Handler)
