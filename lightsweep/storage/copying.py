"""Copy a study from one storage into another, of the same kind or not, and compare every row afterwards."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from lightsweep.errors import LightsweepError, NotFoundError, StorageError, UsageError
from lightsweep.storage.opening import Storage
from lightsweep.storage.postgresql_trials import trials_of
from lightsweep.text import counted, quoted

_OF_STUDY = ("study_directions", "study_user_attributes", "study_system_attributes", "trials")
_OF_TRIAL = (
    "trial_user_attributes",
    "trial_system_attributes",
    "trial_params",
    "trial_values",
    "trial_intermediate_values",
    "trial_heartbeats",
)
OF_OPTUNA = ("studies", *_OF_STUDY, *_OF_TRIAL)
"""Optuna's tables that hold studies; a row of each but the first belongs to one study or one trial."""

_CHUNK = 5_000
_COPIES = "lightsweep:copies"

_Row = tuple[Any, ...]


@dataclass(frozen=True)
class CopiedStudy:
    """A study that was copied.

    Attributes:
        name: Its name, the same in both storages.
        trials: The number of its trials.
        rows: The number of rows that were written, and read back equal.
    """

    name: str
    trials: int
    rows: int


def copy_study(
    source: Storage, target: Storage, name: str, lease: float, progress: Callable[[int], None] = lambda _: None
) -> CopiedStudy:
    """Copy a study with its attributes, trials, parameters, reports and heartbeats, in one transaction.

    The transaction commits after every row was read back and found equal. Until then other programs see nothing of it,
    and if this program is killed, nothing of it remains. The source is read in one snapshot and is not changed.

    Args:
        source: Where the study is.
        target: Where it is to be; it has no study of that name.
        name: The name of the study.
        lease: Seconds without a heartbeat after which the agent of a running trial counts as dead.
        progress: Called now and then with the number of rows written so far.

    Raises:
        NotFoundError: The source has no such study.
        UsageError: The target has a study of that name, or agents are working on this one; nothing was written.
        LightsweepError: A row was read back as another one; nothing was written.
    """
    with source.reading() as reading:
        tables = _Tables(reading)
        study = tables.study(name)
        if study is None:
            raise NotFoundError(f"no sweep {name!r} in {source}")
        before = _living(source, study, lease)
        if before.alive:
            runs = counted(before.alive, "run")
            raise UsageError(
                f"sweep {name} is not copied: {runs} in {source} sent a heartbeat within the lease of {lease:g} s; "
                "end its agents first, so that no run is continued twice"
            )
        with target.engine.begin() as writing:
            copied = _Copy(tables, study, _Tables(writing), name, progress)
            if not copied.begin():
                raise UsageError(f"sweep {name} is not copied: {target} already has a study of that name")
            copied.write()
            copied.verify()
            if _living(source, study, lease) != before:
                raise UsageError(
                    f"sweep {name} is not copied: an agent worked on it in {source} meanwhile; "
                    "end its agents first, so that no run is continued twice"
                )
    return CopiedStudy(name, len(copied.trials), copied.rows)


def mark(source: Storage, name: str, target: str) -> None:
    """Note at a study that a copy of it is in the storage with this URL, which shows no password."""
    study = source.optuna.get_study_id_from_name(name)
    places = dict.fromkeys([*copies(source, study), target])
    source.optuna.set_study_user_attr(study, _COPIES, list(places))


def copies(storage: Storage, study: int) -> list[str]:
    """Return the storages to which a study was copied."""
    found = storage.optuna.get_study_user_attrs(study).get(_COPIES)
    return [str(place) for place in found] if isinstance(found, list) else []


@dataclass(frozen=True)
class _Living:
    """Signs of agents at a study: its trials by state, and its running trials whose agent is alive."""

    states: Mapping[str, int]
    alive: int


def _living(storage: Storage, study: int, lease: float) -> _Living:
    now, beats = trials_of(storage).heartbeats(study)
    with storage.reading() as connection:
        trials = _Tables(connection).tables["trials"]
        query = sa.select(trials.c.trial_id, trials.c.state, trials.c.datetime_start).where(trials.c.study_id == study)
        rows = connection.execute(query).all()
    states: dict[str, int] = {}
    for _, state, _ in rows:
        states[state] = states.get(state, 0) + 1
    # A trial without a heartbeat is between two commits of its agent.
    running = [beats.get(trial, _utc(started, now)) for trial, state, started in rows if state == "RUNNING"]
    return _Living(states, sum(beat > now - timedelta(seconds=lease) for beat in running))


def _utc(moment: datetime | None, now: datetime) -> datetime:
    return moment.replace(tzinfo=timezone.utc) if moment else now


class _Tables:
    """Optuna's tables of one storage as they are there, and what they hold of a study."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        known = sa.MetaData()
        known.reflect(connection, only=OF_OPTUNA)
        self.tables: Mapping[str, sa.Table] = known.tables

    def study(self, name: str) -> int | None:
        """Return the key of a study."""
        studies = self.tables["studies"]
        return self.connection.scalar(sa.select(studies.c.study_id).where(studies.c.study_name == name))

    def columns(self, table: str) -> list[str]:
        """Return the columns without the row's own key, the owner's key first."""
        names = [column.name for column in self.tables[table].columns if not column.primary_key]
        return sorted(names, key=lambda name: (name != owner_of(table), name))

    def rows(self, table: str, study: int) -> Iterator[_Row]:
        """Return the rows of a study, in the order in which they were written."""
        at = self.tables[table]
        query = sa.select(*(at.c[name] for name in self.columns(table))).order_by(*at.primary_key.columns)
        if table in _OF_TRIAL:
            trials = self.tables["trials"]
            query = query.join(trials, trials.c.trial_id == at.c.trial_id).where(trials.c.study_id == study)
        else:
            query = query.where(at.c.study_id == study)
        yield from map(tuple, self.connection.execute(query, execution_options={"yield_per": _CHUNK}))

    def trials(self, study: int) -> list[int]:
        """Return the keys of a study's trials, in the order of their rows."""
        trials = self.tables["trials"]
        query = sa.select(trials.c.trial_id).where(trials.c.study_id == study).order_by(trials.c.trial_id)
        return list(self.connection.scalars(query))


def owner_of(table: str) -> str:
    """Return the column that holds the key of a row's study or trial."""
    return "trial_id" if table in _OF_TRIAL else "study_id"


class _Copy:
    """The copy of one study, in a transaction of the target.

    Attributes:
        trials: The key of each trial in the target, by that in the source.
        rows: The number of rows written.
    """

    def __init__(
        self, source: _Tables, study: int, target: _Tables, name: str, progress: Callable[[int], None]
    ) -> None:
        self._source, self._study, self._target, self._name = source, study, target, name
        self._progress = progress
        self._made = 0
        self.trials: Mapping[int, int] = {}
        self.rows = 0

    def begin(self) -> bool:
        """Write the study itself; return False if there is one of that name."""
        if self._target.study(self._name) is not None:
            return False
        studies = self._target.tables["studies"]
        try:
            self._target.connection.execute(studies.insert(), {"study_name": self._name})
        except IntegrityError:  # another program was faster
            return False
        self._made, self.rows = self._target.study(self._name) or 0, 1
        return True

    def write(self) -> None:
        """Write every other row."""
        for table in _OF_STUDY:
            self._write(table)
        pairs = zip(self._source.trials(self._study), self._target.trials(self._made), strict=True)
        self.trials = dict(pairs)
        for table in _OF_TRIAL:
            self._write(table)

    def verify(self) -> None:
        """Read every row back and compare it with that of the source.

        Raises:
            LightsweepError: One differs.
        """
        for table in (*_OF_STUDY, *_OF_TRIAL):
            found = self._target.rows(table, self._made)
            for place, (wanted, read) in enumerate(itertools.zip_longest(self._mapped(table), found), start=1):
                if wanted is None or read is None or not all(map(_same, wanted, read)):
                    raise LightsweepError(
                        f"sweep {self._name} is not copied: row {place} of {table} is read back as {quoted(read)} "
                        f"instead of {quoted(wanted)}; nothing was written"
                    )

    def _mapped(self, table: str) -> Iterator[_Row]:
        """Return the rows of the source with the keys that their owners have in the target."""
        owners = self.trials if table in _OF_TRIAL else {self._study: self._made}
        return ((owners[row[0]], *row[1:]) for row in self._source.rows(table, self._study))

    def _write(self, table: str) -> None:
        columns = self._target.columns(table)
        if self._source.columns(table) != columns:
            raise StorageError(f"the table {table} has other columns in the two storages; update both by Optuna")
        rows, insert = self._mapped(table), _insertion(self._target.tables[table], columns, self._target.connection)
        while chunk := list(itertools.islice(rows, _CHUNK)):
            insert(chunk)
            self.rows += len(chunk)
            self._progress(self.rows)


def _insertion(table: sa.Table, columns: Sequence[str], connection: sa.Connection) -> Callable[[Sequence[_Row]], Any]:
    """Return a function that inserts rows; on PostgreSQL each column as one array, several times as fast."""
    if connection.dialect.name != "postgresql":
        return lambda rows: connection.execute(table.insert(), [dict(zip(columns, row, strict=True)) for row in rows])
    arrays = [sa.cast(sa.bindparam(f"all {name}"), postgresql.ARRAY(table.c[name].type)) for name in columns]
    given = sa.func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
    statement = table.insert().from_select(list(columns), sa.select(*given.c))
    names = [f"all {name}" for name in columns]
    return lambda rows: connection.execute(statement, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def missing(storage: Storage, names: Sequence[str]) -> list[str]:
    """Return the names that no study of the storage has."""
    kept = {study.study_name for study in storage.optuna.get_all_studies()}
    return [name for name in names if name not in kept]
