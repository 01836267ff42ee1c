"""Storages that open, and the messages about those that do not."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError

from lightsweep.errors import NotFoundError, StorageError
from lightsweep.storage import Storage, default_url, mask, open_storage, opening, quiet
from lightsweep.storage.url import parse

SECRET = "pa:ss/w0rd"


def test_optuna_takes_the_storage_as_it_is(storage: Storage) -> None:
    study = optuna.create_study(storage=storage.optuna, study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0.0, 1.0), n_trials=2)
    assert len(optuna.load_study(storage=storage.optuna, study_name="s").trials) == 2


@pytest.fixture
def closed() -> Iterator[list[object]]:
    """The database connections that were closed in this process."""
    found: list[object] = []

    def note(connection: object, _record: object) -> None:
        found.append(connection)

    sqlalchemy.event.listen(sqlalchemy.Pool, "close", note)
    yield found
    sqlalchemy.event.remove(sqlalchemy.Pool, "close", note)


def test_a_storage_that_nobody_holds_closes_its_connections(tmp_path: Path, closed: list[object]) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/sweeps.db")
    kept = storage.optuna
    kept.get_all_studies()
    del storage
    gc.collect()
    closed.clear()
    kept.get_all_studies()
    assert closed == []
    del kept
    gc.collect()
    assert len(closed) == 1


def test_a_storage_that_does_not_open_leaves_no_connection(tmp_path: Path, closed: list[object]) -> None:
    opened: list[object] = []

    def note(connection: object, _record: object) -> None:
        opened.append(connection)

    url = f"sqlite:///{tmp_path}/sweeps.db"
    storage = open_storage(url)
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v99.0.0'"))
    storage.close()
    closed.clear()
    sqlalchemy.event.listen(sqlalchemy.Pool, "connect", note)
    with pytest.raises(StorageError, match="another Optuna version"):
        open_storage(url)
    sqlalchemy.event.remove(sqlalchemy.Pool, "connect", note)
    assert opened
    assert len(closed) == len(opened)


def test_tables_of_a_version_that_is_not_known_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_storage(f"sqlite:///{tmp_path}/sweeps.db").close()
    monkeypatch.setattr(opening, "KNOWN_SCHEMAS", frozenset({"v9.9.9.a"}))
    with pytest.raises(StorageError, match=r"version v3\.2\.0\.a of Optuna, .* knows v9\.9\.9\.a"):
        open_storage(f"sqlite:///{tmp_path}/sweeps.db")


FORKING = """
import gc, os, sys
import sqlalchemy
from lightsweep.storage import open_storage

storage = open_storage(sys.argv[1])
storage.optuna.get_all_studies()
closed = []
sqlalchemy.event.listen(sqlalchemy.Pool, "close", lambda connection, record: closed.append(connection))
child = os.fork()
del storage
gc.collect()
if not child:
    os._exit(len(closed))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(closed))
"""


def test_a_forked_child_leaves_the_connections_of_its_parent_open(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKING, f"sqlite:///{tmp_path}/sweeps.db"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["0", "1"], "")


def test_sqlite_writes_ahead_and_waits_for_the_lock(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/sweeps.db")
    with storage.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() >= 30_000
    statements: list[str] = []
    sqlalchemy.event.listen(
        storage.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: statements.append(statement)
    )
    optuna.create_study(storage=storage.optuna)
    writing = [statement for statement in statements if statement.startswith("BEGIN")]
    assert writing
    assert set(writing) == {"BEGIN IMMEDIATE"}
    statements.clear()
    with storage.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM trials")
    assert statements[0] == "BEGIN"
    storage.close()


def test_readers_do_not_wait_for_a_writer_and_see_one_state(storage: Storage) -> None:
    study = optuna.create_study(storage=storage.optuna)
    count = sqlalchemy.text("SELECT COUNT(*) FROM trials")
    with storage.reading() as reader, storage.engine.begin() as writer:
        writer.execute(sqlalchemy.text("UPDATE studies SET study_name = 'renamed'"))
        assert reader.execute(count).scalar_one() == 0
    with storage.reading() as reader:
        assert reader.execute(count).scalar_one() == 0
        study.add_trial(optuna.trial.create_trial(value=1.0))
        assert reader.execute(count).scalar_one() == 0


HAMMER = """
import sys
from lightsweep.storage import open_storage

storage = open_storage(sys.argv[1])
study_id = storage.optuna.get_study_id_from_name("s")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    print(storage.optuna.get_trial(storage.optuna.create_new_trial(study_id)).number)
"""


def test_two_processes_number_their_trials_without_gaps(url: str, storage: Storage) -> None:
    optuna.create_study(storage=storage.optuna, study_name="s")
    workers = [
        subprocess.Popen([sys.executable, "-c", HAMMER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin
        worker.stdin.write("go\n")
        worker.stdin.flush()
    numbers = [int(line) for worker in workers for line in worker.communicate(timeout=120)[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(numbers) == list(range(80))


TOGETHER = """
import os, sys
from lightsweep.storage import open_storage

children = []
for _ in range(6):
    child = os.fork()
    if not child:
        try:
            open_storage(sys.argv[1]).close()
        except BaseException as error:
            print(error, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def test_programs_that_make_the_tables_at_the_same_moment(url: str) -> None:
    ended = subprocess.run([sys.executable, "-c", TOGETHER, url], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "")


# --- what is refused


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "'nonsense' is not a database URL; write one such as sqlite:///"),
        ("postgresql://u@h:port/d", "is not a database URL"),
        ("sqlite://", "memory of one process"),
        ("sqlite:///:memory:", "memory of one process"),
        ("oracle://u@h/d", "'oracle' is not supported"),
        ("mysql+gone://u@h/d", "cannot be opened|driver is not installed"),
        ("mysql+mysqlconnector://u@h/d", "driver is not installed; pip install pymysql"),
        ("postgresql+pg8000://u@h/d", r"driver is not installed; pip install 'lightsweep\[postgres\]'"),
    ],
)
def test_urls_that_mean_nothing(url: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        open_storage(url)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone/sweeps.db", "unable to open database file.*check that its directory exists"),
        (".", "unable to open database file"),
        ("notes.txt", "file is not a database.*another kind of file"),
    ],
)
def test_files_that_are_no_storage(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "notes.txt").write_text("no database, and longer than the header of one " * 10)
    with pytest.raises(StorageError, match=message):
        open_storage(f"sqlite:///{tmp_path / name}")


@pytest.fixture
def powerless() -> Iterator[Path]:
    """A directory, while this process has no more power than any user; an empty database in it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        open_storage(f"sqlite:///{path}/sweeps.db").close()
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        try:
            yield path
        finally:
            os.seteuid(was)
            path.chmod(0o755)


def test_a_directory_that_is_read_only(powerless: Path) -> None:
    if os.geteuid() != 65534:
        powerless.chmod(0o555)
    with pytest.raises(StorageError, match=r"cannot be opened.*check"):
        open_storage(f"sqlite:///{powerless}/new.db")


def test_a_file_that_is_read_only(powerless: Path) -> None:
    if os.geteuid() != 65534:
        (powerless / "sweeps.db").chmod(0o444)
        powerless.chmod(0o555)
    with pytest.raises(StorageError, match=r"cannot be opened.*check"):
        open_storage(f"sqlite:///{powerless}/sweeps.db")


WRITER = """
import os, sys
import optuna
from lightsweep.storage import open_storage

storage = open_storage(sys.argv[1])
for line in sys.stdin:
    optuna.create_study(storage=storage.optuna, study_name=line.strip())
    print(line, end="", flush=True)
if sys.argv[2] == "killed":
    os._exit(0)
storage.close()
"""


@contextmanager
def with_power(directory: Path) -> Iterator[None]:
    """With the right to write to the directory, which its reader does not have."""
    if os.getuid() == 0:
        os.seteuid(0)
    else:
        directory.chmod(0o755)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(65534)
        else:
            directory.chmod(0o555)


def names(storage: Storage) -> set[str]:
    return {study.study_name for study in storage.optuna.get_all_studies()}


def test_looking_at_a_file_that_is_read_only(powerless: Path) -> None:
    url = f"sqlite:///{powerless}/sweeps.db"
    with with_power(powerless):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, url, "closed"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    assert writer.stdin is not None
    assert writer.stdout is not None

    def make(name: str) -> None:
        print(name, file=writer.stdin, flush=True)
        assert writer.stdout.readline() == f"{name}\n"

    before = open_storage(url, create=False, look=True)
    assert names(before) == set()
    make("a")
    opened = open_storage(url, create=False, look=True)
    assert names(before) == names(opened) == {"a"}
    make("b")
    assert names(opened) == {"a", "b"}
    writer.communicate()
    assert {path.name for path in powerless.iterdir()} == {"sweeps.db"}
    assert names(before) == names(opened) == {"a", "b"}
    with pytest.raises(StorageInternalError), quiet():
        opened.optuna.set_study_user_attr(1, "key", 1)
    before.close()
    opened.close()


def test_looking_at_a_file_whose_log_cannot_be_read(powerless: Path) -> None:
    url = f"sqlite:///{powerless}/sweeps.db"
    with with_power(powerless):
        command = [sys.executable, "-c", WRITER, url, "killed"]
        subprocess.run(command, input="a\n", capture_output=True, text=True, check=True)
        (powerless / "sweeps.db-shm").unlink()
    with pytest.raises(StorageError, match=r"its last commits are in sweeps.db-wal.*copy both files"):
        open_storage(url, create=False, look=True)


@pytest.mark.parametrize(
    ("revision", "advice"), [("v3.0.0.d", "optuna storage upgrade"), ("v99.0.0", "pip install -U optuna")]
)
def test_tables_of_another_optuna(url: str, revision: str, advice: str) -> None:
    storage = open_storage(url)
    with storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = :it"), {"it": revision})
    storage.close()
    with pytest.raises(StorageError, match=f"tables are of another Optuna version.*{advice}"):
        open_storage(url)


def test_looking_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "sweeps.db"
    with pytest.raises(NotFoundError, match=r"no storage .*sweeps\.db; create a sweep in it first"):
        open_storage(f"sqlite:///{path}", create=False)
    assert not path.exists()
    open_storage(f"sqlite:///{path}").close()
    open_storage(f"sqlite:///{path}", create=False).close()


# --- how URLs are read and shown


def test_a_path_is_a_url(tmp_path: Path) -> None:
    open_storage(str(tmp_path / "a b.db")).close()
    with sqlite3.connect(tmp_path / "a b.db") as connection:
        assert connection.execute("SELECT COUNT(*) FROM studies").fetchone() == (0,)
    connection.close()


def test_an_installed_driver_is_chosen() -> None:
    assert parse("postgres://u@h/d").drivername == "postgresql+psycopg"
    assert parse("postgresql+psycopg2://u@h/d").drivername == "postgresql+psycopg2"


def test_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    assert default_url() == "sqlite:///lightsweep.db"
    monkeypatch.setenv("LIGHTSWEEP_STORAGE", "sqlite:///other.db")
    assert default_url() == "sqlite:///other.db"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@127.0.0.1:1/db",
        f"postgresql://:{SECRET}@127.0.0.1:1/db",
        "postgresql://user:pa%3Ass%2Fw0rd@127.0.0.1:1/db",
        f"postgresql://127.0.0.1:1/db?user=me&password={SECRET}",
        f"oracle://user:{SECRET}@h/db",
        f"postgresql://user:{SECRET}@h:port/db",
        f"nonsense//user:{SECRET}@h",
        f"sqlite://user:{SECRET}@",
    ],
)
def test_a_password_is_never_shown(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        open_storage(url)
    assert not any("w0rd" in text for text in [str(caught.value), repr(caught.value)])
    if "nonsense" not in url:
        assert "w0rd" not in mask(f"{url} and again {url}")


def test_the_storage_shows_itself_without_password(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/sweeps.db")
    assert str(storage) == storage.url
    storage.url = f"postgresql://user:{SECRET}@host/db"
    assert str(storage) == "postgresql://user:***@host/db"
    assert "w0rd" not in repr(storage)
    storage.close()
