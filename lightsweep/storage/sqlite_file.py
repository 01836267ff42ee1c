"""The SQLite file of a storage: its connections, its place, and the file system that it lies on."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from lightsweep.errors import StorageError

_logger = logging.getLogger("lightsweep")
_KINDS = {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "orangefs", "panfs", "smb3", "smbfs",
}  # fmt: skip


def network_file_system(path: Path) -> str | None:
    """Return the kind of network file system that holds ``path``, such as ``nfs4``; ``None`` for a local one.

    If the system does not list its mounts, every path counts as local.
    """
    place = path.resolve()
    with suppress(OSError):
        holding = [each for each in psutil.disk_partitions(all=True) if place.is_relative_to(each.mountpoint)]
        # Of several mounts at one place the last one is visible.
        for deepest in sorted(holding, key=lambda each: len(each.mountpoint))[-1:]:
            return deepest.fstype if deepest.fstype in _KINDS else None
    return None


@cache
def warn_of_network(path: Path) -> None:
    """Warn once that an SQLite file on a network file system may be corrupted."""
    kind = network_file_system(path)
    if kind is not None:
        _logger.warning(
            "%s lies on a network file system (%s), where SQLite's locks do not work reliably: "
            "keep it on a local disk, and for several machines use PostgreSQL, as postgresql://user@host/database; "
            "more: lightsweep help network",
            path,
            kind,
        )


_LOCK_TIMEOUT_SECONDS = 60.0


def may_write(path: Path) -> bool:
    """Return whether this user may write to the file and create files beside it, which SQLite needs even to read."""
    effective = os.access in os.supports_effective_ids
    return all(os.access(each, os.W_OK, effective_ids=effective) for each in (path, path.absolute().parent))


def connect(path: Path) -> sqlite3.Connection:
    """Connect to an SQLite file in WAL mode; the connection waits for locks."""
    # isolation_level=None: Python's own implicit BEGIN would come after the first read.
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def connect_to_look(path: Path) -> sqlite3.Connection:
    """Connect to an SQLite file without writing to it or beside it; close the connection after each look.

    SQLite reads the file together with its write-ahead log. If the log is missing or empty, the file holds everything,
    and SQLite reads it only as ``immutable``, which holds for the time of one look.

    Raises:
        StorageError: The index of the log is missing, and SQLite would have to write one.
    """
    log, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    logged = log.exists() and log.stat().st_size > 0
    if logged and not index.exists():
        raise StorageError(
            f"the storage {path} may not be written to, and its last commits are in {log.name}, which SQLite cannot "
            "read without writing; copy both files to a directory of your own and open that copy"
        )
    uri = f"{path.absolute().as_uri()}?{'mode=ro' if logged else 'immutable=1'}"
    return sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
