"""Open an Optuna storage so that many agents can write to it at once."""

from __future__ import annotations

import logging
import math
import os
import random
import re
import select
import shlex
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import psutil
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import DatabaseError, InvalidatePoolError, SQLAlchemyError

from lightsweep.errors import NotFoundError, StorageError
from lightsweep.storage.url import (
    conceal,
    default_url,
    named_by_file,
    parse,
    read_url,
    server_ended,
    server_here,
    shown,
)

_KINDS = {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "orangefs", "panfs", "smb3", "smbfs",
}  # fmt: skip
_logger = logging.getLogger("lightsweep")


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


READ = "lightsweep_read"
"""Execution option of a connection that only reads: its transactions take no write lock."""

_LOCK_TIMEOUT_SECONDS = 60.0


class File:
    """An SQLite file that must stay in its place while programs use it.

    A removed or replaced file can still be written to, but nobody would ever find what is written there.

    Args:
        path: Its path; a later change of the working directory does not matter.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._identity: tuple[int, int] | None = None

    def check(self) -> None:
        """Check that the file is still there.

        Raises:
            StorageError: It was removed or replaced.
        """
        if self.is_lost():
            raise StorageError(f"the storage {self.path} was removed or replaced while it was in use")

    def is_lost(self) -> bool:
        """Return whether the file was removed or replaced."""
        return self._identity not in (None, _identity(self.path))

    def connect(self) -> sqlite3.Connection:
        """Make a connection, see :func:`connect`; raises as :meth:`check`. The file of the first one must stay."""
        self.check()
        connection = connect(self.path)
        self._identity = self._identity or _identity(self.path)
        return connection


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


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


def begin(connection: sqlalchemy.Connection) -> None:
    """Begin a transaction with the write lock, unless it only reads; a listener of SQLAlchemy's ``begin``."""
    reading = connection.get_execution_options().get(READ)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


# A host that vanishes (a cable, a firewall) is noticed within half a minute; TCP alone takes a quarter of an hour.
# PostgreSQL's settings are libpq's, which its drivers use.
_LIBPQ = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_MYSQL = {"connect_timeout": 10, "read_timeout": 30, "write_timeout": 30}
_TIMEOUTS = {"psycopg": _LIBPQ, "psycopg2": _LIBPQ, "pymysql": _MYSQL, "mysqldb": _MYSQL}


def engine_options(url: sqlalchemy.URL) -> dict[str, Any]:
    """Return options of SQLAlchemy's ``create_engine`` for a server; settings in the URL take precedence."""
    timeouts: dict[str, Any] = {
        name: value for name, value in _TIMEOUTS.get(url.get_driver_name(), {}).items() if name not in url.query
    }
    if url.query.get("prepare_threshold") == "none":  # text in a URL, and None for the driver
        timeouts["prepare_threshold"] = None
    return {"connect_args": timeouts}


def follow(engine: sqlalchemy.Engine, file: Path) -> None:
    """Let new connections go to where the URL in ``file`` says, since the job of a server may move to another host."""

    def locate(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        with suppress(StorageError):
            now = parse(read_url(file))
            options.update({name: value for name, value in (("host", now.host), ("port", now.port)) if value})

    sqlalchemy.event.listen(engine, "do_connect", locate)


_IDLE_SECONDS = 1.0
_FORGOTTEN_SECONDS = 30.0  # a firewall may have dropped the connection without a word
_USED = "lightsweep_used"


# PostgreSQL plans a statement that the driver prepares once for each connection; by itself it does so five times more.
_PREPARING = """
SET TIME ZONE 'UTC';
SELECT set_config(name, 'force_generic_plan', FALSE) FROM pg_settings WHERE name = 'plan_cache_mode'
"""


def prepare_connections(engine: sqlalchemy.Engine) -> None:
    """Set the time zone of all later connections to a server, and test idle ones before they are used.

    Heartbeats have the time zone of the session that writes them. A test of busy connections would double the traffic.
    """
    statement = _PREPARING if engine.dialect.name == "postgresql" else "SET time_zone = '+00:00'"

    def set_zone(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()  # PostgreSQL would take it back together with the transaction

    def note(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def test(connection: Any, record: Any, _proxy: Any) -> None:
        idle = time.monotonic() - record.info.get(_USED, math.inf)
        if idle < _IDLE_SECONDS or (idle < _FORGOTTEN_SECONDS and _is_silent(connection)):
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError(str(error)) from error  # every connection of the pool is replaced

    sqlalchemy.event.listen(engine, "connect", set_zone)
    sqlalchemy.event.listen(engine, "checkin", note)
    sqlalchemy.event.listen(engine, "checkout", test)


def _is_silent(connection: Any) -> bool:
    """Return whether the server has sent nothing, as it does when it closes a connection; False if unknown."""
    with suppress(Exception):  # a driver without fileno, or a connection that is closed already
        sockets = select.poll()
        sockets.register(connection.fileno(), select.POLLIN)
        return not sockets.poll(0)
    return False


# Programs that create the tables at the same moment disturb each other for milliseconds.
_CREATION_TRIES = 6
_CREATION_PAUSE_SECONDS = 0.05
_MADE_BY_ANOTHER = ("already exists", "unique", "duplicate entry")  # of PostgreSQL, SQLite, MySQL


KNOWN_SCHEMAS = frozenset({"v3.2.0.a"})
"""Versions of Optuna's tables, as Optuna numbers them, that SQL of ours reads and writes."""


class Storage:
    """An open storage: Optuna's own object, and its engine for SQL.

    Its connections close by :meth:`close`, or when ``optuna`` is garbage-collected.

    Attributes:
        optuna: Optuna's storage; ``optuna.load_study(storage=...)`` accepts it.
        engine: SQLAlchemy's engine of it.
        url: The given URL, with its password; show ``str(storage)`` instead.
    """

    def __init__(self, url: str, storage: RDBStorage, file: File | None = None) -> None:
        self.url = url
        self.optuna = storage
        self.engine: sqlalchemy.Engine = storage.engine
        self._file = file
        # SQLAlchemy does not close the pool's connections, nor does a user of Sweep.load(...) in a notebook.
        weakref.finalize(storage, _release, storage.engine, os.getpid())

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def option(self) -> str:
        """`` --storage URL`` if a command needs it to find this storage, without a password; else empty."""
        return "" if self.url == default_url() else f" --storage {shlex.quote(str(self))}"

    def check(self) -> None:
        """Check that an SQLite file is still there.

        Raises:
            StorageError: It was removed or replaced.
        """
        if self._file is not None:
            self._file.check()

    def reading(self) -> sqlalchemy.Connection:
        """Return a connection for reading: one consistent snapshot for all its statements, without a write lock.

        Raises:
            StorageError: The SQLite file was removed or replaced.
        """
        self.check()
        options: dict[str, Any] = {READ: True}
        if self.engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"  # what SQLite and MySQL give by themselves
        return self.engine.connect().execution_options(**options)

    def rescue(self) -> Path | None:
        """Copy an SQLite file that was removed or replaced while open; return the copy's path, ``None`` if it was not.

        Raises:
            StorageError: No connection from before is left.
            sqlite3.Error: The copy cannot be written.
        """
        if self._file is None or not self._file.is_lost():
            return None
        path = self._file.path
        target = path.with_name(f"{path.stem}.rescued-{os.getpid()}{path.suffix}")
        with closing(self.engine.raw_connection()) as pooled, closing(sqlite3.connect(target)) as copy:
            connection = pooled.driver_connection
            assert isinstance(connection, sqlite3.Connection)
            connection.backup(copy)
        return target

    def close(self) -> None:
        """Close every connection."""
        self.optuna.remove_session()
        self.engine.dispose()


def open_storage(url: str, *, create: bool = True, look: bool = False) -> Storage:
    """Open the storage at ``url``, and create its tables if they are missing.

    SQLite is opened in WAL mode with ``synchronous=NORMAL``: a commit takes a fraction of a millisecond. A power cut
    can lose the last commits but not corrupt the file. A transaction that writes begins with the write lock: Optuna
    reads before it writes, and a lock that is taken late cannot wait for others.

    Args:
        url: A database URL, or the path of an SQLite file.
        create: If false, an SQLite file that does not exist is an error.
        look: Read only, so that an SQLite file without write permission can be opened too.

    Raises:
        StorageError: No such driver, no permission, no database there, or tables of another Optuna version.
        NotFoundError: ``create`` is false and the file does not exist.
    """
    parsed = parse(url)
    options, tables = engine_options(parsed), True
    file: File | None = None
    if parsed.drivername.startswith("sqlite"):
        path = Path(str(parsed.database))
        if not create and not path.exists():
            raise NotFoundError(
                f"there is no storage {path}; create a sweep in it first, "
                f"or name another storage, such as by LIGHTSWEEP_STORAGE{server_here()}"
            )
        warn_of_network(path.absolute())
        if look and path.exists() and not may_write(path):
            # Each look opens the file again, since its assumptions hold for one look.
            options = {"creator": lambda: connect_to_look(path), "poolclass": sqlalchemy.NullPool}
            options["execution_options"] = {READ: True}
            tables = False
        else:
            file = File(path)
            options = {"creator": file.connect}
    name = shown(url)
    try:
        storage, version = _with_version(parsed.render_as_string(hide_password=False), options, tables)
    except (ImportError, RuntimeError, SQLAlchemyError, StorageInternalError) as error:
        raise StorageError(f"storage {name}: {_explain(error, url)}") from None
    storage.engine.dispose()  # its connections began without the listener
    if parsed.drivername.startswith("sqlite"):
        sqlalchemy.event.listen(storage.engine, "begin", begin)
    else:
        prepare_connections(storage.engine)
        if named := named_by_file(url):
            follow(storage.engine, named)
    if version not in KNOWN_SCHEMAS:
        known = ", ".join(sorted(KNOWN_SCHEMAS))
        raise StorageError(
            f"storage {name}: its tables have version {version} of Optuna, and this lightsweep knows {known}; "
            "use a version of lightsweep that fits the Optuna that made them"
        )
    return Storage(url, storage, file)


def _release(engine: sqlalchemy.Engine, owner: int) -> None:
    """Close the connections in the pool; not in a forked child, where they belong to the parent."""
    engine.dispose(close=os.getpid() == owner)


@contextmanager
def quiet() -> Iterator[None]:
    """Hide Optuna's log lines such as "A new study created"; warnings pass."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


# PostgreSQL's words, and MySQL's.
_FULL = re.compile(r"too many (clients|connections)|remaining connection slots")
_FULL_SECONDS = 30.0


def _with_version(url: str, options: dict[str, Any], tables: bool) -> tuple[RDBStorage, str]:
    """Return the storage and the version of its tables; wait for a while if the server has no connection left.

    Many agents that begin at once open several connections each, and close all but one or two.
    """
    deadline = time.monotonic() + _FULL_SECONDS
    while True:
        try:
            storage = _make(url, options, tables)
            return storage, storage.get_current_version()
        except (SQLAlchemyError, StorageInternalError) as error:
            if not _FULL.search(str(_cause(error))) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.5, 1.5))


_NO_TABLE = re.compile(r"no such table|does not exist|doesn't exist")  # of SQLite, PostgreSQL, MySQL


def _make(url: str, options: dict[str, Any], tables: bool, tries: int = _CREATION_TRIES) -> RDBStorage:
    # Where Optuna fails, it leaves the connections of its pool open; without a pool there are none.
    unpooled = {**options, "poolclass": sqlalchemy.NullPool}
    try:
        with quiet():
            if not _is_current(url, unpooled):
                RDBStorage(url, engine_kwargs=unpooled, skip_table_creation=not tables)
            return RDBStorage(url, engine_kwargs=options, skip_table_creation=True, skip_compatibility_check=True)
    except (DatabaseError, StorageInternalError, AssertionError) as error:
        # Another program creates the same tables now; the next try finds them. Optuna asserts that the table of its
        # version is not empty.
        text = str(_cause(error)).lower()
        expected = isinstance(error, AssertionError) or any(words in text for words in _MADE_BY_ANOTHER)
        if tries == 1 or not expected:
            raise
    time.sleep(_CREATION_PAUSE_SECONDS)
    return _make(url, options, tables, tries - 1)


_newest: list[str] = []
"""The version of the tables of the installed Optuna, once it is known."""


def _is_current(url: str, options: dict[str, Any]) -> bool:
    """Return whether all tables are there, in the version of the installed Optuna.

    To create or check tables, Optuna opens a second connection while the first is in a transaction. If many agents did
    that at once, each would wait for a connection of a pooler that another holds.
    """
    try:
        found = RDBStorage(url, engine_kwargs=options, skip_table_creation=True, skip_compatibility_check=True)
        if not _newest:  # 45 ms, and the same for all storages
            _newest.append(found.get_head_version())
        return found.get_current_version() == _newest[0]
    except (SQLAlchemyError, StorageInternalError, AssertionError) as error:
        if isinstance(error, AssertionError) or _NO_TABLE.search(str(_cause(error))):
            return False
        raise


def _cause(error: BaseException) -> BaseException:
    """Return the driver's error below those of Optuna and SQLAlchemy."""
    while inner := getattr(error, "orig", None) or (isinstance(error, StorageInternalError) and error.__cause__):
        error = inner
    return error


def _explain(error: Exception, url: str) -> str:
    text = " ".join(conceal(str(_cause(error)), url).split())
    if isinstance(error, ImportError):
        hint = "pip install 'lightsweep[postgres]'" if url.startswith("postgres") else "pip install pymysql"
        return f"its database driver is not installed; {hint}"
    if isinstance(error, RuntimeError):
        return f"its tables are of another Optuna version. {text}"
    full = "all of its connections are in use; raise max_connections, or start fewer agents with --jobs"
    remedies = {
        "too many": full,
        "connection slots": full,
        "unable to open database file": "check that its directory exists and may be written to",
        "readonly database": "check the permissions of the file and its directory",
        "file is not a database": "it is another kind of file; name an SQLite file, or a new one",
        "database is locked": "another program holds it; try again when it is done",
    }
    remedy = next((words for part, words in remedies.items() if part in text), "")
    ended = "" if remedy else server_ended(url)
    text = text.removeprefix("connection failed: ").partition(" Is the server running on that host")[0]
    return f"cannot be opened ({text}){ended or '; ' + (remedy or 'check the URL and the server')}"
