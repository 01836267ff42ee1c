"""The trials of a PostgreSQL storage: one statement for each look, report and end, for hundreds of agents.

A statement is a transaction of its own, so an agent waits for the server once, and the server plans and commits once.
The rows are those of :mod:`lightsweep.storage.sql_trials`.
"""

from __future__ import annotations

import itertools
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import datetime, timezone
from sys import intern
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from lightsweep.storage.sql_trials import (
    SqlTrials,
    attribute_rows,
    content,
    distribution_of,
    parameter_rows,
    report_row,
    utc,
    utc_now,
    value_rows,
)
from lightsweep.storage.trials import Claim, OpenTrials, Parameters, TrialRow

_LOOK = """
WITH known AS (
  SELECT * FROM unnest(CAST(%(ids)s AS integer[]), CAST(%(steps)s AS integer[]), CAST(%(counts)s AS integer[]))
    AS given (trial_id, step, parameters)
), seen AS (
  SELECT trials.*, CAST(-2147483648 AS integer) AS step, 0 AS parameters, TRUE AS whole
    FROM trials WHERE study_id = %(study)s AND trial_id > %(last)s
  UNION ALL
  SELECT trials.*, step, parameters, parameters = 0 OR state NOT IN ('RUNNING', 'WAITING')
    FROM known JOIN trials USING (trial_id)
), changed AS (
  SELECT seen.*, a.*, p.*, r.*
    FROM seen
    LEFT JOIN LATERAL (
      SELECT array_agg(key) AS keys, array_agg(value_json) AS texts
        FROM (SELECT * FROM trial_user_attributes AS each WHERE each.trial_id = seen.trial_id AND whole
          ORDER BY 1) AS rows
    ) AS a ON TRUE
    LEFT JOIN LATERAL (
      SELECT array_agg(param_name) AS names, array_agg(distribution_json) AS kinds, array_agg(param_value) AS numbers
        FROM (SELECT * FROM trial_params AS each WHERE each.trial_id = seen.trial_id AND whole
          ORDER BY 1) AS rows
        HAVING count(*) <> seen.parameters
    ) AS p ON TRUE
    LEFT JOIN LATERAL (
      SELECT max(rows.step) AS last_step, array_agg(CASE rows.intermediate_value_type
          WHEN 'NAN' THEN 'NaN' WHEN 'INF_POS' THEN 'Infinity' WHEN 'INF_NEG' THEN '-Infinity'
          ELSE rows.intermediate_value END) AS reports
        FROM (SELECT * FROM trial_intermediate_values AS each
          WHERE each.trial_id = seen.trial_id AND each.step > seen.step ORDER BY each.step) AS rows
    ) AS r ON TRUE
    WHERE whole OR last_step IS NOT NULL
)
SELECT (SELECT value_json FROM study_user_attributes WHERE study_id = %(study)s AND key = %(key)s),
    trial_id, number, CAST(state AS text), datetime_start, datetime_complete, keys, texts, names, kinds, numbers,
    last_step, reports
  FROM (SELECT 1) AS always LEFT JOIN changed ON TRUE ORDER BY number
"""
"""The attribute of the study, beside each changed trial; of a running trial with parameters only its new reports."""

_BEATS = """
SELECT now(), trial_id, heartbeat
  FROM (SELECT 1) AS always
    LEFT JOIN (trial_heartbeats JOIN trials USING (trial_id)) ON study_id = %(study)s AND state = 'RUNNING'
"""

_LOCK = "SELECT study_id FROM studies WHERE study_id = %(study)s FOR UPDATE"
_NEWS = """
SELECT value_json
  FROM trials LEFT JOIN trial_user_attributes AS a ON a.trial_id = trials.trial_id AND key = %(key)s
  WHERE study_id = %(study)s AND trials.trial_id > %(last)s ORDER BY trials.trial_id
"""

_ATTRIBUTES = "json_to_recordset(CAST(%(attributes)s AS json)) AS given (key text, value_json text)"
_PARAMETERS = """
json_to_recordset(CAST(%(parameters)s AS json))
  AS given (param_name text, param_value double precision, distribution_json text)"""
_REPORTS = """
json_to_recordset(CAST(%(reports)s AS json)) AS given (trial_id integer, step integer,
  intermediate_value double precision, intermediate_value_type trialintermediatevaluetype)"""
_OBJECTIVES = """
json_to_recordset(CAST(%(objectives)s AS json))
  AS given (objective integer, value double precision, value_type trialvaluetype)"""

_ADD = f"""
WITH trial AS (
  INSERT INTO trials (number, study_id, state, datetime_start) VALUES (%(number)s, %(study)s, 'RUNNING', %(start)s)
    RETURNING trial_id
), attributes AS (
  INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT trial_id, given.* FROM trial, {_ATTRIBUTES}
), parameters AS (
  INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT trial_id, given.* FROM trial, {_PARAMETERS}
), reports AS (
  INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT trial.trial_id, step, intermediate_value, intermediate_value_type FROM trial, {_REPORTS}
)
INSERT INTO trial_heartbeats (trial_id, heartbeat) SELECT trial_id, CURRENT_TIMESTAMP FROM trial RETURNING trial_id
"""

_REPORT = f"""
INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
  SELECT given.* FROM {_REPORTS} JOIN trials USING (trial_id) WHERE state = 'RUNNING' FOR SHARE OF trials
  ON CONFLICT (trial_id, step) DO UPDATE
    SET intermediate_value = excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type
  RETURNING trial_id
"""
"""Inserts nothing for a trial that has ended; a running one stays so until the statement ends."""

_END = f"""
WITH ended AS (
  UPDATE trials SET state = CAST(%(state)s AS trialstate), datetime_complete = %(now)s
    WHERE trial_id = %(trial)s AND state = 'RUNNING' RETURNING trial_id
), attributes AS (
  INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT trial_id, given.* FROM ended, {_ATTRIBUTES}
), objectives AS (
  INSERT INTO trial_values (trial_id, objective, value, value_type) SELECT trial_id, given.* FROM ended, {_OBJECTIVES}
)
SELECT trial_id FROM ended
"""


class PostgresqlTrials(SqlTrials):
    """The trials of a PostgreSQL storage, see :class:`~lightsweep.storage.trials.Trials`."""

    def changes(self, study_id: int, key: str, last: TrialRow | None, known: OpenTrials) -> tuple[Any, list[TrialRow]]:
        """See :meth:`Trials.changes`; a running trial without a new report is left out."""
        given = {
            "study": study_id,
            "key": key,
            "last": last.trial_id if last else -1,
            "ids": _integers(known),
            "steps": _integers(row.last_step for row in known.values()),
            "counts": _integers(len(row.parameters) for row in known.values()),
        }
        with self._driver(alone=True) as connection:
            rows = iter(_send(connection, _LOOK, given))
            first = next(rows)
            later = itertools.chain([first], rows)
            found = [_trial(row, known.get(row[1])) for row in later if row[1] is not None]
        return None if first[0] is None else json.loads(first[0]), found

    def heartbeats(self, study_id: int) -> tuple[datetime, dict[int, datetime]]:
        """See :meth:`Trials.heartbeats`; the clock is the database's."""
        rows = self._rows(_BEATS, {"study": study_id})
        beats = {trial_id: beat.replace(tzinfo=timezone.utc) for _, trial_id, beat in rows if trial_id is not None}
        return rows[0][0].replace(tzinfo=timezone.utc), beats

    def report(self, reports: Iterable[tuple[int, int, float]]) -> set[int]:
        """See :meth:`Trials.report`."""
        given = {(trial_id, step): value for trial_id, step, value in reports}
        rows = [report_row(*place, value) for place, value in given.items()]
        written = self._rows(_REPORT, {"reports": json.dumps(rows)})
        if len(written) == len(given):
            return set()
        return {trial_id for trial_id, _ in given}.difference(trial_id for (trial_id,) in written)

    def end(
        self, trial_id: int, state: TrialState, attributes: Mapping[str, Any], values: Sequence[float] | None = None
    ) -> bool:
        """See :meth:`Trials.end`."""
        given = {
            "trial": trial_id,
            "state": state.name,
            "now": utc_now(),
            "attributes": json.dumps(attribute_rows(trial_id, attributes)),
            "objectives": json.dumps(value_rows(trial_id, values or ())),
        }
        return bool(self._rows(_END, given)) or self._ended_so(trial_id, attributes)

    @contextmanager
    def claim(self, study_id: int, key: str, last: TrialRow | None) -> Iterator[Claim]:
        """See :meth:`Trials.claim`; the lock is the one under which Optuna numbers a study's trials."""
        given = {"study": study_id, "key": key, "last": last.trial_id if last else -1}
        with self._driver(alone=False) as connection:
            with getattr(connection, "pipeline", nullcontext)():  # sent at once, for the lock is held from here on
                locked, news = _send(connection, _LOCK, given), _send(connection, _NEWS, given)
                if locked.fetchone() is None:
                    raise KeyError(study_id)
                texts = [text for (text,) in news]
            number = len(texts) + (last.number + 1 if last else 0)

            def add(attributes: Mapping[str, Any], parameters: Parameters, reports: Sequence[float]) -> int:
                values = {
                    "number": number,
                    "study": study_id,
                    "start": utc_now(),
                    "attributes": json.dumps(attribute_rows(0, attributes)),
                    "parameters": json.dumps(parameter_rows(0, parameters)),
                    "reports": json.dumps([report_row(0, *each) for each in enumerate(reports, start=1)]),
                }
                return int(_send(connection, _ADD, values).fetchone()[0])

            yield Claim(number, [None if text is None else json.loads(text) for text in texts], add)

    def _rows(self, statement: str, given: Mapping[str, Any]) -> Sequence[Any]:
        with self._driver(alone=True) as connection:
            found: Sequence[Any] = _send(connection, statement, given).fetchall()
            return found

    @contextmanager
    def _driver(self, *, alone: bool) -> Iterator[Any]:
        """Lend a connection of the driver itself, since SQLAlchemy takes longer over a statement than the driver.

        Args:
            alone: Whether each statement is a transaction; else the block is one.

        Raises:
            sqlalchemy.exc.DBAPIError: For each error of the driver, as SQLAlchemy would raise it.
        """
        engine, lost = self._storage.engine, False
        try:
            with closing(engine.raw_connection()) as pooled:
                connection: Any = pooled.driver_connection
                try:
                    connection.autocommit = alone
                    yield connection
                    connection.commit()
                    connection.autocommit = False
                except BaseException as error:
                    lost = not _reset(connection)
                    if lost:
                        pooled.invalidate(error)
                    raise
        except engine.dialect.loaded_dbapi.Error as error:
            raise _translated(error, lost) from error


def _send(connection: Any, statement: str, given: Mapping[str, Any]) -> Any:
    cursor = connection.cursor()
    cursor.execute(statement, given)
    return cursor


def _reset(connection: Any) -> bool:
    """Take back a transaction that failed; return whether the connection can be used again."""
    with suppress(Exception):
        connection.rollback()
        connection.autocommit = False
        return True
    return False


def _translated(error: Exception, lost: bool) -> sa.exc.DBAPIError:
    """Return SQLAlchemy's error of the same name, which both have from Python's standard for drivers."""
    kinds = (getattr(sa.exc, kind.__name__, None) for kind in type(error).__mro__)
    kind = next(found for found in (*kinds, sa.exc.DBAPIError) if found and issubclass(found, sa.exc.DBAPIError))
    made: sa.exc.DBAPIError = kind(None, None, error, connection_invalidated=lost)
    return made


def _integers(numbers: Iterable[int]) -> str:
    """Return an array as PostgreSQL reads it from text, which costs less than a list for the driver."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _trial(found: Sequence[Any], before: TrialRow | None) -> TrialRow:
    _, trial_id, number, state, started, ended, keys, texts, names, kinds, numbers, last_step, reports = found
    row = TrialRow(trial_id, number, state, started=utc(started), ended=utc(ended))
    if before is not None:
        row.attributes, row.parameters, row.last_step = before.attributes, before.parameters, before.last_step
    if keys is not None:
        row.attributes = {intern(key): content(text) for key, text in zip(keys, texts, strict=True)}
    if names is not None:
        given = zip(names, kinds, numbers, strict=True)
        row.parameters = {intern(name): distribution_of(kind).to_external_repr(value) for name, kind, value in given}
    if last_step is not None:
        row.reports, row.last_step = array("d", reports), last_step
    return row
