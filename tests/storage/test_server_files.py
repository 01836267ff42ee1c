"""Root starts a server in a directory of another user: files of root's that the user has put links to stay."""

from __future__ import annotations

import os
import pwd
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from serving import Serving, open_place

from lightsweep.errors import StorageError
from lightsweep.storage import server
from lightsweep.storage.server import Server, unreachable
from lightsweep.storage.url import parse

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may write what the owner may not")
SECRET = "root's own\n"


@pytest.fixture
def place() -> Iterator[Path]:
    """A project of another user, who has made the directory of the storage."""
    with open_place() as made:
        directory = made / "lightsweep_storage"
        directory.mkdir()
        if os.geteuid() == 0:
            owner = pwd.getpwnam("daemon")
            for each in (made, directory):
                os.chown(each, owner.pw_uid, owner.pw_gid)
        yield made


@pytest.fixture
def secret(place: Path) -> Iterator[Path]:
    """A file that only root may read and write."""
    file = place / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    yield file
    assert file.read_text() == SECRET
    assert file.stat().st_uid == os.geteuid()


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("name", ["lock", "server.log"])
def test_a_link_in_place_of_a_file_is_refused(place: Path, secret: Path, name: str, link: object) -> None:
    file = place / "lightsweep_storage" / name
    assert callable(link)
    link(secret, file)
    with pytest.raises(
        StorageError, match=f"{file} is a link or no plain file, so nothing is written to it\nremove it"
    ):
        server._open_plain(file, os.O_RDWR)


@as_root
def test_the_lock_may_be_a_link_to_a_file_of_root_s(place: Path, secret: Path) -> None:
    (place / "lightsweep_storage" / "lock").symlink_to(secret)
    one = Serving(place, "--port", "0")
    assert one.result() == 2
    assert "lock is a link or no plain file, so nothing is written to it\nerror: remove it" in one.text


@as_root
@pytest.mark.slow
def test_the_server_s_own_files_may_be_links_to_files_of_root_s(place: Path, secret: Path) -> None:
    one = Serving(place, "--port", "0").ready()
    assert one.end() == 0
    for name, message in (
        ("data/pg_hba.conf", "pg_hba.conf cannot be written as 'daemon': Permission denied"),
        ("server.log", "server.log is a link"),
    ):
        file = one.directory / name
        file.unlink()
        file.symlink_to(secret)
        two = Serving(place)
        assert two.result() == 2
        assert message in two.text
        file.unlink()
    assert Serving(place).ready().end() == 0  # both are made again


def test_a_pipe_is_not_waited_for(place: Path) -> None:
    os.mkfifo(place / "server.log")
    for flags in (os.O_RDWR, os.O_WRONLY):
        with pytest.raises(StorageError, match="no plain file"):
            server._open_plain(place / "server.log", flags)


@pytest.mark.parametrize("left", [None, "", "no number\n", "-1\n"])
def test_the_server_of_a_killed_process_may_end_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str | None
) -> None:
    """Its postmaster.pid is gone, or not yet written, while it holds the lock: the lock is tried again."""
    one = Server(tmp_path, port=0)
    (tmp_path / "data").mkdir()
    (tmp_path / "lock").write_text(f"{os.getpid()} 1.0 {socket.gethostname()}\n")
    if left is not None:
        (tmp_path / "data" / "postmaster.pid").write_text(left)
    answers = iter([False, False, False, True])
    monkeypatch.setattr(server, "_try_lock", lambda _: next(answers))
    os.close(one._lock())
    assert (tmp_path / "lock").read_text().startswith(f"{os.getpid()} {psutil.Process().create_time()} ")


def test_without_a_driver_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        StorageError, match=r"no driver for PostgreSQL .*\npip install 'lightsweep\[server\]' brings one"
    ):
        Server(tmp_path / "storage").start()
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_end_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").write_text(f"{os.getpid()} 1.0 {socket.gethostname()}\n")
    monkeypatch.setattr(server, "_try_lock", lambda _: False)
    monkeypatch.setattr(server, "_STOP_SECONDS", 0.1)
    before = psutil.Process().num_fds()
    with pytest.raises(StorageError, match=f"the server of {tmp_path} does not end; end it yourself"):
        Server(tmp_path)._lock()
    assert psutil.Process().num_fds() == before


@pytest.mark.parametrize(
    ("url", "port"),
    [("mysql://127.0.0.1/db", 3306), ("mariadb+pymysql://127.0.0.1/db", 3306), ("postgresql://127.0.0.1/db", 5432)],
)
def test_each_kind_of_database_has_its_usual_port(url: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", connect)
    assert unreachable(parse(url)) == f"127.0.0.1:{port} does not answer (Connection refused)"
    assert asked == [("127.0.0.1", port)]
