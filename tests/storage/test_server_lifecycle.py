"""``lightsweep storage serve``: one real PostgreSQL, looked at from outside."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy
from serving import Serving, open_place

from lightsweep import Sweep
from lightsweep.cli.storage import introduce
from lightsweep.errors import StorageError
from lightsweep.storage import open_storage
from lightsweep.storage.server import Server
from lightsweep.storage.url import parse

RAW = {"program": "train.py", "method": "random", "parameters": {"x": {"min": 0.0, "max": 1.0}}}


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with open_place() as place:
        one = Serving(place, "--port", "0").ready()
        yield one
        assert one.end() == 0


def password(serving: Serving) -> str:
    return str(sqlalchemy.make_url(serving.url).password)


def ask(url: str, statement: str) -> object:
    engine = sqlalchemy.create_engine(parse(url), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lightsweep", "storage", "serve", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_it_keeps_sweeps(serving: Serving) -> None:
    made = Sweep.create(RAW, storage=serving.url)
    assert Sweep.load(made.id, storage=serving.url).id == made.id


def test_only_its_owner_may_read_its_files(serving: Serving) -> None:
    modes = {name: mode(serving.directory / name) for name in ("url", "lock", "server.log", "data")}
    assert modes == {"url": 0o600, "lock": 0o600, "server.log": 0o600, "data": 0o700}
    assert mode(serving.directory) & 0o022 == 0


def test_it_says_how_to_use_it_and_masks_the_password(serving: Serving) -> None:
    port = sqlalchemy.make_url(serving.url).port
    assert f"  postgresql://lightsweep:***@127.0.0.1:{port}/sweeps " in serving.text
    assert f"export LIGHTSWEEP_STORAGE_FILE={serving.directory / 'url'}" in serving.text
    assert "TLS" not in serving.text  # nobody else can read what stays on this machine


def test_show_url_prints_all_of_it(serving: Serving) -> None:
    done = command("--show-url", cwd=serving.place)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, serving.url, "")
    assert len(password(serving)) >= 32


def test_show_url_before_the_first_start(tmp_path: Path) -> None:
    done = command("--show-url", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no server has been started in lightsweep_storage; start one with: lightsweep storage serve" in done.stderr


def test_no_password_is_in_a_log_or_in_a_list_of_processes(serving: Serving) -> None:
    Sweep.create(RAW, storage=serving.url)
    secret = password(serving)
    assert secret not in serving.text
    assert secret not in (serving.directory / "server.log").read_text()
    servers = [serving.process.pid, serving.postmaster.pid, *(each.pid for each in serving.postmaster.children())]
    assert len(servers) > 5
    for pid in psutil.pids():
        for name in ("cmdline", "environ") if pid in servers else ("cmdline",):
            try:
                assert secret.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
            except OSError:  # noqa: PERF203 - it has ended
                continue


def test_a_wrong_password_is_refused_without_showing_it(serving: Serving) -> None:
    url = serving.url.replace(password(serving), "a-wrong-password")
    with pytest.raises(StorageError, match="password authentication failed") as caught:
        open_storage(url)
    assert "a-wrong-password" not in str(caught.value)
    assert "a-wrong-password" not in (serving.directory / "server.log").read_text()


@pytest.mark.parametrize(("user", "database"), [("postgres", "sweeps"), ("lightsweep", "postgres")])
def test_nobody_else_and_no_other_database_is_let_in(serving: Serving, user: str, database: str) -> None:
    url = sqlalchemy.make_url(serving.url).set(username=user, database=database).render_as_string(hide_password=False)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="no pg_hba"):
        ask(url, "SELECT 1")


def test_agents_have_no_right_but_to_their_database(serving: Serving) -> None:
    assert (
        ask(serving.url, "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = 'lightsweep'")
        is False
    )
    stored = ask(serving.url, "SHOW password_encryption")
    assert stored == "scram-sha-256"
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):
        ask(serving.url, "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")


def test_many_agents_find_room(serving: Serving) -> None:
    assert int(str(ask(serving.url, "SHOW max_connections"))) >= 1000
    assert ask(serving.url, "SHOW shared_buffers") == "256MB"
    assert ask(serving.url, "SHOW fsync") == "on"
    assert ask(serving.url, "SHOW synchronous_commit") == "on"


def test_it_never_runs_as_root(serving: Serving) -> None:
    assert serving.postmaster.uids().effective != 0
    assert (serving.directory / "data").stat().st_uid == serving.postmaster.uids().effective
    assert (serving.directory / "url").stat().st_uid == os.geteuid()


def test_a_second_server_in_the_directory_is_refused(serving: Serving) -> None:
    done = command(cwd=serving.place)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{serving.directory} has a server already: process {serving.process.pid} on " in done.stderr
    assert "--show-url" in done.stderr
    assert ask(serving.url, "SELECT 1") == 1


def test_a_port_in_use_is_named(serving: Serving, tmp_path: Path) -> None:
    port = sqlalchemy.make_url(serving.url).port
    with open_place() as place:
        done = command("--port", str(port), cwd=place)
        assert not (place / "lightsweep_storage" / "data").exists()
    assert (done.returncode, done.stdout) == (2, "")
    assert f"port {port} of 127.0.0.1 is in use\n" in done.stderr
    assert "choose another port by --port" in done.stderr


def test_a_file_with_the_url_stands_for_it_in_copies_and_checks(serving: Serving, tmp_path: Path) -> None:
    made = Sweep.create(RAW, storage=serving.url)
    url = str(serving.directory / "url")
    for arguments in (["copy", url, "results.db", made.id], ["check", url]):
        done = subprocess.run(
            [sys.executable, "-m", "lightsweep", "storage", *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert password(serving) not in done.stdout + done.stderr
    assert Sweep.load(made.id, storage=f"sqlite:///{tmp_path}/results.db").id == made.id


def test_the_page_shows_what_it_says() -> None:
    """The output in docs/storage.md, for a server that other machines reach."""
    page = (Path(__file__).parents[2] / "docs" / "storage.md").read_text()
    (shown,) = re.findall(r"```\n(PostgreSQL .+?\n)```", page, re.DOTALL)
    place = Path("/home/ada/digits/lightsweep_storage")
    server = Server(place, "0.0.0.0")
    server.version, server.url = "18.4", "postgresql://lightsweep:secret@lab3:5432/sweeps"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        introduce(server, place)
    assert said.getvalue() == shown
