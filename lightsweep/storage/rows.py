"""The statements by which the ledger reads Optuna's tables: few of them, however many trials they ask for.

The tables and their columns are Optuna's storage schema, which has a version of its own (``open_storage`` refuses any
other) and holds times in UTC since Optuna 5; ``tests/storage/test_ledger.py`` compares every field with what Optuna
itself reads, so a change of the schema is noticed there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, CursorResult, TextClause, bindparam, text
from sqlalchemy.exc import OperationalError

__all__ = ["Rows"]

_CHUNK = 450  # trials per statement, each with up to two bound variables; SQLite allows 999 in old builds

# `key` is a reserved word of MySQL, unless the name of its table stands before it.
_TRIALS = "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials WHERE "
_NEW = "study_id = :study AND trial_id > :last"
_ATTRIBUTES = "SELECT trial_id, trial_user_attributes.key, value_json FROM trial_user_attributes WHERE "
_PARAMETERS = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params WHERE "
_REPORTS = "SELECT v.trial_id, v.step, v.intermediate_value, v.intermediate_value_type "
_IN_ORDER = " ORDER BY v.trial_id, v.step"
_ATTRIBUTE = text(
    "SELECT value_json FROM study_user_attributes WHERE study_id = :study AND study_user_attributes.key = :key"
)
_HEARTBEATS = text(
    "SELECT h.trial_id, h.heartbeat FROM trial_heartbeats h JOIN trials t ON h.trial_id = t.trial_id "
    "WHERE t.study_id = :study AND t.state = 'RUNNING'"
)

# PostgreSQL takes the ids as one array: the text of a statement is always the same, so nobody parses it again.
_ARRAY = "trial_id = ANY(CAST(:ids AS integer[]))"
_ARRAY_TRIALS = text(f"{_TRIALS}{_NEW} UNION ALL {_TRIALS}{_ARRAY}")
_ARRAY_ATTRIBUTES = text(_ATTRIBUTES + _ARRAY)
_ARRAY_PARAMETERS = text(f"{_PARAMETERS}{_ARRAY} ORDER BY param_id")
_ARRAY_REPORTS = text(
    f"{_REPORTS}FROM unnest(CAST(:ids AS integer[]), CAST(:steps AS integer[])) AS known(trial, step) "
    f"JOIN trial_intermediate_values v ON v.trial_id = known.trial AND v.step > known.step{_IN_ORDER}"
)


def _listed(statement: str) -> TextClause:
    return text(statement).bindparams(bindparam("ids", expanding=True))


_NEW_TRIALS = text(_TRIALS + _NEW)
_LISTED_TRIALS = _listed(f"{_TRIALS}trial_id IN :ids")
_LISTED_ATTRIBUTES = _listed(f"{_ATTRIBUTES}trial_id IN :ids")
_LISTED_PARAMETERS = _listed(f"{_PARAMETERS}trial_id IN :ids ORDER BY param_id")


class Rows:
    """The rows of one study's trials, read through a connection that the caller gives.

    Args:
        study_id: Optuna's key of the study.
    """

    def __init__(self, study_id: int) -> None:
        self._study_id = study_id

    def trials(self, connection: Connection, last: int, known: Sequence[int]) -> list[Any]:
        """Every trial after ``last``, and the ``known`` ones, by number."""
        values = {"study": self._study_id, "last": last}
        if _takes_arrays(connection):
            rows = list(connection.execute(_ARRAY_TRIALS, {**values, "ids": known}).all())
        else:
            # Apart, since databases search the whole study for "new OR one of these".
            rows = list(connection.execute(_NEW_TRIALS, values).all())
            for start in range(0, len(known), _CHUNK):
                rows += connection.execute(_LISTED_TRIALS, {"ids": known[start : start + _CHUNK]}).all()
        return sorted(rows, key=lambda row: int(row.number))

    def attributes(self, connection: Connection, trial_ids: Sequence[int]) -> Sequence[Any]:
        """Trial, key and JSON of each user attribute."""
        return _of(connection, _ARRAY_ATTRIBUTES, _LISTED_ATTRIBUTES, trial_ids)

    def parameters(self, connection: Connection, trial_ids: Sequence[int]) -> Sequence[Any]:
        """Trial, name, value in Optuna's internal representation and distribution in JSON of each parameter."""
        return _of(connection, _ARRAY_PARAMETERS, _LISTED_PARAMETERS, trial_ids)

    def reports(self, connection: Connection, after: Mapping[int, int]) -> Sequence[Any]:
        """Trial, step, value and its type of each report behind a step, which is given for each trial; in order."""
        if not after:
            return []
        if _takes_arrays(connection):
            values = {"ids": list(after), "steps": list(after.values())}
            return connection.execute(_ARRAY_REPORTS, values).all()
        trial_ids = list(after)
        rows: list[Any] = []
        for start in range(0, len(trial_ids), _CHUNK):
            chunk = {trial_id: after[trial_id] for trial_id in trial_ids[start : start + _CHUNK]}
            rows += _unpackable(connection.execute(*_listed_reports(chunk)))
        return rows

    def attribute(self, connection: Connection, key: str) -> str | None:
        """The JSON of a user attribute of the study."""
        found = connection.execute(_ATTRIBUTE, {"study": self._study_id, "key": key}).scalar_one_or_none()
        return None if found is None else str(found)

    def heartbeats(self, connection: Connection) -> Iterator[Any]:
        """Trial and time of the last heartbeat of each running trial."""
        return iter(connection.execute(_HEARTBEATS, {"study": self._study_id}).all())


def _takes_arrays(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _of(connection: Connection, array: TextClause, listed: TextClause, ids: Sequence[int]) -> Sequence[Any]:
    if not ids:
        return []
    if _takes_arrays(connection):
        return connection.execute(array, {"ids": list(ids)}).all()
    return _in_chunks(connection, listed, ids)


def _in_chunks(connection: Connection, statement: TextClause, ids: Sequence[int]) -> list[Any]:
    rows: list[Any] = []
    for start in range(0, len(ids), _CHUNK):
        rows += _unpackable(connection.execute(statement, {"ids": ids[start : start + _CHUNK]}))
    return rows


def _unpackable(result: CursorResult[Any]) -> Sequence[Any]:
    """The rows of a statement, which may be mere tuples.

    SQLite's driver gives them faster than SQLAlchemy makes an object of each: there is a report for every epoch of
    every run. ``cursor`` is no documented attribute; the tests of the ledger read every row in this way.
    """
    cursor: Any = result.cursor
    if not isinstance(cursor, sqlite3.Cursor):
        return result.all()
    try:
        return cursor.fetchall()
    except sqlite3.Error as error:
        raise OperationalError("fetchall", None, error) from error
    finally:
        result.close()


def _listed_reports(after: Mapping[int, int]) -> tuple[TextClause, dict[str, Any]]:
    """One statement for the reports behind each trial's step, and its values."""
    by_step: dict[int, list[int]] = {}
    for trial_id, step in after.items():
        by_step.setdefault(step, []).append(trial_id)
    parts: list[str] = []
    values: dict[str, Any] = {}
    for number, (step, ids) in enumerate(by_step.items()):
        parts.append(f"(v.trial_id IN :ids{number} AND v.step > :step{number})")
        values |= {f"ids{number}": ids, f"step{number}": step}
    statement = text(f"{_REPORTS}FROM trial_intermediate_values v WHERE {' OR '.join(parts)}{_IN_ORDER}")
    for number in range(len(parts)):
        statement = statement.bindparams(bindparam(f"ids{number}", expanding=True))
    return statement, values
