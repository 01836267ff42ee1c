"""Find damage in the tables of a storage: a broken file, rows without their owner, trials that are numbered wrongly."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from lightsweep.storage.copying import OF_OPTUNA, owner_of
from lightsweep.storage.opening import Storage
from lightsweep.storage.url import parse
from lightsweep.text import counted, quoted

_SHOWN = 5
_ATTRIBUTES = ("study_user_attributes", "study_system_attributes", "trial_user_attributes", "trial_system_attributes")


@dataclass(frozen=True)
class Damage:
    """Something in a storage that is not as lightsweep wrote it.

    Attributes:
        place: Where it is: the file, a table, or a sweep.
        what: What was found there.
        remedy: What to do.
    """

    place: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}\n  {self.remedy}"


def file_damage(url: str) -> list[Damage]:
    """Return what SQLite's own check finds in a file; nothing for a server or a file that does not exist.

    A storage whose file is damaged may not open at all, so call this before opening it.
    """
    parsed = parse(url)
    path = Path(str(parsed.database))
    if not parsed.drivername.startswith("sqlite") or not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            lines = [line for (line,) in connection.execute(f"PRAGMA integrity_check({_SHOWN + 1})")]
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            return []  # not readable, or locked: opening says so
        lines = [str(error)]
    if lines == ["ok"]:
        return []
    remedy = (
        f"stop the agents, keep a copy of the file and its -wal, and save what can be read: "
        f'sqlite3 {path.name} ".recover" | sqlite3 recovered.db'
    )
    return [Damage(str(path), f"SQLite's integrity_check says: {_few([line.strip() for line in lines])}", remedy)]


def table_damage(storage: Storage) -> list[Damage]:
    """Return what is wrong with Optuna's tables: rows without an owner, numbers of trials.

    The check of owners is that of SQLite's ``foreign_key_check``, for every kind of database.
    """
    with storage.reading() as connection:
        known = sa.MetaData()
        known.reflect(connection, only=OF_OPTUNA)
        return [*_orphans(connection, known), *_misnumbered(connection, known)]


def text_damage(storage: Storage) -> list[Damage]:
    """Return the attributes whose text is not JSON; commands and agents fail at the first of them."""
    found = []
    with storage.reading() as connection:
        known = sa.MetaData()
        known.reflect(connection, only=OF_OPTUNA)
        for name in _ATTRIBUTES:
            table = known.tables[name]
            owner = table.c[owner_of(name)]
            query = sa.select(owner, table.c.key, table.c.value_json)
            for key, attribute, text in connection.execute(query, execution_options={"yield_per": 10_000}):
                if fault := _not_json(text):
                    what = f"the attribute {attribute} of {owner.name} {key} is not JSON: {fault}, {quoted(text, 40)}"
                    found.append(Damage(f"table {name}", what, "restore the storage from a copy, or delete this row"))
    return found


def _not_json(text: str | None) -> str:
    try:
        json.loads(text or "")
    except ValueError as error:
        return str(error)
    return ""


def _orphans(connection: sa.Connection, known: sa.MetaData) -> Iterator[Damage]:
    for name in OF_OPTUNA[1:]:
        table, owner = known.tables[name], owner_of(name)
        parents = known.tables["trials" if owner == "trial_id" else "studies"]
        (key,) = parents.primary_key.columns
        lost = (
            sa.select(table.c[owner], sa.func.count())
            .select_from(table.outerjoin(parents, table.c[owner] == key))
            .where(key.is_(None))
            .group_by(table.c[owner])
            .order_by(table.c[owner])
        )
        found = connection.execute(lost).all()
        if found:
            whose = "trial" if owner == "trial_id" else "study"
            keys = _few([str(each) for each, _ in found])
            what = f"{counted(sum(count for _, count in found), 'row')} of a {whose} that is missing (key {keys})"
            yield Damage(
                f"table {name}",
                what,
                f"they count for nothing; remove them: DELETE FROM {name} "
                f"WHERE {owner} IS NULL OR {owner} NOT IN (SELECT {key.name} FROM {parents.name})",
            )


def _misnumbered(connection: sa.Connection, known: sa.MetaData) -> Iterator[Damage]:
    """Trials of a study are numbered from 0 without gaps, in the order of their keys; runs follow from the numbers."""
    studies, trials = known.tables["studies"], known.tables["trials"]
    query = (
        sa.select(studies.c.study_name, trials.c.number)
        .join(studies, studies.c.study_id == trials.c.study_id)
        .order_by(studies.c.study_id, trials.c.trial_id)
    )
    rows = connection.execute(query, execution_options={"yield_per": 10_000})
    for study, group in itertools.groupby(rows, key=lambda row: row[0]):
        numbers = [number for _, number in group]
        if numbers == list(range(len(numbers))):
            continue
        expected = set(range(max((number for number in numbers if number is not None), default=-1) + 1))
        missing = sorted(expected - set(numbers))
        twice = sorted(
            {str(number) for number, after in itertools.pairwise(sorted(numbers, key=_order)) if number == after}
        )
        parts = [
            *([f"no trial has number {_few(list(map(str, missing)))}"] if missing else []),
            *([f"several trials have number {_few(twice)}"] if twice else []),
        ]
        yield Damage(
            f"sweep {study}",
            "; ".join(parts) or "its trials are not in the order of their numbers",
            "let no agent continue it, since the ids of runs follow from these numbers; take its results by "
            f"`lightsweep export {study}` and restore the storage from a copy",
        )


def _order(number: int | None) -> int:
    return -1 if number is None else number


def _few(texts: Sequence[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
