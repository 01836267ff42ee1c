"""Open an Optuna storage so that many agents can write to it at once."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from lightsweep.errors import NotFoundError, StorageError
from lightsweep.storage import servers, sqlite
from lightsweep.storage.network import warn_of_network
from lightsweep.storage.passwords import conceal, shown
from lightsweep.storage.url import parse

__all__ = ["Storage", "open_storage", "quiet"]

# Programs that make the tables at the same moment get in each other's way for milliseconds.
_CREATION_TRIES = 6
_CREATION_PAUSE_SECONDS = 0.05
_MADE_BY_ANOTHER = ("already exists", "UNIQUE", "unique", "Duplicate entry")  # of PostgreSQL, SQLite, MySQL


class Storage:
    """An open storage: Optuna's own object for every write, its engine for the ledger's reads.

    Its connections close by :meth:`close`, or by themselves when nobody holds ``optuna`` any more.

    Attributes:
        optuna: Optuna's storage; ``optuna.load_study(storage=...)`` takes it as it is.
        url: The URL as it was given, with its password; show ``str(storage)`` instead.
    """

    def __init__(self, url: str, storage: RDBStorage) -> None:
        self.url = url
        self.optuna = storage
        # Neither SQLAlchemy nor a user who typed Sweep.load(...) in a notebook closes what waits in the pool.
        weakref.finalize(storage, _release, storage.engine, os.getpid())

    def __str__(self) -> str:
        return shown(self.url)

    @property
    def engine(self) -> sqlalchemy.Engine:
        """SQLAlchemy's engine of the storage."""
        return self.optuna.engine

    def reading(self) -> sqlalchemy.Connection:
        """A connection for reading: one consistent snapshot for all of its statements, without a write lock."""
        options: dict[str, Any] = {sqlite.READ: True}
        if self.engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"  # what SQLite and MySQL give by themselves
        return self.engine.connect().execution_options(**options)

    def close(self) -> None:
        """Give every connection back."""
        self.optuna.remove_session()
        self.engine.dispose()


def open_storage(url: str, *, create: bool = True, look: bool = False) -> Storage:
    """Open the storage at ``url``, and make its tables where they are missing.

    SQLite is opened in WAL mode with ``synchronous=NORMAL``: a commit costs a fraction of a millisecond, and what a
    power cut can take back are the last commits, never the consistency of the file. Each of its writing transactions
    begins with the write lock, since Optuna reads before it writes and a lock taken late cannot wait for others.

    Args:
        url: A database URL, or the path of an SQLite file.
        create: False where an SQLite file that does not exist is an error.
        look: For those who only look: an SQLite file that this user may not write to is read as it is.

    Raises:
        StorageError: No such driver, no permission, no database there, or tables of another Optuna version.
        NotFoundError: ``create`` is false and the file does not exist.
    """
    parsed = parse(url)
    options: dict[str, Any] = {}
    begin, tables = sqlite.begin, True
    if parsed.drivername.startswith("sqlite"):
        path = Path(str(parsed.database))
        if not create and not path.exists():
            raise NotFoundError(
                f"there is no storage {path} here, so no sweep either; create one by `lightsweep sweep CONFIG.yaml`, "
                "or name another storage with --storage or LIGHTSWEEP_STORAGE"
            )
        warn_of_network(path.absolute())
        if look and path.exists() and not sqlite.may_write(path):
            # Each look opens the file again, since what it may take for granted holds for one look.
            options = {"creator": lambda: sqlite.connect_to_look(path), "poolclass": sqlalchemy.NullPool}
            begin, tables = sqlite.begin_to_look, False
        else:
            options = {"creator": lambda: sqlite.connect(path)}
    else:
        options = servers.options(parsed)
    name = shown(url)
    try:
        storage = _make(parsed.render_as_string(hide_password=False), options, tables)
    except ImportError:
        extra = "postgres" if parsed.drivername.startswith("postgres") else "mysql"
        hint = "pip install 'lightsweep[postgres]'" if extra == "postgres" else "pip install pymysql"
        raise StorageError(f"storage {name}: its database driver is not installed; {hint}") from None
    except RuntimeError as error:
        raise StorageError(
            f"storage {name}: its tables are of another Optuna version. {conceal(str(error), url).strip()}"
        ) from None
    except (SQLAlchemyError, StorageInternalError) as error:
        raise StorageError(f"storage {name}: {_explain(error, url)}") from None
    if storage.engine.dialect.name == "sqlite":
        # The tables were made through connections that began without the listener.
        storage.engine.dispose()
        sqlalchemy.event.listen(storage.engine, "begin", begin)
    else:
        servers.prepare(storage.engine)
    return Storage(url, storage)


def _release(engine: sqlalchemy.Engine, owner: int) -> None:
    """Close the connections in the pool, except in a child process that was forked: they are its parent's."""
    engine.dispose(close=os.getpid() == owner)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's notes, such as "A new study created", off the user's terminal; warnings pass."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


@contextmanager
def _closing_where_it_fails() -> Iterator[None]:
    """Close the connections that this thread makes within; an Optuna storage that fails leaves nobody who could."""
    made: list[Any] = []
    thread = threading.get_ident()

    def note(connection: Any, _record: Any) -> None:
        if threading.get_ident() == thread:
            made.append(connection)

    sqlalchemy.event.listen(sqlalchemy.Pool, "connect", note)
    try:
        yield
    except BaseException:
        for connection in made:
            connection.close()
        raise
    finally:
        sqlalchemy.event.remove(sqlalchemy.Pool, "connect", note)


def _make(url: str, options: dict[str, Any], tables: bool) -> RDBStorage:
    for left in reversed(range(_CREATION_TRIES)):
        try:
            with quiet(), _closing_where_it_fails():
                return RDBStorage(url, engine_kwargs=dict(options), skip_table_creation=not tables)
        except (DatabaseError, StorageInternalError) as error:
            # Another program makes the same tables now; what it has made is found the next time.
            if not left or not any(words in str(_cause(error)) for words in _MADE_BY_ANOTHER):
                raise
        except AssertionError:  # Optuna's, where it finds the table of its version before the version
            if not left:
                raise
        time.sleep(_CREATION_PAUSE_SECONDS)
    raise AssertionError("unreachable: the last try returns or raises")


def _cause(error: BaseException) -> BaseException:
    """The driver's own error below those of Optuna and SQLAlchemy."""
    while isinstance(error, (SQLAlchemyError, StorageInternalError)):
        inner = getattr(error, "orig", None) or error.__cause__
        if inner is None:
            break
        error = inner
    return error


def _explain(error: Exception, url: str) -> str:
    text = " ".join(conceal(str(_cause(error)), url).split())
    remedies = {
        "unable to open database file": "check that its directory exists and may be written to",
        "readonly database": "check the permissions of the file and its directory",
        "file is not a database": "it is another kind of file; name an SQLite file, or a new one",
        "database is locked": "another program holds it; try again when it is done",
    }
    remedy = next((words for part, words in remedies.items() if part in text), "check the URL and the server")
    return f"cannot be opened ({text}); {remedy}"
