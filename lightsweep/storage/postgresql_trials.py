"""The trials of a PostgreSQL storage: one statement for each look, report and end, for hundreds of agents.

A statement is a transaction of its own, so an agent waits for the server once, and the server plans and commits once.
The rows are those of :mod:`lightsweep.storage.sql_trials`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from operator import attrgetter
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from lightsweep.storage.opening import Storage
from lightsweep.storage.sql_trials import SqlTrials, attribute_rows, parameter_rows, utc, utc_now, value_rows
from lightsweep.storage.trials import OpenTrials, Parameters, StoredAttributes, TrialRow
from lightsweep.storage.url import DRIVERS

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

_LOCK = "SELECT study_id FROM studies WHERE study_id = %(study)s FOR UPDATE"
_ATTRIBUTES = "json_to_recordset(CAST(%(attributes)s AS json)) AS given (key text, value_json text)"
_PARAMETERS = """
json_to_recordset(CAST(%(parameters)s AS json))
  AS given (param_name text, param_value double precision, distribution_json text)"""
_OBJECTIVES = """
json_to_recordset(CAST(%(objectives)s AS json))
  AS given (objective integer, value double precision, value_type trialvaluetype)"""

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
    """The trials of a PostgreSQL storage, see :class:`~lightsweep.storage.sql_trials.SqlTrials`."""

    one_step = True

    def changes(
        self, study_id: int, key: str, last: TrialRow | None, known: OpenTrials, unsettled: Collection[int] = ()
    ) -> tuple[Any, list[TrialRow]]:
        """See :meth:`SqlTrials.changes`; a running trial without a new report is left out."""
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
        for row in self._rows(_LOOK if last else _FIRST_LOOK, **given):
            if row[0] is None:
                value = json.loads(row[5])
            else:
                found.append(_trial(row, known.get(row[0])))
        return value, sorted(found, key=_number)

    def end(
        self, trial_id: int, state: TrialState, attributes: Mapping[str, Any], values: Sequence[float] | None = None
    ) -> bool:
        """See :meth:`SqlTrials.end`."""
        given = {
            "trial": trial_id,
            "state": state.name,
            "now": utc_now(),
            "attributes": json.dumps(attribute_rows(trial_id, attributes)),
            "objectives": json.dumps(value_rows(trial_id, values or ())),
        }
        return bool(self._rows(_END, **given)) or self._ended_so(trial_id, attributes)

    def add_next(
        self, study_id: int, key: str, last: TrialRow | None, value: dict[str, Any], room: range, when: tuple[str, str]
    ) -> tuple[int, int] | None:
        """See :meth:`SqlTrials.add_next`."""
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
        engine, found = self._storage.engine, None
        # `claim` meets an error of the driver again, and SQLAlchemy tells its kind
        with suppress(engine.dialect.loaded_dbapi.Error), engine.begin() as connection:
            driver: Any = connection.connection.driver_connection
            with getattr(driver, "pipeline", nullcontext)():  # sent at once, for other agents wait for the lock
                driver.cursor().execute(_LOCK, given)
                added = driver.cursor()
                added.execute(_ADD_NEXT, given)
                found = added.fetchone()
        return None if found is None else (int(found[0]), int(found[1]))

    def set_parameters(self, trial_id: int, parameters: Parameters) -> None:
        """See :meth:`SqlTrials.set_parameters`."""
        given = {"trial": trial_id, "parameters": json.dumps(parameter_rows(trial_id, parameters))}
        if not self._rows(_SET_PARAMETERS, **given):
            raise UpdateFinishedTrialError(f"trial {trial_id} has ended")

    def _rows(self, *statements: str, **given: Any) -> Sequence[Any]:
        """Return the rows of the last of these statements, which are one transaction."""
        with self._storage.engine.begin() as connection:
            for statement in statements:
                found = connection.exec_driver_sql(statement, given)
            return found.all()


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


def trials_of(storage: Storage) -> SqlTrials:
    """Return access to the trials of a storage, in the statements that suit the database."""
    return PostgresqlTrials(storage) if storage.engine.dialect.driver in DRIVERS["postgresql"] else SqlTrials(storage)
