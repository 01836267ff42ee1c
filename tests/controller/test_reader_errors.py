"""Failures of a database: retry some, and end the agent after the others."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError

from lightsweep.controller.reader import storage_errors
from lightsweep.errors import LightsweepError, NotFoundError, StorageError, StorageUnavailableError
from lightsweep.storage import Storage


def raised(error: BaseException) -> LightsweepError:
    with pytest.raises(LightsweepError) as caught, storage_errors():
        raise error
    return caught.value


def by_driver(error: Exception, base: type[Exception]) -> sqlalchemy.exc.SQLAlchemyError:
    """SQLAlchemy's exception for one of a driver."""
    made = sqlalchemy.exc.DBAPIError.instance("SELECT 1", {}, error, base)
    assert isinstance(made, sqlalchemy.exc.SQLAlchemyError)
    return made


@pytest.mark.parametrize(
    "error",
    [
        by_driver(sqlite3.OperationalError("database is locked"), sqlite3.Error),
        by_driver(sqlite3.OperationalError("database or disk is full"), sqlite3.Error),
        by_driver(psycopg.errors.AdminShutdown("terminating connection"), psycopg.Error),
        by_driver(psycopg.errors.DeadlockDetected("deadlock detected"), psycopg.Error),
        by_driver(psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), psycopg.Error),
        by_driver(psycopg.errors.ForeignKeyViolation("the sweep is deleted meanwhile"), psycopg.Error),
        sqlalchemy.exc.OperationalError("", {}, Exception(2006, "server has gone away")),
        sqlalchemy.exc.InterfaceError("", {}, Exception(0, "")),
        sqlalchemy.exc.TimeoutError("QueuePool limit"),
        sqlalchemy.exc.InvalidatePoolError("restarted"),
    ],
    ids=str,
)
def test_what_may_pass_is_retried(error: sqlalchemy.exc.SQLAlchemyError) -> None:
    found = raised(error)
    assert type(found) is StorageUnavailableError
    assert str(found).startswith("the storage does not answer: ")


@pytest.mark.parametrize("text", ["already exists", "does not exist"])
def test_a_pooler_that_shares_connections_needs_a_word_in_the_url(text: str) -> None:
    error = psycopg.errors.DuplicatePreparedStatement(f'prepared statement "_pg3_0" {text}')
    found = raised(by_driver(error, psycopg.Error))
    assert type(found) is StorageError
    assert "add prepare_threshold=none to the URL" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        by_driver(psycopg.errors.InsufficientPrivilege("permission denied for table trials"), psycopg.Error),
        by_driver(psycopg.errors.UndefinedTable('relation "trials" does not exist'), psycopg.Error),
        by_driver(psycopg.errors.NumericValueOutOfRange("integer out of range"), psycopg.Error),
        by_driver(sqlite3.OperationalError("no such table: trials"), sqlite3.Error),
        by_driver(sqlite3.OperationalError("attempt to write a readonly database"), sqlite3.Error),
        by_driver(sqlite3.DatabaseError("database disk image is malformed"), sqlite3.Error),
        sqlalchemy.exc.OperationalError("", {}, Exception(1142, "INSERT command denied to user 'u'@'h'")),
    ],
    ids=str,
)
def test_what_never_passes_is_given_up(error: sqlalchemy.exc.SQLAlchemyError) -> None:
    found = raised(error)
    assert type(found) is StorageError
    assert str(found).startswith("the storage refuses: ")
    assert "check its tables and the permissions" in str(found)


def test_a_connection_that_broke_is_retried_whatever_the_driver_calls_it() -> None:
    error = by_driver(psycopg.DatabaseError("lost synchronization"), psycopg.Error)
    assert type(raised(error)) is StorageError
    assert isinstance(error, sqlalchemy.exc.DBAPIError)
    error.connection_invalidated = True
    assert type(raised(error)) is StorageUnavailableError


def test_what_optuna_wraps_is_told_apart_too() -> None:
    def wrapped(inner: Exception) -> StorageInternalError:
        outer = StorageInternalError("An exception is raised during the commit.")
        outer.__cause__ = by_driver(inner, psycopg.Error)
        return outer

    assert type(raised(wrapped(psycopg.OperationalError("gone")))) is StorageUnavailableError
    assert type(raised(wrapped(psycopg.ProgrammingError("permission denied")))) is StorageError
    assert type(raised(KeyError("study"))) is NotFoundError


def test_a_real_database_without_its_table(storage: Storage) -> None:
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE trials RENAME TO other")
    refused = pytest.raises(StorageError, match="the storage refuses: no such table: trials")
    with refused, storage_errors(), storage.engine.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM trials")
