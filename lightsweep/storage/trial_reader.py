"""A fast, incremental reader of a study's trials.

Optuna reads a whole study at once, about a second for each thousand trials, and keeps every trial as an object of
several kilobytes. An agent needs less: what has changed since it last looked. So this reads Optuna's tables directly,
each finished trial once and of a running one only the new reports.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from sqlalchemy import Connection, CursorResult, TextClause, bindparam, text
from sqlalchemy.exc import OperationalError

from lightsweep.storage.opening import Storage

__all__ = ["TrialQueries", "TrialReader", "TrialRow"]

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


class TrialQueries:
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


_NON_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
_OPEN = {"RUNNING", "WAITING"}


@dataclass(slots=True)
class TrialRow:
    """One trial as the storage has it.

    Attributes:
        trial_id: Optuna's key of the trial.
        number: Position in the study, from 0 without gaps.
        state: ``RUNNING``, ``COMPLETE``, ``PRUNED``, ``FAIL`` or ``WAITING``.
        parameters: Parameter name -> value in Optuna's external representation.
        attributes: User attributes.
        reports: Every value reported, in order, NaN and infinities included.
        last_step: Step of the last of ``reports``.
        settled: Whether two looks in a row found the same parameters, so that all of them are there.
        partial: Whether it was read without its parameters, or without the attributes that came after its first look.
        started, ended: Times in UTC; ``None`` where there is none.
    """

    trial_id: int
    number: int
    state: str
    parameters: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    reports: array[float] = field(default_factory=lambda: array("d"))
    last_step: int = -(2**31)
    settled: bool = False
    partial: bool = False
    started: datetime | None = None
    ended: datetime | None = None


class TrialReader:
    """All trials of one study, brought up to date by :meth:`refresh`.

    ``refresh`` is ``read`` and then ``take``. They are apart so that a program with several threads can hold one lock
    around both and, during :meth:`take` alone, which touches memory only, the lock under which it looks at the records.

    Args:
        storage: The storage.
        study_id: Optuna's key of the study.
        clock: Seconds that only go forward.

    Attributes:
        records: Every trial, by number.
        last_trial_id: Optuna's key of the last of them; -1 where there is none.
        clock: The clock; tests move it.
        beats: The last heartbeat of each running trial, by the database's clock, as of the last :meth:`stale`.
        moment: The time by the database's clock as of the last :meth:`stale`.
    """

    def __init__(self, storage: Storage, study_id: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._rows = TrialQueries(study_id)
        self.clock = clock
        self.last_trial_id = -1
        self.records: list[TrialRow] = []  # by number
        self.beats: dict[int, datetime] = {}
        self.moment = datetime.fromtimestamp(0, timezone.utc)
        self._open: dict[int, TrialRow] = {}
        self._partial: dict[int, TrialRow] = {}  # of those that are over
        self._first_seen: dict[int, float] = {}

    def refresh(self, *, details: bool = True) -> list[TrialRow]:
        """Read what is new; the records that are new, or were open at the last look, by number.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; the ledger is as it was, and can try again.
        """
        with self._storage.reading() as connection:
            found = self.read(connection, details=details)
        return self.take(found)

    def read(self, connection: sqlalchemy.Connection, *, details: bool = True) -> list[TrialRow]:
        """What is new, for :meth:`take`; a trial that was open at the last look comes with its new reports only.

        Args:
            connection: Of ``storage.reading()``.
            details: False for the states, the reports, the attributes from each trial's first moment, and how failed
                ones ended; the rest is then read by the next look with details. With many agents at work that is most
                of what there is to read.
        """
        found = []
        for row in self._rows.trials(connection, self.last_trial_id, list(self._open)):
            record = TrialRow(row.trial_id, row.number, row.state)
            record.started, record.ended = _as_utc(row.datetime_start), _as_utc(row.datetime_complete)
            if (before := self._open.get(row.trial_id)) is not None:
                record.last_step, record.settled = before.last_step, before.settled
                if record.settled or not details:
                    record.parameters, record.attributes = before.parameters, dict(before.attributes)
            record.partial = not details and (record.state not in _OPEN or not record.settled)
            found.append(record)
        self._read_attributes(connection, self._with_new_attributes(found, details=details))
        if details:
            self._read_parameters(connection, [record for record in found if not record.settled])
        self._read_reports(connection, found)
        if details:
            found += self._completed(connection)
        return found

    def _with_new_attributes(self, records: Sequence[TrialRow], *, details: bool) -> list[TrialRow]:
        if details:  # of a run that goes on only the reports change; how it ended is an attribute
            return [record for record in records if not (record.settled and record.state in _OPEN)]
        return [record for record in records if record.trial_id not in self._open or record.state == "FAIL"]

    def _completed(self, connection: sqlalchemy.Connection) -> list[TrialRow]:
        """What is missing of the trials that ended between looks without details."""
        found = [
            TrialRow(old.trial_id, old.number, old.state, last_step=old.last_step, started=old.started, ended=old.ended)
            for old in list(self._partial.values())
        ]
        self._read_attributes(connection, found)
        self._read_parameters(connection, found)
        return found

    def _read_attributes(self, connection: sqlalchemy.Connection, records: Sequence[TrialRow]) -> None:
        by_id = {record.trial_id: record for record in records}
        for trial_id, key, value in self._rows.attributes(connection, list(by_id)):
            by_id[trial_id].attributes[key] = json.loads(value)

    def _read_parameters(self, connection: sqlalchemy.Connection, records: Sequence[TrialRow]) -> None:
        by_id = {record.trial_id: record for record in records}
        for trial_id, name, value, distribution in self._rows.parameters(connection, list(by_id)):
            by_id[trial_id].parameters[name] = _distribution(distribution).to_external_repr(value)

    def _read_reports(self, connection: sqlalchemy.Connection, records: Sequence[TrialRow]) -> None:
        by_id = {record.trial_id: record for record in records}
        after = {trial_id: record.last_step for trial_id, record in by_id.items()}
        for trial_id, at, value, kind in self._rows.reports(connection, after):
            record = by_id[trial_id]
            record.reports.append(_NON_FINITE.get(kind, value))
            record.last_step = at

    def take(self, found: Iterable[TrialRow]) -> list[TrialRow]:
        """Take in what :meth:`read` found; the records that are new, or were open at the last look, by number."""
        return [self._take(record) for record in found]

    def stale(self, lease: float) -> list[TrialRow]:
        """The running trials that gave no sign of life for more than ``lease`` seconds.

        Heartbeats are compared with the database's clock. A trial without any, whose agent died between two commits,
        is stale when this ledger has known it for as long.
        """
        with self._storage.reading() as connection:
            now = self._storage.now(connection)
            self.moment = now.replace(tzinfo=timezone.utc)
            beats = self.beats = {trial_id: _as_datetime(beat) for trial_id, beat in self._rows.heartbeats(connection)}
        limit, known_before = timedelta(seconds=lease), self.clock() - lease
        seen = dict(self._first_seen)  # another thread may take in a refresh meanwhile
        return [
            record
            for trial_id, record in list(self._open.items())
            if record.state == "RUNNING"
            and (
                now - beats[trial_id] > limit if trial_id in beats else seen.get(trial_id, known_before) < known_before
            )
        ]

    def attribute(self, connection: sqlalchemy.Connection, key: str) -> Any:
        """The study's user attribute of this name.

        Raises:
            KeyError: There is none.
            sqlalchemy.exc.SQLAlchemyError: The database does not answer.
        """
        value = self._rows.attribute(connection, key)
        if value is None:
            raise KeyError(key)
        return json.loads(value)

    def _take(self, found: TrialRow) -> TrialRow:
        record = self._open.pop(found.trial_id, None) or self._partial.pop(found.trial_id, None)
        if record is None:
            record = found
            self.last_trial_id = max(self.last_trial_id, found.trial_id)
            self.records.append(found)
        else:
            record.settled = found.settled or (
                not found.partial and 0 < len(record.parameters) == len(found.parameters)
            )
            record.partial = found.partial
            record.state, record.started, record.ended = found.state, found.started, found.ended
            record.parameters, record.attributes = found.parameters, found.attributes
            record.reports.extend(found.reports)
            record.last_step = found.last_step
        if record.state in _OPEN:
            self._open[record.trial_id] = record
            self._first_seen.setdefault(record.trial_id, self.clock())
        else:
            self._first_seen.pop(record.trial_id, None)
            if record.partial:
                self._partial[record.trial_id] = record
        return record


@lru_cache(maxsize=4096)
def _distribution(text_: str) -> BaseDistribution:
    return json_to_distribution(text_)


def _as_datetime(value: Any) -> datetime:
    # SQLite gives text, since raw SQL knows no column types.
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    assert isinstance(moment, datetime)
    return moment


def _as_utc(value: Any) -> datetime | None:
    # Optuna converts local times to UTC on their way into these columns.
    return None if value is None else _as_datetime(value).replace(tzinfo=timezone.utc)
