"""Connections to an SQLite file: to work on it, or to look at one that may not be written to."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import sqlalchemy

from lightsweep.errors import StorageError

__all__ = ["READ", "begin", "begin_to_look", "connect", "connect_to_look", "may_write"]

READ = "lightsweep_read"
"""Execution option of a connection that only reads: its transactions take no write lock."""

_LOCK_TIMEOUT_SECONDS = 60.0


def may_write(path: Path) -> bool:
    """Whether this user may write to the file and make others beside it, which SQLite needs even for reading."""
    effective = os.access in os.supports_effective_ids
    return all(os.access(each, os.W_OK, effective_ids=effective) for each in (path, path.absolute().parent))


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes ahead, and waits for the lock."""
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
    """A connection that writes nothing and makes no file beside the database; to be closed when the look is over.

    SQLite reads the file together with the log beside it, in which programs write ahead. Where that is missing or
    empty everything is in the file, which SQLite then reads only when told that nobody changes it: so it is while one
    looks.

    Raises:
        StorageError: There is a log whose index is missing, and making one takes writing.
    """
    log, index = (path.with_name(path.name + ending) for ending in ("-wal", "-shm"))
    logged = log.exists() and log.stat().st_size > 0
    if logged and not index.exists():
        raise StorageError(
            f"the storage {path} may not be written to, and its last commits are in {log.name}, which SQLite cannot "
            "read without writing; copy both files to a directory of your own and name that copy with --storage"
        )
    uri = f"{path.absolute().as_uri()}?{'mode=ro' if logged else 'immutable=1'}"
    return sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)


def begin(connection: sqlalchemy.Connection) -> None:
    """Begin a transaction with the write lock, unless it only reads; to be called on SQLAlchemy's event."""
    reading = connection.get_execution_options().get(READ)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def begin_to_look(connection: sqlalchemy.Connection) -> None:
    """Begin a transaction without a lock."""
    connection.exec_driver_sql("BEGIN")
