"""The trials of a PostgreSQL storage: one statement for each look, report and end, for hundreds of agents.

A statement is a transaction of its own, so an agent waits for the server once, and the server plans and commits once.
The rows are those of :mod:`lightsweep.storage.sql_trials`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import datetime, timezone
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from lightsweep.storage.sql_trials import (
    SqlTrials,
    attribute_rows,
    parameter_rows,
    report_row,
    utc,
    utc_now,
    value_rows,
)
from lightsweep.storage.trials import Claim, OpenTrials, Parameters, StoredAttributes, TrialRow

_NEW = "study_id + 0 = %(study)s AND trial_id BETWEEN %(last)s + 1 AND 2147483647"
"""New trials of the study, found by their key: the index by study has a line for each trial, old ones too."""

_LOOK = f"""
WITH seen AS (
  SELECT trials.*, CAST(-2147483648 AS integer) AS step, TRUE AS whole
    FROM trials WHERE {_NEW}
  UNION ALL
  SELECT found.*, step, unsettled OR state NOT IN ('RUNNING', 'WAITING')
    FROM unnest(CAST(%(ids)s AS integer[]), CAST(%(steps)s AS integer[]), CAST(%(unsettled)s AS boolean[]))
      AS known (id, step, unsettled) CROSS JOIN LATERAL (SELECT * FROM trials WHERE trial_id = id OFFSET 0) AS found
)
SELECT NULL AS trial_id, NULL AS number, NULL AS state, NULL AS started, NULL AS ended, value_json AS attributes,
    NULL AS last_step, NULL AS reports
  FROM study_user_attributes WHERE study_id = %(study)s AND key = %(key)s
UNION ALL
SELECT trial_id, number, CAST(state AS text), datetime_start, datetime_complete, CASE WHEN whole THEN (
      SELECT string_agg(key || chr(2) || value_json, chr(1)) FROM trial_user_attributes AS each
        WHERE each.trial_id = seen.trial_id) END,
    last_step, reports
  FROM seen CROSS JOIN LATERAL (
    SELECT max(each.step) AS last_step, string_agg(CASE intermediate_value_type
        WHEN 'NAN' THEN 'nan' WHEN 'INF_POS' THEN 'inf' WHEN 'INF_NEG' THEN '-inf'
        ELSE CAST(intermediate_value AS text) END, ' ' ORDER BY each.step) AS reports
      FROM trial_intermediate_values AS each WHERE each.trial_id = seen.trial_id AND each.step > seen.step
  ) AS news WHERE whole OR last_step IS NOT NULL
"""
"""The attribute of the study, and a row for each trial that is new, has ended or has new reports.

Lists are texts, which the server makes in a third of the time of arrays, and which are decoded when they are needed.
A connection may plan the statement while the tables are empty, so it leaves the planner no other way than by keys.
"""

_FIRST_LOOK = _LOOK.replace("study_id + 0", "study_id")

_GLANCE = f"""
SELECT (SELECT value_json FROM study_user_attributes WHERE study_id = %(study)s AND key = %(key)s),
  EXISTS (SELECT FROM trials WHERE trial_id = ANY (CAST(%(ids)s AS integer[])) AND state <> 'RUNNING')
  OR EXISTS (SELECT FROM trials WHERE {_NEW} AND state = 'FAIL')
"""

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

_ADD_NEXT = f"""
WITH newest AS (
  SELECT trial_id, number, concat(', "number": ', number, '}}') AS ending
    FROM trials WHERE {_NEW} ORDER BY trial_id DESC LIMIT 1
), place AS (
  SELECT number + 1 AS number, CASE WHEN left(value_json, 16) = '{{"kind": "fresh"'
      AND right(value_json, length(ending)) = ending
      THEN CAST(substring(value_json FROM ', "ticket": ([0-9]+), "number": [0-9]+}}$') AS integer) + 1 END AS ticket
    FROM newest LEFT JOIN trial_user_attributes AS a ON a.trial_id = newest.trial_id AND key = %(key)s
  UNION ALL
  SELECT %(number)s, %(ticket)s WHERE NOT EXISTS (SELECT FROM newest)
), trial AS (
  INSERT INTO trials (number, study_id, state, datetime_start)
    SELECT place.number, study_id, 'RUNNING', %(start)s FROM place, studies
      WHERE study_id = %(study)s AND ticket < %(end)s AND EXISTS (
        SELECT FROM study_user_attributes WHERE study_id = %(study)s AND key = %(when)s AND value_json = %(is)s)
    RETURNING trial_id, number
), attribute AS (
  INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT trial_id, %(key)s, concat(CAST(%(value)s AS text), ticket, ', "number": ', trial.number, '}}')
      FROM trial, place
)
INSERT INTO trial_heartbeats (trial_id, heartbeat) SELECT trial_id, CURRENT_TIMESTAMP FROM trial
  RETURNING trial_id, (SELECT ticket FROM place)
"""
"""Follows `_LOCK` in a transaction, since a statement sees what was committed before it began, not before its lock.

Of the trials that others have added only the last one is read: it was added in the same way, so it tells its ticket.
The attributes are compared as texts, since PostgreSQL reads no JSON with half a surrogate, as a path may have.
"""

_SET_PARAMETERS = f"""
WITH running AS (
  SELECT trial_id FROM trials WHERE trial_id = %(trial)s AND state = 'RUNNING' FOR SHARE
), written AS (
  INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT trial_id, given.* FROM running, {_PARAMETERS} ON CONFLICT DO NOTHING
)
SELECT trial_id FROM running
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

    one_step = True

    def changes(
        self, study_id: int, key: str, last: TrialRow | None, known: OpenTrials, unsettled: Collection[int] = ()
    ) -> tuple[Any, list[TrialRow]]:
        """See :meth:`Trials.changes`; a running trial without a new report is left out."""
        again = frozenset(unsettled)
        given = {
            "study": study_id,
            "key": key,
            "last": last.trial_id if last else -1,
            "ids": _listed(known),
            "steps": _listed(row.last_step for row in known.values()),
            "unsettled": _listed("t" if trial_id in again else "f" for trial_id in known),
        }
        value, found = None, []
        for row in self._rows(_LOOK if last else _FIRST_LOOK, given):
            if row[0] is None:
                value = json.loads(row[5])
            else:
                found.append(_trial(row, known.get(row[0])))
        return value, sorted(found, key=_number)

    def glance(
        self, study_id: int, key: str, last: TrialRow | None, trial_ids: Sequence[int]
    ) -> tuple[Any, bool] | None:
        """See :meth:`Trials.glance`."""
        given = {"study": study_id, "key": key, "last": last.trial_id if last else -1, "ids": _listed(trial_ids)}
        ((value, news),) = self._rows(_GLANCE, given)
        return None if value is None else json.loads(value), news

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

    def add_next(
        self, study_id: int, key: str, last: TrialRow | None, value: dict[str, Any], room: range, when: tuple[str, str]
    ) -> tuple[int, int] | None:
        """See :meth:`Trials.add_next`; four statements that are sent at once, so the lock waits for no agent."""
        given = {
            "study": study_id,
            "key": key,
            "last": last.trial_id if last else -1,
            "number": last.number + 1 if last else 0,
            "ticket": room.start,
            "end": room.stop,
            "when": when[0],
            "is": json.dumps(when[1]),
            "start": utc_now(),
            "value": f'{json.dumps(value)[:-1]}, "ticket": ',
        }
        with self._driver(alone=True) as connection, getattr(connection, "pipeline", nullcontext)():
            _, _, added, _ = [_send(connection, each, given) for each in ("BEGIN", _LOCK, _ADD_NEXT, "COMMIT")]
            found = added.fetchone()
        return None if found is None else (int(found[0]), int(found[1]))

    def set_parameters(self, trial_id: int, parameters: Parameters) -> None:
        """See :meth:`Trials.set_parameters`."""
        given = {"trial": trial_id, "parameters": json.dumps(parameter_rows(trial_id, parameters))}
        if not self._rows(_SET_PARAMETERS, given):
            raise UpdateFinishedTrialError(f"trial {trial_id} has ended")

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
    """Execute a statement; psycopg prepares it at once, not at its sixth use, unless the URL forbids it."""
    cursor = connection.cursor()
    cursor.execute(statement, given, **({"prepare": True} if hasattr(connection, "prepare_threshold") else {}))
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


def _listed(values: Iterable[object]) -> str:
    """Return an array as PostgreSQL reads it from text, which costs less than a list for the driver."""
    return "{" + ",".join(map(str, values)) + "}"


def _trial(found: Sequence[Any], before: TrialRow | None) -> TrialRow:
    trial_id, number, state, started, ended, attributes, last_step, reports = found
    row = TrialRow(trial_id, number, state, started=utc(started), ended=utc(ended))
    if before is not None:
        row.attributes, row.parameters, row.last_step = before.attributes, before.parameters, before.last_step
    if attributes is not None:
        row.attributes = StoredAttributes(attributes)
    if last_step is not None:
        row.reports, row.last_step = array("d", map(float, reports.split(" "))), last_step
    return row


_number = attrgetter("number")
