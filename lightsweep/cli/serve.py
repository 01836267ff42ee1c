"""``lightsweep report --serve``: the page of a sweep, live, until Ctrl-C."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import webbrowser
from pathlib import Path

from lightsweep.cli.output import say
from lightsweep.controller import Sweep
from lightsweep.errors import UsageError


def serve_page(sweep: Sweep, home: Path, host: str, port: int, *, browse: bool) -> None:
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
                browse_to(server.url)
            server.serve_forever()
        except KeyboardInterrupt:
            say("ended; the sweep goes on", error=True)


def browse_to(url: str) -> None:
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
