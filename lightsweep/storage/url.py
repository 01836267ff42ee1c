"""Storage URLs: the default one, and the drivers behind them."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import sqlalchemy
from sqlalchemy.exc import ArgumentError

from lightsweep.errors import StorageError
from lightsweep.storage.passwords import shown

__all__ = ["DEFAULT_URL", "default_url", "parse"]

DEFAULT_URL = "sqlite:///lightsweep.db"
"""A file in the working directory."""

_EXAMPLES = "sqlite:///sweeps.db or postgresql://user@host/database"

# The drivers that a bare scheme may mean, the first installed one wins.
_DRIVERS = {
    "postgresql": ("psycopg", "psycopg2"),
    "mysql": ("pymysql", "MySQLdb"),
    "mariadb": ("pymysql", "MySQLdb"),
}
_FILES = {".db", ".sqlite", ".sqlite3"}
_DIALECT_OF = {"MySQLdb": "mysqldb"}


def default_url() -> str:
    """``LIGHTSWEEP_STORAGE``, or the SQLite file ``lightsweep.db`` in the working directory."""
    return os.environ.get("LIGHTSWEEP_STORAGE") or DEFAULT_URL


def parse(url: str) -> sqlalchemy.URL:
    """The URL with an installed driver filled in.

    A path that ends in ``.db`` or ``.sqlite`` means the SQLite file there.

    Raises:
        StorageError: Not a URL, or one of a kind of database that Optuna's storage does not know.
    """
    if "://" not in url and Path(url).suffix in _FILES and not re.search(r"(?s):.*@", url):  # no user:password@host
        url = f"sqlite:///{url}"
    if url.startswith("postgres://"):
        url = "postgresql" + url.removeprefix("postgres")
    if not url.startswith("sqlite:///") and re.search(r"[\x00-\x1f\x7f]", url):
        raise StorageError(f"storage: {shown(url)!r} is no database URL, with a line break or the like in it")
    try:
        parsed = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise StorageError(f"storage: {shown(url)!r} is no database URL; write one such as {_EXAMPLES}") from None
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise StorageError(
                f"storage: {shown(url)!r} lives in the memory of one process, where no agent could find the sweep; "
                "name a file, such as sqlite:///lightsweep.db"
            )
    elif backend not in _DRIVERS:
        raise StorageError(f"storage: {backend!r} is not supported; write a URL such as {_EXAMPLES}")
    elif "@" in (parsed.host or ""):
        raise StorageError(f"storage: {shown(url)!r} has an '@' in its user or password; write it as %40")
    elif parsed.drivername == backend:
        driver = next((name for name in _DRIVERS[backend] if importlib.util.find_spec(name)), None)
        if driver is not None:
            parsed = parsed.set(drivername=f"{backend}+{_DIALECT_OF.get(driver, driver)}")
    return parsed
