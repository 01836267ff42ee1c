"""The trials of a storage: read what has changed, and claim, report and end them in few SQL statements.

Optuna's own API reads a whole study at once, about a second for each thousand trials, and commits each parameter,
attribute and report on its own: some fifty statements for a short run. So this module works on the tables of Optuna's
storage directly, with the same statements on every database. Tests compare each row with what Optuna writes. If the
version of the tables is unknown, :mod:`lightsweep.storage.optuna_trials` takes its place.
"""

from __future__ import annotations

import json
import math
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache, lru_cache
from typing import Any, Protocol

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from lightsweep.storage.opening import Storage

Parameters = Mapping[str, tuple[BaseDistribution, Any]]
"""For each parameter its Optuna distribution and the value in Optuna's external representation."""

OPEN = frozenset({"RUNNING", "WAITING"})
"""The states of a trial that has not ended."""


@dataclass(slots=True)
class TrialRow:
    """One trial as the storage has it.

    Attributes:
        trial_id: Optuna's key of the trial.
        number: Position in the study, from 0 without gaps.
        state: ``RUNNING``, ``COMPLETE``, ``PRUNED``, ``FAIL`` or ``WAITING``.
        parameters: Parameter name -> value in Optuna's external representation.
        attributes: User attributes.
        reports: Every value reported, in order of the steps, NaN and infinities included.
        last_step: Step of the last of ``reports``.
        started, ended: Times in UTC; ``None`` if not yet.
    """

    trial_id: int
    number: int
    state: str
    parameters: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    reports: array[float] = field(default_factory=lambda: array("d"))
    last_step: int = -(2**31)
    started: datetime | None = None
    ended: datetime | None = None


OpenTrials = Mapping[int, TrialRow]
"""Trials that had not ended at the last look, by Optuna's key."""


@dataclass(frozen=True)
class Claim:
    """The right to add the next trial of a study.

    Attributes:
        number: The trial's position in the study, from 0.
        news: An attribute of each trial that was added since the last look; ``None`` for a trial without it.
        add: Begins a trial with these attributes, parameters and reports (of the steps from 1), and with a heartbeat;
            returns Optuna's key of it. To be called once. Raises ``optuna.exceptions.UpdateFinishedTrialError`` if
            another agent added a trial meanwhile, so that this one does not count: look again.
    """

    number: int
    news: Sequence[Any]
    add: Callable[[Mapping[str, Any], Parameters, Sequence[float]], int]


class Trials(Protocol):
    """The trials of a storage; safe from several threads.

    Each method raises ``sqlalchemy.exc.SQLAlchemyError`` or ``optuna.exceptions.StorageInternalError`` if the database
    does not answer. It can be called again then, whether or not its commit succeeded.
    """

    def changes(self, study_id: int, key: str, last: TrialRow | None, known: OpenTrials) -> tuple[Any, list[TrialRow]]:
        """Return a user attribute of the study, and the trials that may have changed, by number.

        Args:
            study_id: Optuna's key of the study.
            key: Name of the attribute; its value is ``None`` if the study lacks it or was deleted.
            last: The last trial that is known: every later one is returned.
            known: Trials to read again. Of them only the new reports are returned.
        """

    def heartbeats(self, study_id: int) -> tuple[datetime, dict[int, datetime]]:
        """Return the time now and that of the last heartbeat of each running trial, by the same clock."""

    def beat(self, trial_id: int) -> None:
        """Write a heartbeat of a trial."""

    def claim(self, study_id: int, key: str, last: TrialRow | None) -> AbstractContextManager[Claim]:
        """Lock the study to add a trial; what is added is committed at the end of the block.

        Args:
            study_id: Optuna's key of the study.
            key: Name of the attribute in ``Claim.news``.
            last: The last trial that is known.

        Raises:
            KeyError: The study was deleted.
        """

    def set_parameters(self, trial_id: int, parameters: Parameters) -> None:
        """Give a running trial its parameters.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: It has ended.
        """

    def report(self, reports: Iterable[tuple[int, int, float]]) -> set[int]:
        """Write intermediate values, each as trial, step and value; return the trials that are not running any more.

        A step that was written before keeps the later value.
        """

    def end(
        self, trial_id: int, state: TrialState, attributes: Mapping[str, Any], values: Sequence[float] | None = None
    ) -> bool:
        """End a running trial with its attributes and objective values; return False if it was not running any more.

        Called again after a commit whose answer was lost, it returns True once more.
        """


class TrialReader:
    """All trials of one study, brought up to date by :meth:`read` and then :meth:`take`.

    They are apart so that a program with several threads can hold one lock around both and, during :meth:`take` alone,
    which touches memory only, the lock under which it looks at the records.

    Args:
        trials: Access to the storage.
        study_id: Optuna's key of the study.
        clock: Seconds that only go forward.

    Attributes:
        trials: The access.
        records: Every trial, by number.
        clock: The clock; tests move it.
        beats: The last heartbeat of each running trial as of the last :meth:`stale`.
        moment: The time as of the last :meth:`stale`, by the clock of the heartbeats.
    """

    def __init__(self, trials: Trials, study_id: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.trials = trials
        self.clock = clock
        self.records: list[TrialRow] = []
        self.beats: dict[int, datetime] = {}
        self.moment = datetime.fromtimestamp(0, timezone.utc)
        self._study_id = study_id
        self._open: dict[int, TrialRow] = {}
        self._first_seen: dict[int, float] = {}

    @property
    def last(self) -> TrialRow | None:
        """The last trial that is known; ``None`` before the first."""
        return self.records[-1] if self.records else None

    def read(self, key: str) -> tuple[Any, list[TrialRow]]:
        """Read an attribute of the study, ``None`` if there is none, and what is new, for :meth:`take`.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; nothing has changed here.
        """
        return self.trials.changes(self._study_id, key, self.last, dict(self._open))

    def take(self, found: Iterable[TrialRow]) -> list[TrialRow]:
        """Take in what :meth:`read` found; return the records that are new, or were open at the last look."""
        return [self._take(record) for record in found]

    def stale(self, lease: float) -> list[TrialRow]:
        """Return the running trials without a heartbeat for more than ``lease`` seconds.

        A trial without any, whose agent died between two commits, is stale a lease after this reader first saw it.
        """
        self.moment, self.beats = self.trials.heartbeats(self._study_id)
        oldest, known_before = self.moment - timedelta(seconds=lease), self.clock() - lease
        seen = dict(self._first_seen)  # another thread may take in a refresh meanwhile

        def is_stale(trial_id: int) -> bool:
            beat = self.beats.get(trial_id)
            return seen.get(trial_id, known_before) < known_before if beat is None else beat < oldest

        running = [record for record in list(self._open.values()) if record.state == "RUNNING"]
        return [record for record in running if is_stale(record.trial_id)]

    def _take(self, found: TrialRow) -> TrialRow:
        record = self._open.pop(found.trial_id, None)
        if record is None:
            record = found
            self.records.append(found)
        else:
            record.state, record.started, record.ended = found.state, found.started, found.ended
            record.parameters, record.attributes = found.parameters, found.attributes
            record.reports.extend(found.reports)
            record.last_step = found.last_step
        if record.state in OPEN:
            self._open[record.trial_id] = record
            self._first_seen.setdefault(record.trial_id, self.clock())
        else:
            self._first_seen.pop(record.trial_id, None)
        return record


def _table(name: str, row: str, /, *more: sa.Column[Any], **columns: sa.types.TypeEngine[Any]) -> sa.Table:
    key_column = sa.Column(row, _INT, primary_key=True)
    return sa.Table(name, sa.MetaData(), key_column, *[sa.Column(*column) for column in columns.items()], *more)


_INT, _FLOAT, _TEXT, _TIME = sa.Integer(), sa.Double(), sa.Text(), sa.DateTime()
_FINITE, _NOT_FINITE = "FINITE", {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
_KIND = sa.Enum(_FINITE, *_NOT_FINITE, name="trialintermediatevaluetype")
_VALUE_KIND = sa.Enum(_FINITE, "INF_POS", "INF_NEG", name="trialvaluetype")
_STUDIES = _table("studies", "study_id", study_name=_TEXT)
_STUDY_ATTRIBUTES = _table(
    "study_user_attributes", "study_user_attribute_id", study_id=_INT, key=_TEXT, value_json=_TEXT
)
_TRIALS = _table(
    "trials",
    "trial_id",
    number=_INT,
    study_id=_INT,
    state=sa.Enum(TrialState),
    datetime_start=_TIME,
    datetime_complete=_TIME,
)
_ATTRIBUTES = _table("trial_user_attributes", "trial_user_attribute_id", trial_id=_INT, key=_TEXT, value_json=_TEXT)
_PARAMETERS = _table(
    "trial_params", "param_id", trial_id=_INT, param_name=_TEXT, distribution_json=_TEXT, param_value=_FLOAT
)
_REPORTS = _table(
    "trial_intermediate_values",
    "trial_intermediate_value_id",
    trial_id=_INT,
    step=_INT,
    intermediate_value=_FLOAT,
    intermediate_value_type=_KIND,
)
_OBJECTIVES = _table(
    "trial_values", "trial_value_id", trial_id=_INT, objective=_INT, value=_FLOAT, value_type=_VALUE_KIND
)
_BEAT = sa.Column("heartbeat", _TIME, default=sa.func.current_timestamp())
_HEARTBEATS = _table("trial_heartbeats", "trial_heartbeat_id", _BEAT, trial_id=_INT)

_CHUNK = 450  # trials per statement, each with up to two bound variables; SQLite allows 999 in old builds


class SqlTrials:
    """The trials of a storage by SQL, see :class:`Trials`.

    Args:
        storage: The storage; the version of its tables is known.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def changes(self, study_id: int, key: str, last: TrialRow | None, known: OpenTrials) -> tuple[Any, list[TrialRow]]:
        """See :meth:`Trials.changes`; all is read in one snapshot."""
        with self._storage.reading() as connection:
            attributes = _STUDY_ATTRIBUTES.c
            query = sa.select(attributes.value_json).where(attributes.study_id == study_id, attributes.key == key)
            value = connection.execute(query).scalar_one_or_none()
            found, whole = {}, []
            for trial_id, number, _, state, started, ended in _changed(connection, study_id, last, list(known)):
                row = found[trial_id] = TrialRow(trial_id, number, state.name, started=_utc(started), ended=_utc(ended))
                before = known.get(trial_id, row)
                row.last_step = before.last_step
                if before.parameters and row.state in OPEN:  # only the reports change now
                    row.parameters, row.attributes = before.parameters, before.attributes
                else:
                    whole.append(trial_id)
            for _, trial_id, name, text, number in _details(connection, whole):
                if number is None:
                    found[trial_id].attributes[name] = json.loads(text)
                else:
                    found[trial_id].parameters[name] = _distribution(text).to_external_repr(number)
            for trial_id, step, number, kind in _new_reports(connection, found):
                found[trial_id].reports.append(_NOT_FINITE.get(kind, number))
                found[trial_id].last_step = step
        return None if value is None else json.loads(value), list(found.values())

    def heartbeats(self, study_id: int) -> tuple[datetime, dict[int, datetime]]:
        """See :meth:`Trials.heartbeats`; the clock is the database's."""
        with self._storage.reading() as connection:
            now = connection.execute(sa.select(sa.func.now())).scalar_one()
            query = (
                sa.select(_HEARTBEATS.c.trial_id, _HEARTBEATS.c.heartbeat)
                .join(_TRIALS, _TRIALS.c.trial_id == _HEARTBEATS.c.trial_id)
                .where(_TRIALS.c.study_id == study_id, _TRIALS.c.state == TrialState.RUNNING)
            )
            beats = {trial_id: beat.replace(tzinfo=timezone.utc) for trial_id, beat in connection.execute(query)}
        return now.replace(tzinfo=timezone.utc), beats

    def beat(self, trial_id: int) -> None:
        """See :meth:`Trials.beat`."""
        self._storage.optuna.record_heartbeat(trial_id)

    @contextmanager
    def claim(self, study_id: int, key: str, last: TrialRow | None) -> Iterator[Claim]:
        """See :meth:`Trials.claim`; the lock is the one under which Optuna numbers a study's trials."""
        with self._storage.engine.begin() as connection:
            locking = sa.select(_STUDIES.c.study_id).where(_STUDIES.c.study_id == study_id).with_for_update()
            if connection.execute(locking).scalar_one_or_none() is None:
                raise KeyError(study_id)
            wanted = (_ATTRIBUTES.c.trial_id == _TRIALS.c.trial_id) & (_ATTRIBUTES.c.key == key)
            query = (
                sa.select(_ATTRIBUTES.c.value_json)
                .select_from(_TRIALS.outerjoin(_ATTRIBUTES, wanted))
                .where(_TRIALS.c.study_id == study_id, _TRIALS.c.trial_id > (last.trial_id if last else -1))
                .order_by(_TRIALS.c.trial_id)
            )
            news = [None if text is None else json.loads(text) for (text,) in connection.execute(query)]
            number = len(news) + (last.number + 1 if last else 0)

            def add(attributes: Mapping[str, Any], parameters: Parameters, reports: Sequence[float]) -> int:
                values = {"number": number, "study_id": study_id, "state": TrialState.RUNNING, "datetime_start": _now()}
                made = connection.execute(_TRIALS.insert(), values).inserted_primary_key
                assert made is not None
                trial_id = int(made[0])
                rows = {
                    _ATTRIBUTES: _attribute_rows(trial_id, attributes),
                    _PARAMETERS: _parameter_rows(trial_id, parameters),
                    _REPORTS: [_report_row(trial_id, *each) for each in enumerate(reports, start=1)],
                    _HEARTBEATS: [{"trial_id": trial_id}],  # at the time of the statement
                }
                _insert(connection, rows)
                return trial_id

            yield Claim(number, news, add)

    def set_parameters(self, trial_id: int, parameters: Parameters) -> None:
        """See :meth:`Trials.set_parameters`."""
        with self._storage.engine.begin() as connection:
            if not _running(connection, [trial_id]):
                raise UpdateFinishedTrialError(f"trial {trial_id} has ended")
            _insert(connection, {_PARAMETERS: _parameter_rows(trial_id, parameters)})

    def report(self, reports: Iterable[tuple[int, int, float]]) -> set[int]:
        """See :meth:`Trials.report`; one transaction for all of them."""
        given = {(trial_id, step): value for trial_id, step, value in reports}
        try:
            return self._report(given, again=False)
        except IntegrityError:  # written before, by a commit whose answer was lost
            return self._report(given, again=True)

    def end(
        self, trial_id: int, state: TrialState, attributes: Mapping[str, Any], values: Sequence[float] | None = None
    ) -> bool:
        """See :meth:`Trials.end`; one transaction."""
        with self._storage.engine.begin() as connection:
            ending = _TRIALS.update().where(_TRIALS.c.trial_id == trial_id, _TRIALS.c.state == TrialState.RUNNING)
            if connection.execute(ending.values(state=state, datetime_complete=_now())).rowcount != 1:
                query = sa.select(_ATTRIBUTES.c.key, _ATTRIBUTES.c.value_json).where(_ATTRIBUTES.c.trial_id == trial_id)
                kept = {key: json.loads(text) for key, text in connection.execute(query)}
                return all(kept.get(key) == json.loads(json.dumps(value)) for key, value in attributes.items())
            objectives = [
                {"trial_id": trial_id, "objective": index, "value": finite, "value_type": kind}
                for index, (kind, finite) in enumerate(map(_stored, values or ()))
            ]
            _insert(connection, {_ATTRIBUTES: _attribute_rows(trial_id, attributes), _OBJECTIVES: objectives})
            return True

    def _report(self, given: Mapping[tuple[int, int], float], *, again: bool) -> set[int]:
        rows = [_report_row(*place, value) for place, value in given.items()]
        with self._storage.engine.begin() as connection:
            for row in rows if again else ():
                same = (_REPORTS.c.trial_id == row["trial_id"]) & (_REPORTS.c.step == row["step"])
                connection.execute(_REPORTS.delete().where(same))
            if not rows or connection.execute(_INSERT_REPORT, rows).rowcount == len(rows):
                return set()
            trial_ids = {trial_id for trial_id, _ in given}
            return trial_ids - _running(connection, sorted(trial_ids))


def _among(column: sa.Column[Any], arrays: bool) -> sa.ColumnElement[bool]:
    """Return whether the column is one of the ids; PostgreSQL takes them as one array, so that it plans only once."""
    if arrays:
        return column == sa.any_(sa.bindparam("ids", type_=_ARRAY))
    return column.in_(sa.bindparam("ids", expanding=True))


_ARRAY = postgresql.ARRAY(_INT)
_NEW_TRIALS = sa.select(_TRIALS).where(
    _TRIALS.c.study_id == sa.bindparam("study"), _TRIALS.c.trial_id > sa.bindparam("last")
)
_SOME_TRIALS = {arrays: sa.select(_TRIALS).where(_among(_TRIALS.c.trial_id, arrays)) for arrays in (False, True)}
# No "OR", which makes databases search all trials.
_CHANGED_TRIALS = {arrays: sa.union_all(_NEW_TRIALS, query) for arrays, query in _SOME_TRIALS.items()}
_DETAILS = {
    arrays: sa.union_all(
        sa.select(*_ATTRIBUTES.c, sa.null().label("number")).where(_among(_ATTRIBUTES.c.trial_id, arrays)),
        sa.select(*_PARAMETERS.c).where(_among(_PARAMETERS.c.trial_id, arrays)),
    ).order_by(sa.text("1"))  # in the order in which they were written
    for arrays in (False, True)
}
_ALL_REPORTS = sa.select(*list(_REPORTS.c)[1:]).order_by(_REPORTS.c.trial_id, _REPORTS.c.step)


def _unnested(name: str, columns: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.TableValuedAlias:
    """Return the rows whose columns are arrays, bound as ``name.column``; of PostgreSQL."""
    arrays = [sa.cast(sa.bindparam(f"{name}.{each}"), postgresql.ARRAY(kind)) for each, kind in columns.items()]
    return sa.func.unnest(*arrays).table_valued(*columns, name=name).render_derived()


_KNOWN = _unnested("known", {"id": _INT, "step": _INT})
_NEW_REPORTS = _ALL_REPORTS.join(_KNOWN, sa.and_(_KNOWN.c.id == _REPORTS.c.trial_id, _KNOWN.c.step < _REPORTS.c.step))


def _arrays(connection: sa.Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _chunks(connection: sa.Connection, ids: Sequence[int]) -> Iterator[Sequence[int]]:
    size = len(ids) if _arrays(connection) else _CHUNK
    return (ids[start : start + size] for start in range(0, len(ids), max(size, 1)))


def _changed(connection: sa.Connection, study_id: int, last: TrialRow | None, known: Sequence[int]) -> list[Any]:
    """Return the trials after ``last`` and the ``known`` ones."""
    arrays = _arrays(connection)
    first, *more = list(_chunks(connection, known)) or [[]]
    values = {"study": study_id, "last": last.trial_id if last else -1, "ids": first}
    rows = list(connection.execute(_CHANGED_TRIALS[arrays], values))
    rows += [row for ids in more for row in connection.execute(_SOME_TRIALS[arrays], {"ids": ids})]
    return sorted(rows, key=lambda row: int(row.number))


def _details(connection: sa.Connection, trial_ids: Sequence[int]) -> Iterator[Any]:
    """Return row, trial, name, JSON and number of each attribute (without a number) and parameter."""
    for ids in _chunks(connection, trial_ids):
        yield from connection.execute(_DETAILS[_arrays(connection)], {"ids": ids})


def _new_reports(connection: sa.Connection, rows: Mapping[int, TrialRow]) -> Iterator[Any]:
    """Return trial, step, value and kind of each report after the trial's last one, by step."""
    if _arrays(connection):
        steps = [row.last_step for row in rows.values()]
        yield from connection.execute(_NEW_REPORTS, {"known.id": list(rows), "known.step": steps})
        return
    of = _REPORTS.c
    for chunk in _chunks(connection, list(rows)):
        by_step: dict[int, list[int]] = {}
        for trial_id in chunk:
            by_step.setdefault(rows[trial_id].last_step, []).append(trial_id)
        after = [sa.and_(of.trial_id.in_(ids), of.step > step) for step, ids in by_step.items()]
        yield from connection.execute(_ALL_REPORTS.where(sa.or_(*after)))


def _running(connection: sa.Connection, trial_ids: Sequence[int]) -> set[int]:
    """Return which of the trials are running; they stay so until the transaction ends."""
    query = sa.select(_TRIALS.c.trial_id).where(
        _TRIALS.c.trial_id.in_(trial_ids), _TRIALS.c.state == TrialState.RUNNING
    )
    return set(connection.scalars(query.with_for_update(read=True)))


_REPORT_COLUMNS = list(_REPORTS.c)[1:]
_INSERT_REPORT = (
    _REPORTS.insert()
    .from_select(
        [column.name for column in _REPORT_COLUMNS],
        sa.select(*[sa.bindparam(column.name, type_=column.type) for column in _REPORT_COLUMNS])
        .select_from(_TRIALS)
        .where(_TRIALS.c.trial_id == sa.bindparam("trial_id", type_=_INT), _TRIALS.c.state == TrialState.RUNNING),
    )
    .execution_options(preserve_rowcount=True)
)
"""Inserts nothing if the trial has ended."""


def _insert(connection: sa.Connection, given: Mapping[sa.Table, Sequence[Mapping[str, Any]]]) -> None:
    """Insert rows of several tables: on PostgreSQL in one statement, as every agent waits for the lock of a claim."""
    tables = tuple(table for table, rows in given.items() if rows)
    if connection.dialect.name != "postgresql":
        for table in tables:
            rows = given[table]  # a single row costs less outside of a list
            connection.execute(table.insert(), rows if len(rows) > 1 else rows[0])
    elif tables:
        columns = [(table, name) for table in tables for name in given[table][0]]
        values = {f"{table.name}.{name}": [row[name] for row in given[table]] for table, name in columns}
        connection.execute(_inserting_all(tables), values)


@cache
def _inserting_all(tables: Sequence[sa.Table]) -> sa.Select[Any]:
    """Return one statement that inserts rows into all of the tables; each value is an array, one element a row."""
    inserts = []
    for table in tables:
        columns = {column.name: column.type for column in list(table.c)[1:] if column.default is None}
        rows = _unnested(table.name, columns)
        inserts.append(table.insert().from_select(list(columns), sa.select(*rows.c)).cte(f"{table.name}_rows"))
    return sa.select(sa.literal_column("1")).add_cte(*inserts)


def _attribute_rows(trial_id: int, attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def _parameter_rows(trial_id: int, parameters: Parameters) -> list[dict[str, Any]]:
    return [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": float(distribution.to_internal_repr(value)),
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (distribution, value) in parameters.items()
    ]


def _report_row(trial_id: int, step: int, value: float) -> dict[str, Any]:
    kind, finite = _stored(value)
    return {"trial_id": trial_id, "step": step, "intermediate_value": finite, "intermediate_value_type": kind}


def _stored(value: float) -> tuple[str, float | None]:
    """Return how Optuna keeps a number that not every database can hold: its kind, and the number if it is finite."""
    if math.isnan(value):
        return "NAN", None
    if math.isinf(value):
        return "INF_POS" if value > 0 else "INF_NEG", None
    return _FINITE, float(value)


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _now() -> datetime:
    """Return the time as Optuna 5 keeps it: in UTC without a zone."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=timezone.utc)
