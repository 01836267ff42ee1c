"""A server for the page of a sweep: it answers requests to read, by programs that know its token.

The token is in the address of the page and in a header of the page's own requests. No path of a file is in a request,
so none can lead astray. A request for another host name is refused: a web page elsewhere can make a browser send one.
"""

from __future__ import annotations

import gzip
import hmac
import ipaddress
import logging
import re
import secrets
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lightsweep.errors import NotFoundError
from lightsweep.report.live import LivePage

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PORT = re.compile(r":\d*\Z")
_VERSION = re.compile(r"\d{1,15}")
_SMALL = 1024  # bytes that are not worth compressing
_SECONDS = 30  # for a client to send its request
_EVERYWHERE = {"", "0.0.0.0", "::"}
_logger = logging.getLogger("lightsweep")


class PageServer(ThreadingHTTPServer):
    """Serves the page of a sweep from its creation on, once ``serve_forever`` is called.

    Args:
        page: The page.
        host: The address to listen on.
        port: The port; 0 for any free one.

    Attributes:
        token: Random; requests without it are refused.
        url: The address of the page, with the token.

    Raises:
        OSError: The address or the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, page: LivePage, host: str, port: int) -> None:
        self.page = page
        self.token = secrets.token_urlsafe(24)
        self._host = host
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)
        name = socket.gethostname() if host in _EVERYWHERE else f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self.server_port}/?token={self.token}"

    def server_bind(self) -> None:
        """Bind without the look-up of the machine's full name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self._host, self.server_address[1]

    def knows(self, host: str) -> bool:
        """Return whether a request for this host is meant for this server: an address, or a name of this machine."""
        name = _PORT.sub("", host).lower()
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            own = {"localhost", self._host.lower()}
            if self._host in _EVERYWHERE:
                own |= {socket.gethostname().lower(), socket.getfqdn().lower()}
            return name in own - {""}
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the name in the class above
        """Log an error of this program; a client that has left is none."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            _logger.exception("a request of %s has failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: PageServer
    server_version = "lightsweep"
    sys_version = ""
    timeout = _SECONDS

    def do_GET(self) -> None:
        """Send the page, its news or a run."""
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if not self.server.knows(self.headers.get("Host", "")):
            return self._refuse(HTTPStatus.FORBIDDEN, "This server answers to the name of its machine only.")
        given = self.headers.get("Authorization", "").removeprefix("Bearer ") or query.get("token", [""])[0]
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self.server.token.encode()):
            return self._refuse(
                HTTPStatus.FORBIDDEN, "The token is missing or wrong: open the address that lightsweep has printed."
            )
        page, run = self.server.page, parts.path.removeprefix("/run/")
        try:
            if parts.path == "/":
                return self._send(HTTPStatus.OK, "text/html", page.html())
            if parts.path == "/news":
                since = query.get("since", [""])[0]
                return self._send(
                    HTTPStatus.OK, "application/json", page.news(int(since) if _VERSION.fullmatch(since) else 0)
                )
            if run != parts.path:
                return self._send(HTTPStatus.OK, "application/json", page.run(unquote(run)))
        except NotFoundError as error:
            return self._refuse(HTTPStatus.NOT_FOUND, str(error))
        return self._refuse(HTTPStatus.NOT_FOUND, "There is no such page.")

    def _only_get(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "This server is only read, by GET.")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(status, "text/plain", f"{why}\n")

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        if len(content) > _SMALL and "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content, 3)
            self.send_header("Content-Encoding", "gzip")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        for name, value in {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the class above
        """Print nothing for a request."""


for _method in ("DELETE", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"):
    setattr(_Handler, f"do_{_method}", _Handler._only_get)
