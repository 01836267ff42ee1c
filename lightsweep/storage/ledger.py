"""A fast, incremental reader of a study's trials.

Optuna reads a whole study at once, about a second for each thousand trials, and keeps every trial as an object of
several kilobytes. An agent needs less: what has changed since it last looked. So this reads Optuna's tables directly,
each finished trial once and of a running one only the new reports. Writing stays with Optuna's API.

The tables and their columns are Optuna's storage schema, versioned by its own migrations (``version_info``) and the
same since Optuna 3; ``tests/storage/test_ledger.py`` compares every field with what Optuna itself reads, so a change of
the schema is noticed there.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from sqlalchemy import bindparam, text

from lightsweep.storage.opening import Storage

__all__ = ["Ledger", "Record"]

_CHUNK = 500  # bound variables per statement; SQLite allows 999 in old builds
_NON_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
_OPEN = {"RUNNING", "WAITING"}

_TRIALS = text(
    "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials "
    "WHERE study_id = :study AND (trial_id > :last OR trial_id IN :open) ORDER BY number"
).bindparams(bindparam("open", expanding=True))
_ATTRIBUTES = text("SELECT trial_id, key, value_json FROM trial_user_attributes WHERE trial_id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_PARAMETERS = text(
    "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params "
    "WHERE trial_id IN :ids ORDER BY param_id"
).bindparams(bindparam("ids", expanding=True))
_REPORTS = text(
    "SELECT trial_id, step, intermediate_value, intermediate_value_type FROM trial_intermediate_values "
    "WHERE trial_id IN :ids AND step > :step ORDER BY trial_id, step"
).bindparams(bindparam("ids", expanding=True))
_HEARTBEATS = text(
    "SELECT h.trial_id, h.heartbeat FROM trial_heartbeats h JOIN trials t ON h.trial_id = t.trial_id "
    "WHERE t.study_id = :study AND t.state = 'RUNNING'"
)


@dataclass(slots=True)
class Record:
    """One trial as the storage has it.

    Attributes:
        trial_id: Optuna's key of the trial.
        number: Position in the study, from 0 without gaps.
        state: ``RUNNING``, ``COMPLETE``, ``PRUNED``, ``FAIL`` or ``WAITING``.
        parameters: Parameter name -> value in Optuna's external representation.
        attributes: User attributes.
        reports: Every value reported, in order, NaN and infinities included.
        last_step: Step of the last of ``reports``.
        started, ended: Times in UTC; ``None`` where there is none.
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


class Ledger:
    """All trials of one study, brought up to date by :meth:`refresh`.

    Not safe for use from several threads at once: the controller holds its lock around it.
    """

    def __init__(self, storage: Storage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id
        self._last_trial_id = -1
        self.records: list[Record] = []  # by number
        self._open: dict[int, Record] = {}

    def refresh(self) -> list[Record]:
        """Read what is new; the records that are new, or were open at the last look, by number.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The database does not answer; the ledger is as it was, and can try again.
        """
        with self._storage.reading() as connection:
            rows = connection.execute(
                _TRIALS, {"study": self._study_id, "last": self._last_trial_id, "open": list(self._open) or [-1]}
            ).all()
            changed = [self._open.get(row.trial_id) or Record(row.trial_id, row.number, row.state) for row in rows]
            for start in range(0, len(changed), _CHUNK):
                self._read_details(connection, changed[start : start + _CHUNK])
        for record, row in zip(changed, rows, strict=True):
            self._close(record, row.state, _as_utc(row.datetime_start), _as_utc(row.datetime_complete))
        return changed

    def stale(self, lease: float) -> list[int]:
        """Ids of running trials whose last heartbeat is more than ``lease`` seconds old, by the database's clock."""
        with self._storage.reading() as connection:
            now = _as_datetime(connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar_one())
            beats = connection.execute(_HEARTBEATS, {"study": self._study_id}).all()
        limit = timedelta(seconds=lease)
        return [trial_id for trial_id, beat in beats if now - _as_datetime(beat) > limit]

    def _read_details(self, connection: sqlalchemy.Connection, records: Sequence[Record]) -> None:
        by_id = {record.trial_id: record for record in records}
        ids = list(by_id)
        for trial_id, key, value in connection.execute(_ATTRIBUTES, {"ids": ids}):
            by_id[trial_id].attributes[key] = json.loads(value)
        for trial_id, name, value, distribution in connection.execute(_PARAMETERS, {"ids": ids}):
            by_id[trial_id].parameters[name] = _distribution(distribution).to_external_repr(value)
        # One statement for all of which the same reports are known: all the new ones share one.
        by_step: dict[int, list[int]] = {}
        for record in records:
            by_step.setdefault(record.last_step, []).append(record.trial_id)
        for step, same in by_step.items():
            for trial_id, at, value, kind in connection.execute(_REPORTS, {"ids": same, "step": step}):
                record = by_id[trial_id]
                record.reports.append(_NON_FINITE.get(kind, value))
                record.last_step = at

    def _close(self, record: Record, state: str, started: datetime | None, ended: datetime | None) -> None:
        record.state, record.started, record.ended = state, started, ended
        if record.trial_id > self._last_trial_id:
            self._last_trial_id = record.trial_id
            self.records.append(record)
        if state in _OPEN:
            self._open[record.trial_id] = record
        else:
            self._open.pop(record.trial_id, None)


@lru_cache(maxsize=4096)
def _distribution(text_: str) -> BaseDistribution:
    return json_to_distribution(text_)


def _as_datetime(value: Any) -> datetime:
    # SQLite gives text, since raw SQL knows no column types; PostgreSQL's now() carries the session's time zone.
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    assert isinstance(moment, datetime)
    return moment.replace(tzinfo=None)


def _as_utc(value: Any) -> datetime | None:
    return None if value is None else _as_datetime(value).replace(tzinfo=timezone.utc)
