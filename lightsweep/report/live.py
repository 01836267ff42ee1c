"""A page that follows its sweep: what has changed since a version of it, read once for all browsers.

The content of the page is kept as named pieces: a row for each run, each figure, and so on. A browser names the version
that it has, and gets the pieces that have changed since. The storage is read when a browser asks, at most every two
seconds, and never written; agents are not asked.

The server answers requests to read, by programs that know its token, which is in the address of the page. No path of a
file is in a request. A request for another host name is refused: a web page elsewhere can make a browser send one.
"""

from __future__ import annotations

import gzip
import hmac
import ipaddress
import json
import logging
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from lightsweep.analysis import Importance
from lightsweep.controller import RunState, Sweep
from lightsweep.errors import NotFoundError, StorageError, StorageUnavailableError
from lightsweep.report.data import ReportData, directories_of, sweep_data
from lightsweep.report.logged import Known, live_details, logged_curves, run_parts, stamps_of
from lightsweep.report.media import run_media
from lightsweep.report.page import html_page, page_data

EVERY = 2.0
"""Seconds between two looks at the storage, at least."""

_MOST_KNOWN = 200  # histories in memory
_LONGEST = 30.0  # seconds between two looks at most, while a browser asks
_SELDOM = 60.0  # seconds between two computations of importance while runs are running
_REST = 10.0  # times as long as the last look worked, so that looking takes a tenth of a processor at most


class LivePage:
    """The page of a sweep, as of the last look. Safe from several threads.

    Args:
        sweep: The sweep, which may be read-only.
        home: The folder that has the runs' directories if a run names none; it need not exist.
        clock: Seconds that only go forward.
    """

    def __init__(self, sweep: Sweep, home: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._sweep = sweep
        self._home = home
        self._clock = clock
        self._lock = threading.Lock()
        self._due = self._read = clock()
        self._trouble = ""
        self._seen: dict[str, Any] = {}
        self._known: Known = {}
        self._data: ReportData | None = None
        self._ended: list[tuple[str, int, RunState]] = []
        self._importance: Importance | str = ""
        self._computed = 0.0
        self._content: dict[str, Any] = {}
        self._version = 0
        self._pieces: dict[str, tuple[int, str]] = {}  # the version of its last change, and its content in JSON
        self._look()
        self._due = clock() + EVERY  # whatever the first look took, which also imports libraries

    def html(self) -> str:
        """Return the page as of now."""
        with self._lock:
            self._look()
            return html_page({**self._content, "live": {"version": self._version}}, {})

    def news(self, since: int) -> str:
        """Return, in JSON, the pieces that have changed since this version of the page.

        The answer has ``version``, ``changed`` with the pieces by name (``row:0`` is a row, ``figure:history`` a
        figure), ``rows`` with their number, ``figures`` with all names in order, ``age`` with the seconds since the
        storage was last read, and ``trouble`` in words if it cannot be read now.
        """
        with self._lock:
            self._look()
            changed = [f"{json.dumps(name)}:{text}" for name, (at, text) in self._pieces.items() if at > since]
            head = {
                "version": self._version,
                "rows": len(self._content["rows"]),
                "figures": [figure["name"] for figure in self._content["figures"]],
                "age": round(self._clock() - self._read, 1),
                "trouble": self._trouble,
            }
            return f'{json.dumps(head)[:-1]}, "changed": {{{",".join(changed)}}}}}'

    def run(self, run_id: str) -> str:
        """Return, in JSON, what is known of a run, see `live_details`.

        Raises:
            NotFoundError: The sweep has no such run.
        """
        if self._lock.acquire(blocking=False):  # what there is will do while another thread looks
            try:
                self._look()
            finally:
                self._lock.release()
        data = self._data
        run = next((run for run in data.runs if run.id == run_id), None) if data else None
        if run is None or data is None:
            raise NotFoundError(f"sweep {self._sweep.id} has no run {run_id!r}")
        return json.dumps(live_details(self._sweep.id, run, data, self._home, self._known), allow_nan=False)

    def _look(self) -> None:
        """Read what has changed, if the last look is long enough ago; at the first failure raise, later note it."""
        begun, work = self._clock(), time.thread_time()
        if begun < self._due:
            return
        try:
            self._sweep.refresh()
            self._trouble, self._read = "", begun
        except (NotFoundError, StorageError, StorageUnavailableError) as error:
            if self._data is None:
                raise
            self._trouble = str(error)
        else:
            seen = self._signs()
            if seen != self._seen:
                self._seen = seen
                self._make()
        self._due = begun + min(_LONGEST, max(EVERY, _REST * (time.thread_time() - work)))

    def _signs(self) -> dict[str, Any]:
        """Return what differs whenever the page does."""
        sweep = self._sweep
        with sweep.lock:
            signs: dict[str, Any] = {"": (sweep.requested, sweep.plan.revision)}
            for entry in sweep.known_entries():
                record = entry.record
                signs[entry.id] = (entry.starts, record.state, len(record.reports), len(record.parameters))
            running = [sweep.view(entry) for entry in sweep.running()]
        for run in running:
            signs[run.id] += tuple(stamps_of(directories_of(run, self._home)))
        return signs

    def _make(self) -> None:
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        data = self._data = sweep_data(self._sweep)
        state = self._sweep.known_state()
        # Importance is most of the work, so it is computed anew only when runs have ended, and seldom meanwhile.
        ended = [(run.id, run.attempt, run.state) for run in data.runs if run.ended]
        recent = state.name == "running" and self._clock() < self._computed + _SELDOM
        if self._ended and (recent or ended == self._ended):
            vars(data)["importance"] = self._importance
        elif ended:
            self._ended, self._computed = ended, self._clock()
        content = self._content = {
            **page_data(self._sweep.id, state, data),
            "media": run_media(self._home, data),
            "logged": logged_curves(data, self._home, self._known),
            "parts": run_parts(data, self._home),
        }
        self._importance = data.importance
        pieces = {name: value for name, value in content.items() if name not in ("rows", "figures")}
        pieces |= {f"row:{place}": row for place, row in enumerate(content["rows"])}
        pieces |= {f"figure:{figure['name']}": figure for figure in content["figures"]}
        self._version += 1
        before, self._pieces = self._pieces, {}
        for name, value in pieces.items():
            text = json.dumps(value, allow_nan=False, separators=(",", ":"))
            at, known = before.get(name, (0, None))
            self._pieces[name] = (at, text) if known == text else (self._version, text)


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
