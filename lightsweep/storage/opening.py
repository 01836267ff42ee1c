"""Open an Optuna storage so that many agents can write to it at once."""

from __future__ import annotations

import json
import math
import os
import random
import re
import select
import shlex
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import DatabaseError, InvalidatePoolError, SQLAlchemyError

from lightsweep.errors import NotFoundError, StorageError
from lightsweep.storage.sqlite_file import connect, connect_to_look, may_write, warn_of_network
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

READ = "lightsweep_read"
"""Execution option of a connection that only reads: its transactions take no write lock."""


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


_STUDIES = """
SELECT studies.study_id, study_name, attributes.key, value_json
FROM studies LEFT JOIN study_user_attributes attributes ON attributes.study_id = studies.study_id
"""


class Study(NamedTuple):
    """A study of a storage, which may be a sweep."""

    id: int
    name: str
    attributes: dict[str, Any]


class Storage:
    """An open storage: Optuna's own object, and its engine for SQL.

    Its connections close by :meth:`close`, or when it and ``optuna`` are garbage-collected.

    Attributes:
        engine: SQLAlchemy's engine.
        url: The given URL, with its password; show ``str(storage)`` instead.
    """

    def __init__(
        self, url: str, engine: sqlalchemy.Engine, make: Callable[[], RDBStorage], file: File | None = None
    ) -> None:
        self.url = url
        self.engine = engine
        self._make = make
        self._file = file

    @cached_property
    def optuna(self) -> RDBStorage:
        """Optuna's storage; ``optuna.load_study(storage=...)`` accepts it."""
        return self._make()

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

    def studies(self, name: str | None = None) -> list[Study]:
        """Return all studies, the oldest first, or only the one of this name."""
        where = "" if name is None else "WHERE studies.study_name = :name"
        statement = sqlalchemy.text(f"{_STUDIES} {where} ORDER BY studies.study_id")
        found: dict[int, Study] = {}
        with self.reading() as connection:
            for study_id, study_name, key, value in connection.execute(statement, {"name": name} if name else {}):
                study = found.setdefault(study_id, Study(study_id, study_name, {}))
                if key is not None:
                    study.attributes[key] = json.loads(value)
        return list(found.values())

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
        if "optuna" in vars(self):
            self.optuna.remove_session()
            self.optuna.engine.dispose()
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
    make = partial(_with_optuna, url, options, tables)
    if look and (engine := _known(url, options)):
        opened = Storage(url, engine, make, file)
        weakref.finalize(opened, _release, engine, os.getpid())
        return opened
    storage = make()
    opened = Storage(url, storage.engine, make, file)
    opened.optuna = storage
    return opened


def _known(url: str, options: dict[str, Any]) -> sqlalchemy.Engine | None:
    """Return the engine of a storage that has tables of a known version; ``None`` if Optuna has to look at them.

    It takes a quarter of a second to load what Optuna needs: SQLAlchemy's classes for tables, and Alembic.
    """
    try:
        engine = sqlalchemy.create_engine(parse(url), **options)
        try:
            with engine.connect() as connection:
                version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        finally:
            engine.dispose()
    except (ImportError, SQLAlchemyError) as error:
        text = str(_cause(error))
        if _NO_TABLE.search(text) or _FULL.search(text):
            return None
        raise StorageError(f"storage {shown(url)}: {_explain(error, url)}") from None
    _listen(engine, url)
    return engine if version in KNOWN_SCHEMAS else None


def _with_optuna(url: str, options: dict[str, Any], tables: bool) -> RDBStorage:
    """Return Optuna's storage, with tables of a known version."""
    name = shown(url)
    try:
        storage, version = _with_version(parse(url).render_as_string(hide_password=False), options, tables)
    except (ImportError, RuntimeError, SQLAlchemyError, StorageInternalError) as error:
        raise StorageError(f"storage {name}: {_explain(error, url)}") from None
    # SQLAlchemy does not close the pool's connections, nor does a user of Sweep.load(...) in a notebook.
    weakref.finalize(storage, _release, storage.engine, os.getpid())
    _listen(storage.engine, url)
    if version not in KNOWN_SCHEMAS:
        known = ", ".join(sorted(KNOWN_SCHEMAS))
        raise StorageError(
            f"storage {name}: its tables have version {version} of Optuna, and this lightsweep knows {known}; "
            "use a version of lightsweep that fits the Optuna that made them"
        )
    return storage


def _listen(engine: sqlalchemy.Engine, url: str) -> None:
    """Prepare all later connections of an engine."""
    engine.dispose()  # its connections began without the listener
    if engine.dialect.name == "sqlite":
        sqlalchemy.event.listen(engine, "begin", begin)
    else:
        prepare_connections(engine)
        if named := named_by_file(url):
            follow(engine, named)


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
