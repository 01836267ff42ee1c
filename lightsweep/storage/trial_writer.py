"""Write the trials of a study in few statements.

Optuna's storage commits each parameter, attribute and report on its own and reads the trial before each of them: some
fifty statements for a short run. When many agents share one server that is what limits them, so what an agent does for
every run is written here, in one transaction for its claim, one for a batch of reports and one for its end. Whatever
is rare goes through Optuna's API.

The tables are Optuna's storage schema, as for :mod:`lightsweep.storage.trial_reader`. The tests compare every row
with what Optuna itself writes, on each database, so a change of the schema is noticed there.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Enum,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError

from lightsweep.storage.opening import Storage

__all__ = ["TrialWriter", "add", "end", "report"]

Row = Mapping[str, Any]

_ATTRIBUTES_AT_ONCE = (
    "INSERT INTO trial_user_attributes (trial_id, key, value_json) SELECT t.trial_id, g.key, g.value "
    "FROM t, unnest(CAST(:keys AS text[]), CAST(:jsons AS text[])) AS g(key, value)"
)
_ADD = text(
    "WITH t AS (INSERT INTO trials (number, study_id, state, datetime_start) "
    "VALUES (:number, :study, 'RUNNING', :now) RETURNING trial_id), "
    f"a AS ({_ATTRIBUTES_AT_ONCE}), "
    "p AS (INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
    "SELECT t.trial_id, g.name, g.value, g.distribution FROM t, unnest(CAST(:names AS text[]), "
    "CAST(:numbers AS double precision[]), CAST(:distributions AS text[])) AS g(name, value, distribution)), "
    "r AS (INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
    "SELECT t.trial_id, g.step, g.value, CAST(g.kind AS trialintermediatevaluetype) FROM t, "
    "unnest(CAST(:steps AS integer[]), CAST(:values AS double precision[]), CAST(:kinds AS text[])) "
    "AS g(step, value, kind)), "
    "h AS (INSERT INTO trial_heartbeats (trial_id, heartbeat) SELECT trial_id, CURRENT_TIMESTAMP FROM t) "
    "SELECT trial_id FROM t"
)
_REPORT = text(
    "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
    "SELECT g.trial, g.step, g.value, CAST(g.kind AS trialintermediatevaluetype) "
    "FROM unnest(CAST(:trials AS integer[]), CAST(:steps AS integer[]), CAST(:values AS double precision[]), "
    "CAST(:kinds AS text[])) AS g(trial, step, value, kind) "
    "JOIN trials t ON t.trial_id = g.trial WHERE t.state = 'RUNNING' "
    "ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = EXCLUDED.intermediate_value, "
    "intermediate_value_type = EXCLUDED.intermediate_value_type RETURNING trial_id"
)
_END = text(
    "WITH t AS (UPDATE trials SET state = CAST(:state AS trialstate), datetime_complete = :now "
    "WHERE trial_id = :trial AND state = 'RUNNING' RETURNING trial_id), "
    f"a AS ({_ATTRIBUTES_AT_ONCE}), "
    "v AS (INSERT INTO trial_values (trial_id, objective, value, value_type) "
    "SELECT t.trial_id, g.objective, g.value, CAST(g.kind AS trialvaluetype) FROM t, "
    "unnest(CAST(:objectives AS integer[]), CAST(:values AS double precision[]), CAST(:kinds AS text[])) "
    "AS g(objective, value, kind)) "
    "SELECT count(*) FROM t"
)


def add(
    connection: Connection,
    study_id: int,
    number: int,
    now: datetime,
    attributes: Mapping[str, Any],
    parameters: Mapping[str, tuple[BaseDistribution, Any]],
    reports: Sequence[Row],
) -> int:
    """See :meth:`~lightsweep.storage.trial_writer.Trials.add`; ``reports`` are rows of their table."""
    values = {
        "study": study_id,
        "number": number,
        "now": now,
        "names": list(parameters),
        "numbers": [float(distribution.to_internal_repr(value)) for distribution, value in parameters.values()],
        "distributions": [distribution_to_json(distribution) for distribution, _ in parameters.values()],
        **_attributes(attributes),
        **_reports(reports),
    }
    return int(connection.execute(_ADD, values).scalar_one())


def report(connection: Connection, reports: Sequence[Row]) -> set[int]:
    """Write rows of the table of intermediate values; the trials among them that are running."""
    values = {"trials": [row["trial_id"] for row in reports], **_reports(reports)}
    return {trial_id for (trial_id,) in connection.execute(_REPORT, values).all()}


def end(
    connection: Connection,
    trial_id: int,
    state: TrialState,
    now: datetime,
    attributes: Mapping[str, Any],
    objectives: Sequence[Row],
) -> bool:
    """See :meth:`~lightsweep.storage.trial_writer.Trials.end`; False where the trial was not running."""
    values = {
        "trial": trial_id,
        "state": state.name,
        "now": now,
        "objectives": [row["objective"] for row in objectives],
        "values": [row["value"] for row in objectives],
        "kinds": [row["value_type"].name for row in objectives],
        **_attributes(attributes),
    }
    return bool(connection.execute(_END, values).scalar_one())


def _attributes(attributes: Mapping[str, Any]) -> dict[str, list[str]]:
    return {"keys": list(attributes), "jsons": [json.dumps(value) for value in attributes.values()]}


def _reports(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {
        "steps": [row["step"] for row in rows],
        "values": [row["intermediate_value"] for row in rows],
        "kinds": [row["intermediate_value_type"].name for row in rows],
    }


class _Kind(enum.Enum):
    """How Optuna marks a number that not every database can hold."""

    FINITE = 1
    INF_POS = 2
    INF_NEG = 3
    NAN = 4


class _ObjectiveKind(enum.Enum):
    FINITE = 1
    INF_POS = 2
    INF_NEG = 3


_TABLES = MetaData()
_STUDIES = Table("studies", _TABLES, Column("study_id", Integer, primary_key=True))
_TRIALS = Table(
    "trials",
    _TABLES,
    Column("trial_id", Integer, primary_key=True),
    Column("number", Integer),
    Column("study_id", Integer),
    Column("state", Enum(TrialState)),
    Column("datetime_start", DateTime),
    Column("datetime_complete", DateTime),
)
_ATTRIBUTES = Table(
    "trial_user_attributes",
    _TABLES,
    Column("trial_user_attribute_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("key", String),
    Column("value_json", Text),
)
_PARAMETERS = Table(
    "trial_params",
    _TABLES,
    Column("param_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("param_name", String),
    Column("param_value", Float(53)),
    Column("distribution_json", Text),
)
_REPORTS = Table(
    "trial_intermediate_values",
    _TABLES,
    Column("trial_intermediate_value_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("step", Integer),
    Column("intermediate_value", Float(53)),
    Column("intermediate_value_type", Enum(_Kind, name="trialintermediatevaluetype")),
)
_OBJECTIVES = Table(
    "trial_values",
    _TABLES,
    Column("trial_value_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("objective", Integer),
    Column("value", Float(53)),
    Column("value_type", Enum(_ObjectiveKind, name="trialvaluetype")),
)
_HEARTBEATS = Table(
    "trial_heartbeats",
    _TABLES,
    Column("trial_heartbeat_id", Integer, primary_key=True),
    Column("trial_id", Integer),
    Column("heartbeat", DateTime),
)

Parameters = Mapping[str, tuple[BaseDistribution, Any]]
"""For each parameter its Optuna distribution and the value in Optuna's external representation."""


class TrialWriter:
    """The trials of a storage, to be written; safe from several threads.

    Each method raises ``sqlalchemy.exc.SQLAlchemyError`` where the database does not answer; then nothing of it was
    written, or all of it, and it can be called again.

    Args:
        storage: The storage.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @contextmanager
    def locked(self, study_id: int) -> Iterator[Connection]:
        """A transaction with the lock under which Optuna numbers a study's trials; committed at the end of the block.

        Raises:
            KeyError: The study was deleted.
        """
        with self._storage.engine.begin() as connection:
            locking = select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == study_id).with_for_update()
            if connection.execute(locking).scalar_one_or_none() is None:
                raise KeyError(study_id)
            yield connection

    def since(self, connection: Connection, study_id: int, trial_id: int, key: str) -> list[Any]:
        """The attribute ``key`` of each of a study's trials after ``trial_id``, ``None`` where it has none."""
        joined = _TRIALS.outerjoin(
            _ATTRIBUTES, (_ATTRIBUTES.c.trial_id == _TRIALS.c.trial_id) & (_ATTRIBUTES.c.key == key)
        )
        query = (
            select(_ATTRIBUTES.c.value_json)
            .select_from(joined)
            .where(_TRIALS.c.study_id == study_id, _TRIALS.c.trial_id > trial_id)
            .order_by(_TRIALS.c.trial_id)
        )
        return [None if text is None else json.loads(text) for (text,) in connection.execute(query)]

    def add(
        self,
        connection: Connection,
        study_id: int,
        number: int,
        attributes: Mapping[str, Any],
        parameters: Parameters | None = None,
        reports: Sequence[float] = (),
    ) -> int:
        """Begin a trial, with its first heartbeat; Optuna's key of it.

        Args:
            connection: Of :meth:`locked`.
            study_id: Optuna's key of the study.
            number: Its position in the study: the number of trials before it.
            attributes: User attributes, in JSON's types.
            parameters: Its parameters, where they are known.
            reports: Values of the metric that it begins with, for steps from 1.
        """
        given = [_report(0, step, value) for step, value in enumerate(reports, start=1)]
        if _is_postgresql(connection):
            return add(connection, study_id, number, _now(), attributes, parameters or {}, given)
        values = {"number": number, "study_id": study_id, "state": TrialState.RUNNING, "datetime_start": _now()}
        made = connection.execute(_TRIALS.insert().values(values)).inserted_primary_key
        assert made is not None
        trial_id = int(made[0])
        _insert_attributes(connection, trial_id, attributes)
        _insert_parameters(connection, trial_id, parameters or {})
        if given:
            connection.execute(_REPORTS.insert(), [{**row, "trial_id": trial_id} for row in given])
        connection.execute(_HEARTBEATS.insert().values(trial_id=trial_id, heartbeat=func.current_timestamp()))
        return trial_id

    def set_parameters(self, trial_id: int, parameters: Parameters) -> None:
        """Give a running trial its parameters.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: It is not running any more.
        """
        with self._storage.engine.begin() as connection:
            if not self._running(connection, [trial_id]):
                raise UpdateFinishedTrialError(f"trial {trial_id} is over")
            _insert_parameters(connection, trial_id, parameters)

    def report(self, reports: Iterable[tuple[int, int, float]]) -> set[int]:
        """Write intermediate values, each as trial, step and value; those of the trials that are not running any more.

        A step that was written before keeps the later value.
        """
        given = {(trial_id, step): value for trial_id, step, value in reports}
        try:
            return self._report(given, again=False)
        except IntegrityError:  # written before, by a commit of which the answer was lost
            return self._report(given, again=True)

    def end(
        self,
        trial_id: int,
        state: TrialState,
        attributes: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> bool:
        """End a running trial with its attributes and objective values; False where it was not running any more.

        Called again after a commit of which the answer was lost, it is True once more.
        """
        rows = [_objective(trial_id, index, value) for index, value in enumerate(values or ())]
        with self._storage.engine.begin() as connection:
            if self._ended(connection, trial_id, state, attributes, rows):
                return True
            query = select(_ATTRIBUTES.c.key, _ATTRIBUTES.c.value_json).where(_ATTRIBUTES.c.trial_id == trial_id)
            kept = {key: json.loads(text) for key, text in connection.execute(query)}
            return all(kept.get(key) == json.loads(json.dumps(value)) for key, value in attributes.items())

    def _ended(
        self,
        connection: Connection,
        trial_id: int,
        state: TrialState,
        attributes: Mapping[str, Any],
        objectives: Sequence[Mapping[str, Any]],
    ) -> bool:
        if _is_postgresql(connection):
            return end(connection, trial_id, state, _now(), attributes, objectives)
        ending = _TRIALS.update().where(_TRIALS.c.trial_id == trial_id, _TRIALS.c.state == TrialState.RUNNING)
        if connection.execute(ending.values(state=state, datetime_complete=_now())).rowcount != 1:
            return False
        _insert_attributes(connection, trial_id, attributes)
        if objectives:
            connection.execute(_OBJECTIVES.insert(), objectives)
        return True

    def _report(self, given: Mapping[tuple[int, int], float], *, again: bool) -> set[int]:
        trial_ids = {trial_id for trial_id, _ in given}
        with self._storage.engine.begin() as connection:
            if _is_postgresql(connection):
                return trial_ids - report(connection, [_report(*at, value) for at, value in given.items()])
            running = self._running(connection, sorted(trial_ids))
            rows = [_report(*at, value) for at, value in given.items() if at[0] in running]
            for row in rows if again else ():
                same = (_REPORTS.c.trial_id == row["trial_id"]) & (_REPORTS.c.step == row["step"])
                connection.execute(_REPORTS.delete().where(same))
            if rows:
                connection.execute(_REPORTS.insert(), rows)
        return trial_ids - running

    def _running(self, connection: Connection, trial_ids: Sequence[int]) -> set[int]:
        query = select(_TRIALS.c.trial_id).where(
            _TRIALS.c.trial_id.in_(trial_ids), _TRIALS.c.state == TrialState.RUNNING
        )
        return {trial_id for (trial_id,) in connection.execute(query)}


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _insert_attributes(connection: Connection, trial_id: int, attributes: Mapping[str, Any]) -> None:
    rows = [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
    connection.execute(_ATTRIBUTES.insert(), rows)


def _insert_parameters(connection: Connection, trial_id: int, parameters: Parameters) -> None:
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distribution.to_internal_repr(value),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (distribution, value) in parameters.items()
    ]
    if rows:
        connection.execute(_PARAMETERS.insert(), rows)


def _report(trial_id: int, step: int, value: float) -> dict[str, Any]:
    kind, kept = _stored(value)
    return {"trial_id": trial_id, "step": step, "intermediate_value": kept, "intermediate_value_type": kind}


def _objective(trial_id: int, index: int, value: float) -> dict[str, Any]:
    kind, kept = _stored(value)
    return {"trial_id": trial_id, "objective": index, "value": kept, "value_type": _ObjectiveKind[kind.name]}


def _stored(value: float) -> tuple[_Kind, float | None]:
    if math.isnan(value):
        return _Kind.NAN, None
    if math.isinf(value):
        return (_Kind.INF_POS if value > 0 else _Kind.INF_NEG), None
    return _Kind.FINITE, float(value)


def _now() -> datetime:
    """What Optuna 5 keeps: UTC without a zone."""
    return datetime.now(timezone.utc).replace(tzinfo=None)
