"""Connections to a database server: how long one waits for it, and what holds for each of them."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy
from sqlalchemy.exc import InvalidatePoolError

__all__ = ["options", "prepare"]

# A host that vanishes without a word (a cable, a firewall) is noticed within half a minute rather than the quarter of
# an hour that TCP takes by itself. PostgreSQL's are libpq's settings, read by every driver that stands on it.
_LIBPQ = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_MYSQL = {"connect_timeout": 10, "read_timeout": 30, "write_timeout": 30}
_TIMEOUTS: dict[str, dict[str, int]] = {
    "postgresql+psycopg": _LIBPQ,
    "postgresql+psycopg2": _LIBPQ,
    "mysql+pymysql": _MYSQL,
    "mysql+mysqldb": _MYSQL,
    "mariadb+pymysql": _MYSQL,
    "mariadb+mysqldb": _MYSQL,
}

_IDLE_SECONDS = 1.0
_USED = "lightsweep_used"

# Heartbeats are in the time zone of the session that writes them and are compared with "now" in another one.
_IN_UTC = {
    "postgresql": "SET TIME ZONE 'UTC'",
    "mysql": "SET time_zone = '+00:00'",
    "mariadb": "SET time_zone = '+00:00'",
}


def options(url: sqlalchemy.URL) -> dict[str, Any]:
    """What SQLAlchemy's ``create_engine`` gets besides the URL, whose own settings count more."""
    timeouts = {name: value for name, value in _TIMEOUTS.get(url.drivername, {}).items() if name not in url.query}
    return {"connect_args": timeouts}


def prepare(engine: sqlalchemy.Engine) -> None:
    """See to every connection from now on: in UTC, and tried before it is used where it lay idle.

    Trying it every time, which SQLAlchemy offers, would double the traffic of a busy agent.
    """
    engine.dispose()  # those that are open began without
    _in_utc(engine)
    _tried_where_idle(engine)


def _in_utc(engine: sqlalchemy.Engine) -> None:
    statement = _IN_UTC[engine.dialect.name]

    def set_zone(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()  # PostgreSQL would take it back together with the transaction

    sqlalchemy.event.listen(engine, "connect", set_zone)


def _tried_where_idle(engine: sqlalchemy.Engine) -> None:
    def note(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def attempt(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get(_USED, time.monotonic()) < _IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            # The server was restarted, so every connection in the pool is of no use; a new one is made.
            raise InvalidatePoolError(str(error)) from error

    sqlalchemy.event.listen(engine, "checkin", note)
    sqlalchemy.event.listen(engine, "checkout", attempt)
