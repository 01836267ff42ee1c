"""The trials of a storage by SQL: read what has changed, and claim, report and end them in few statements.

Optuna's own API reads a whole study at once, about a second for each thousand trials, and commits each parameter,
attribute and report on its own: some fifty statements for a short run. So this module works on the tables of Optuna's
storage directly. Tests compare each row with what Optuna writes. A storage whose tables have an unknown version is not
opened.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import lru_cache
from sys import intern
from typing import Any

import sqlalchemy as sa
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError

from lightsweep.storage.opening import Storage
from lightsweep.storage.trials import OPEN, Claim, OpenTrials, Parameters, StoredAttributes, TrialRow

_INT, _FLOAT, _TEXT, _TIME = sa.Integer(), sa.Double[float](), sa.Text(), sa.DateTime()
_FINITE, _NOT_FINITE = "FINITE", {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
_KIND = sa.Enum(_FINITE, *_NOT_FINITE, name="trialintermediatevaluetype")
_VALUE_KIND = sa.Enum(_FINITE, "INF_POS", "INF_NEG", name="trialvaluetype")
_BEAT = sa.Column("heartbeat", _TIME, default=sa.func.current_timestamp())
_TIMES: dict[str, Any] = {"datetime_start": _TIME, "datetime_complete": _TIME}


def _table(name: str, row: str, integers: str, texts: str = "", *more: sa.Column[Any], **typed: Any) -> sa.Table:
    kinds = [*((each, _INT) for each in integers.split()), *((each, _TEXT) for each in texts.split()), *typed.items()]
    columns = [sa.Column(each, kind) for each, kind in kinds]
    return sa.Table(name, sa.MetaData(), sa.Column(row, _INT, primary_key=True), *columns, *more)


_STUDIES = _table("studies", "study_id", "", "study_name")
_STUDY_ATTRIBUTES = _table("study_user_attributes", "study_user_attribute_id", "study_id", "key value_json")
_TRIALS = _table("trials", "trial_id", "number study_id", state=sa.Enum(TrialState), **_TIMES)
_ATTRIBUTES = _table("trial_user_attributes", "trial_user_attribute_id", "trial_id", "key value_json")
_PARAMETERS = _table("trial_params", "param_id", "trial_id", "param_name distribution_json", param_value=_FLOAT)
_REPORTS = _table(
    "trial_intermediate_values",
    "trial_intermediate_value_id",
    "trial_id step",
    intermediate_value=_FLOAT,
    intermediate_value_type=_KIND,
)
_OBJECTIVES = _table("trial_values", "trial_value_id", "trial_id objective", value=_FLOAT, value_type=_VALUE_KIND)
_HEARTBEATS = _table("trial_heartbeats", "trial_heartbeat_id", "trial_id", "", _BEAT)

_json_of = lru_cache(maxsize=4096)(distribution_to_json)
distribution_of = lru_cache(maxsize=4096)(json_to_distribution)

_FETCHED = 5_000
_CHUNK = 450  # trials per statement, each with up to two bound variables; SQLite allows 999 in old builds


class SqlTrials:
    """The trials of a storage by SQL; safe from several threads.

    Each method raises ``sqlalchemy.exc.SQLAlchemyError`` or ``optuna.exceptions.StorageInternalError`` if the database
    does not answer. It can be called again then, whether or not its commit succeeded.

    Args:
        storage: The storage.

    Attributes:
        one_step: Whether :meth:`add_next` can begin a trial.
    """

    one_step = False

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def changes(
        self, study_id: int, key: str, last: TrialRow | None, known: OpenTrials, unsettled: Collection[int] = ()
    ) -> tuple[Any, list[TrialRow]]:
        """Return a user attribute of the study, and the trials that may have changed, by number, without parameters.

        All is read in one snapshot.

        Args:
            study_id: Optuna's key of the study.
            key: Name of the attribute; its value is ``None`` if the study lacks it or was deleted.
            last: The last trial that is known: every later one is returned.
            known: Trials to read again. Of them only the new reports are returned, and none without a change need be.
                One that still runs keeps its attributes and parameters.
            unsettled: Those of ``known`` that may have got attributes meanwhile, though they still run.
        """
        with self._storage.reading() as connection:
            value = connection.execute(_STUDY_ATTRIBUTE, {"study": study_id, "key": key}).scalar_one_or_none()
            found: dict[int, TrialRow] = {}
            texts: dict[int, list[str]] = {}
            again = set(unsettled)
            for trial_id, number, _, state, started, ended in _changed(connection, study_id, last, list(known)):
                row = found[trial_id] = TrialRow(trial_id, number, state.name, started=utc(started), ended=utc(ended))
                before = known.get(trial_id, row)
                row.last_step, row.parameters, row.attributes = before.last_step, before.parameters, before.attributes
                if before is row or row.state not in OPEN or trial_id in again:
                    texts[trial_id] = []
            for trial_id, name, text in _rows_of(connection, _ATTRIBUTE_ROWS, list(texts)):
                texts[trial_id].append(f"{name}{StoredAttributes.NAME_ENDS}{text}")
            for trial_id, listed in texts.items():
                found[trial_id].attributes = StoredAttributes(StoredAttributes.ATTRIBUTE_ENDS.join(listed))
            for trial_id, step, number, kind in _new_reports(connection, found):
                found[trial_id].reports.append(_NOT_FINITE.get(kind, number))
                found[trial_id].last_step = step
        return None if value is None else json.loads(value), list(found.values())

    def parameters(self, trial_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the parameters of the trials that have some, in the order in which they were written."""
        found: dict[int, dict[str, Any]] = {}
        with self._storage.reading() as connection:
            for trial_id, name, kind, value in _rows_of(connection, _PARAMETER_ROWS, trial_ids):
                found.setdefault(trial_id, {})[intern(name)] = distribution_of(kind).to_external_repr(value)
        return found

    def heartbeats(self, study_id: int) -> tuple[datetime, dict[int, datetime]]:
        """Return the time now and that of the last heartbeat of each running trial, by the database's clock."""
        with self._storage.reading() as connection:
            now = connection.execute(sa.select(sa.func.now())).scalar_one()
            query = (
                sa.select(_HEARTBEATS.c.trial_id, _HEARTBEATS.c.heartbeat)
                .join(_TRIALS, _TRIALS.c.trial_id == _HEARTBEATS.c.trial_id)
                .where(_TRIALS.c.study_id == study_id, _TRIALS.c.state == TrialState.RUNNING)
            )
            beats = {trial_id: beat.replace(tzinfo=timezone.utc) for trial_id, beat in connection.execute(query)}
        return now.replace(tzinfo=timezone.utc), beats

    def beat(self, trial_ids: Sequence[int]) -> None:
        """Write a heartbeat of each of the trials: one statement, since a claim has written the rows."""
        beating = _HEARTBEATS.update().where(_HEARTBEATS.c.trial_id.in_(trial_ids))
        with self._storage.engine.begin() as connection:
            written = connection.execute(beating.values(heartbeat=sa.func.current_timestamp())).rowcount
        if written < len(trial_ids):  # another program began a trial without a heartbeat
            for trial_id in trial_ids:
                self._storage.optuna.record_heartbeat(trial_id)

    @contextmanager
    def claim(self, study_id: int, key: str, last: TrialRow | None) -> Iterator[Claim]:
        """Lock the study to add a trial; what is added is committed at the end of the block.

        The lock is the one under which Optuna numbers a study's trials.

        Args:
            study_id: Optuna's key of the study.
            key: Name of the attribute in ``Claim.news``.
            last: The last trial that is known.

        Raises:
            KeyError: The study was deleted.
        """
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
            news = [None if text is None else json.loads(text) for text in connection.scalars(query)]
            number = len(news) + (last.number + 1 if last else 0)

            def add(attributes: Mapping[str, Any], parameters: Parameters, reports: Sequence[float]) -> int:
                values = {"number": number, "study_id": study_id, "state": TrialState.RUNNING}
                made = connection.execute(
                    _TRIALS.insert(), {**values, "datetime_start": utc_now()}
                ).inserted_primary_key
                assert made is not None
                trial_id = int(made[0])
                _insert(connection, _ATTRIBUTES, attribute_rows(trial_id, attributes))
                _insert(connection, _PARAMETERS, parameter_rows(trial_id, parameters))
                _insert(connection, _REPORTS, [report_row(trial_id, *each) for each in enumerate(reports, start=1)])
                _insert(connection, _HEARTBEATS, [{"trial_id": trial_id}])  # at the time of the statement
                return trial_id

            yield Claim(number, news, add)

    def add_next(
        self, study_id: int, key: str, last: TrialRow | None, value: dict[str, Any], room: range, when: tuple[str, str]
    ) -> tuple[int, int] | None:
        """Begin the next trial in one step, since hundreds of agents would wait for one that holds the study's lock.

        It has one attribute, a heartbeat and no parameters.

        Args:
            study_id: Optuna's key of the study.
            key: Name of the attribute that tells the kind of a trial.
            last: The last trial that is known.
            value: The value of the attribute, but for ``ticket`` and ``number``, of the trial, which are added.
            room: The tickets that are free: without a newer trial than ``last`` the run gets the first of them.
            when: An attribute of the study, and the value that it must have.

        Returns:
            Optuna's key of the trial, and its ticket: the one after that of the trial before. ``None``, and nothing was
            written, if that is not in ``room``, if the trial before was not added in this way, if the attribute
            has another value, or if the storage has no such step, as here: `claim` works in any case.
        """

    def set_parameters(self, trial_id: int, parameters: Parameters) -> None:
        """Give a running trial its parameters.

        Raises:
            optuna.exceptions.UpdateFinishedTrialError: It has ended.
        """
        with self._storage.engine.begin() as connection:
            if not _running(connection, [trial_id]):
                raise UpdateFinishedTrialError(f"trial {trial_id} has ended")
            _insert(connection, _PARAMETERS, parameter_rows(trial_id, parameters))

    def report(self, reports: Iterable[tuple[int, int, float]]) -> set[int]:
        """Write intermediate values, each as trial, step and value; return the trials that are not running any more.

        A step that was written before keeps the later value. All of them are one transaction.
        """
        given = {(trial_id, step): value for trial_id, step, value in reports}
        try:
            return self._report(given, again=False)
        except IntegrityError:  # written before, by a commit whose answer was lost
            return self._report(given, again=True)

    def end(
        self, trial_id: int, state: TrialState, attributes: Mapping[str, Any], values: Sequence[float] | None = None
    ) -> bool:
        """End a running trial with its attributes and objective values; return False if it was not running any more.

        Called again after a commit whose answer was lost, it returns True once more.
        """
        with self._storage.engine.begin() as connection:
            ending = _TRIALS.update().where(_TRIALS.c.trial_id == trial_id, _TRIALS.c.state == TrialState.RUNNING)
            if connection.execute(ending.values(state=state, datetime_complete=utc_now())).rowcount == 1:
                _insert(connection, _ATTRIBUTES, attribute_rows(trial_id, attributes))
                _insert(connection, _OBJECTIVES, value_rows(trial_id, values or ()))
                return True
        return self._ended_so(trial_id, attributes)

    def _ended_so(self, trial_id: int, attributes: Mapping[str, Any]) -> bool:
        """Return whether a trial that is over ended with these attributes."""
        query = sa.select(_ATTRIBUTES.c.key, _ATTRIBUTES.c.value_json).where(_ATTRIBUTES.c.trial_id == trial_id)
        with self._storage.reading() as connection:
            kept = {key: json.loads(text) for key, text in connection.execute(query)}
        return all(kept.get(key) == json.loads(json.dumps(value)) for key, value in attributes.items())

    def _report(self, given: Mapping[tuple[int, int], float], *, again: bool) -> set[int]:
        trial_ids = {trial_id for trial_id, _ in given}
        rows = [report_row(*place, value) for place, value in given.items()]
        with self._storage.engine.begin() as connection:
            if again:
                running = _running(connection, sorted(trial_ids))
                rows = [row for row in rows if row["trial_id"] in running]  # trials that have ended keep their reports
                for row in rows:
                    same = (_REPORTS.c.trial_id == row["trial_id"]) & (_REPORTS.c.step == row["step"])
                    connection.execute(_REPORTS.delete().where(same))
            written = connection.execute(_INSERT_REPORT, rows).rowcount if rows else 0
            if written == len(given):
                return set()
            return trial_ids - _running(connection, sorted(trial_ids))


_STUDY_ATTRIBUTE = sa.select(_STUDY_ATTRIBUTES.c.value_json).where(
    _STUDY_ATTRIBUTES.c.study_id == sa.bindparam("study"), _STUDY_ATTRIBUTES.c.key == sa.bindparam("key")
)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_NEW_TRIALS = sa.select(_TRIALS).where(
    _TRIALS.c.study_id == sa.bindparam("study"), _TRIALS.c.trial_id > sa.bindparam("last")
)
_SOME_TRIALS = sa.select(_TRIALS).where(_TRIALS.c.trial_id.in_(_IDS))
_CHANGED_TRIALS = sa.union_all(_NEW_TRIALS, _SOME_TRIALS)  # no "OR", which makes databases search all trials
_ATTRIBUTE_ROWS = sa.select(*list(_ATTRIBUTES.c)[1:]).where(_ATTRIBUTES.c.trial_id.in_(_IDS))
_PARAMETER_ROWS = (
    sa.select(*list(_PARAMETERS.c)[1:]).where(_PARAMETERS.c.trial_id.in_(_IDS)).order_by(_PARAMETERS.c.param_id)
)


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def _changed(connection: sa.Connection, study_id: int, last: TrialRow | None, known: Sequence[int]) -> list[Any]:
    """Return the trials after ``last`` and the ``known`` ones."""
    first, *more = list(_chunks(known)) or [[]]
    values = {"study": study_id, "last": last.trial_id if last else -1, "ids": first}
    rows = list(connection.execute(_CHANGED_TRIALS, values))
    rows += [row for ids in more for row in connection.execute(_SOME_TRIALS, {"ids": ids})]
    return sorted(rows, key=lambda row: int(row.number))


def _rows_of(connection: sa.Connection, query: sa.Select[Any], trial_ids: Sequence[int]) -> Iterator[Any]:
    """Return the rows of a table that belong to these trials."""
    for ids in _chunks(trial_ids):
        yield from _rows(connection.execute(query, {"ids": ids}))


def _new_reports(connection: sa.Connection, rows: Mapping[int, TrialRow]) -> Iterator[Any]:
    """Return trial, step, value and kind of each report after the trial's last one, by step."""
    for chunk in _chunks(list(rows)):
        values = {f"id{index}": trial_id for index, trial_id in enumerate(chunk)}
        values |= {f"step{index}": rows[trial_id].last_step for index, trial_id in enumerate(chunk)}
        yield from _rows(connection.execute(_reports_after(len(chunk)), values))


def _rows(result: sa.CursorResult[Any]) -> Iterator[Any]:
    """Return the rows, fetched by the thousand: a first look may find millions."""
    return itertools.chain.from_iterable(result.partitions(_FETCHED))


@lru_cache(maxsize=_CHUNK)
def _reports_after(count: int) -> sa.TextClause:
    """Return the statement for the reports of so many trials, each after a step of its own.

    It is text, which is made and looked up faster than an expression: a run waits for it at each band.
    """
    each = (f"trial_id = :id{index} AND step > :step{index}" for index in range(count))
    columns = ", ".join(column.name for column in _REPORT_COLUMNS)
    return sa.text(f"SELECT {columns} FROM {_REPORTS.name} WHERE {' OR '.join(each)} ORDER BY trial_id, step")


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
        .where(_TRIALS.c.trial_id == sa.bindparam("trial_id", type_=_INT), _TRIALS.c.state == TrialState.RUNNING)
        .with_for_update(read=True),
    )
    .execution_options(preserve_rowcount=True)
)
"""Inserts nothing if the trial has ended; a running one stays so until the transaction ends."""


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:  # a single row costs less outside of a list
        connection.execute(table.insert(), rows if len(rows) > 1 else rows[0])


def attribute_rows(trial_id: int, attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def parameter_rows(trial_id: int, parameters: Parameters) -> list[dict[str, Any]]:
    return [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": float(distribution.to_internal_repr(value)),
            "distribution_json": _json_of(distribution),
        }
        for name, (distribution, value) in parameters.items()
    ]


def report_row(trial_id: int, step: int, value: float) -> dict[str, Any]:
    kind, finite = _stored(value)
    return {"trial_id": trial_id, "step": step, "intermediate_value": finite, "intermediate_value_type": kind}


def value_rows(trial_id: int, values: Sequence[float]) -> list[dict[str, Any]]:
    return [
        {"trial_id": trial_id, "objective": index, "value": finite, "value_type": kind}
        for index, (kind, finite) in enumerate(map(_stored, values))
    ]


def _stored(value: float) -> tuple[str, float | None]:
    """Return how Optuna keeps a number that not every database can hold: its kind, and the number if it is finite."""
    if math.isnan(value):
        return "NAN", None
    if math.isinf(value):
        return "INF_POS" if value > 0 else "INF_NEG", None
    return _FINITE, float(value)


def utc_now() -> datetime:
    """Return the time as Optuna 5 keeps it: in UTC without a zone."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=timezone.utc)
