"""Each kind of damage is found and has a remedy; a sound storage has none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from lightsweep import Sweep
from lightsweep.controller import Outcome, RunState
from lightsweep.controller import Sweep as Controlled
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import ClaimedRun, Reporter, Writer
from lightsweep.controller.sweeps import sweep_damage
from lightsweep.storage import Storage, open_storage
from lightsweep.storage.damage import file_damage, table_damage, text_damage

OLD = Path(__file__).parent / "old" / "887819d.db"
CONFIG: dict[str, Any] = {
    "program": "train.py",
    "method": "grid",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"x": {"values": [1, 2, 3]}},
}

SQL = Callable[[str], None]


@pytest.fixture
def sweep(storage: Storage) -> str:
    """A sweep with three finished runs, of trials 1 to 3."""
    made = Controlled.create(CONFIG, storage=storage)
    writer = Writer(storage)
    claimer, reporter = RunClaimer(made, "host:1:abcd"), Reporter(made, writer)
    for _ in range(3):
        run = claimer.next_run()
        assert isinstance(run, ClaimedRun)
        reporter.report(run, {"loss": 1.0})
        assert reporter.finish(run, Outcome(RunState.FINISHED))
    reporter.close()
    writer.close()
    return made.id


@pytest.fixture
def sql(storage: Storage) -> SQL:
    """Execute a statement without the database's own protection."""

    def execute(statement: str) -> None:
        with storage.engine.begin() as connection:
            if storage.engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.execute(sqlalchemy.text(statement))

    return execute


def found(storage: Storage) -> list[str]:
    damage = [*table_damage(storage), *text_damage(storage)]
    return [str(each) for each in damage or sweep_damage(storage)[1]]


def test_a_sound_storage_has_no_damage(storage: Storage, sweep: str) -> None:
    assert found(storage) == []
    assert sweep_damage(storage)[0] == 1
    assert file_damage(storage.url) == []
    assert sweep


def test_every_kind_of_sweep_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(OLD, tmp_path / "old.db")
    shutil.copy(OLD.parent / "space.py", tmp_path)
    opened = open_storage("old.db")
    assert found(opened) == []
    assert sweep_damage(opened)[0] == len(Sweep.all(storage=opened.url))
    opened.close()


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM trials WHERE number = 1", "row of a trial that is missing (key "),
        ("UPDATE trials SET number = 5 WHERE number = 2", "no trial has number 2, 3, 4"),
        ("UPDATE trials SET number = 0 WHERE number = 1", "no trial has number 1; several trials have number 0"),
        ("UPDATE trials SET number = 1 - number WHERE number < 2", "its trials are not in the order of their numbers"),
        ("UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'lightsweep:attempt'", "is not JSON"),
        ("UPDATE study_user_attributes SET value_json = '' WHERE key = 'lightsweep:sweep'", "is not JSON"),
        ("DELETE FROM study_user_attributes WHERE key = 'lightsweep:sweep'", "lightsweep:sweep is missing"),
        ("DELETE FROM study_user_attributes WHERE key = 'lightsweep:state'", "lightsweep:state is missing"),
        ("UPDATE study_user_attributes SET value_json = '7' WHERE key = 'lightsweep:sweep'", "cannot be read"),
        ("UPDATE study_user_attributes SET value_json = '7' WHERE key = 'lightsweep:state'", "cannot be read"),
        (
            "UPDATE trial_user_attributes SET value_json = '7' WHERE key = 'lightsweep:attempt'",
            "3 trials (0, 1, 2): the attribute lightsweep:attempt is malformed, such as 7",
        ),
        (
            "DELETE FROM trial_user_attributes WHERE key = 'lightsweep:attempt'",
            "the attribute lightsweep:attempt is missing",
        ),
        ("DELETE FROM trial_params", "3 trials (0, 1, 2): runs have finished, but some of their parameters"),
    ],
)
def test_damage_is_found(storage: Storage, sweep: str, sql: SQL, statement: str, what: str) -> None:
    if "key =" in statement and storage.engine.dialect.name not in ("sqlite", "postgresql"):
        statement = statement.replace("key =", "`key` =")
    sql(statement)
    texts = found(storage)
    assert [text for text in texts if what in text], texts
    assert all("\n  " in text for text in texts)  # each with a remedy
    assert sweep


def test_the_remedy_for_rows_without_a_trial_removes_them(storage: Storage, sweep: str, sql: SQL) -> None:
    sql("DELETE FROM trials WHERE number = 2")
    texts = found(storage)
    assert len(texts) == 5  # attributes, parameters, values, reports, heartbeats
    for text in texts:
        sql(text.partition("remove them: ")[2])
    assert found(storage) == []
    assert len(Sweep.load(sweep, storage=storage.url).runs) == 2


def test_a_broken_file_is_found_before_it_is_opened(tmp_path: Path) -> None:
    shutil.copy(OLD, tmp_path / "broken.db")
    with (tmp_path / "broken.db").open("r+b") as file:
        file.seek(4096 * 3 + 5)
        file.write(b"\xff" * 4096)
    (damage,) = file_damage(f"{tmp_path}/broken.db")
    assert "integrity_check" in damage.what
    assert ".recover" in damage.remedy
    (tmp_path / "text.db").write_text("this is no database, but long enough to be read as one" * 10)
    (damage,) = file_damage(f"{tmp_path}/text.db")
    assert "file is not a database" in damage.what
