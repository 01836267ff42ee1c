"""``lightsweep storage serve`` ends, is killed, and starts again, with its data, its password and its port."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import sqlalchemy
from serving import Serving, open_place

from lightsweep import Sweep
from lightsweep.errors import StorageError
from lightsweep.storage import default_url, open_storage, server
from lightsweep.storage.server import wait_for_storage
from lightsweep.storage.url import parse

RAW = {"program": "train.py", "method": "random", "parameters": {"x": {"min": 0.0, "max": 1.0}}}
AS_ROOT = os.geteuid() == 0

Start = Callable[..., Serving]


@pytest.fixture
def place() -> Iterator[Path]:
    with open_place() as made:
        yield made


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts the command in one place; whatever is left at the end is ended."""
    started: list[Serving] = []

    def serve(*options: str, before: Sequence[str] = ()) -> Serving:
        started.append(Serving(place, *options, before=before))
        return started[-1]

    yield serve
    for one in started:
        if one.process.poll() is None:
            one.end()


def killed(process: psutil.Process) -> None:
    process.kill()
    process.wait(60)


@pytest.mark.slow
def test_it_survives_restarts_and_kills(start: Start, place: Path) -> None:
    """One after the other, since the first start of each takes seconds."""
    one = start("--port", "0").ready()
    url = one.url
    made = Sweep.create(RAW, storage=url)
    engine = sqlalchemy.create_engine(parse(url))
    with engine.connect() as connection:  # an agent that is connected does not hold it up
        connection.exec_driver_sql("SELECT 1")
        assert one.end(signal.SIGTERM, timeout=30) == 0
        connection.invalidate()
    engine.dispose()
    assert one.text.endswith("the server has stopped; its data stays, and the same command starts it again")
    assert "database system is shut down" in (one.directory / "server.log").read_text().splitlines()[-1]
    assert not (one.directory / "data" / "postmaster.pid").exists()

    two = start().ready()  # the port is remembered
    assert two.url == url
    assert Sweep.load(made.id, storage=url).id == made.id
    orphan = two.postmaster
    two.process.kill()  # the server lives on; agents notice nothing
    two.result()
    assert Sweep.load(made.id, storage=url).id == made.id

    three = start().ready()  # it takes over
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE  # init is slow at times
    assert three.url == url
    server = three.postmaster
    three.process.kill()
    killed(server)
    three.result()
    stale = one.directory / "data" / "postmaster.pid"
    assert stale.exists()
    # After a restart of a machine or a container its number may belong to anything.
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")

    four = start().ready()
    assert four.url == url
    assert Sweep.load(made.id, storage=url).id == made.id
    killed(four.postmaster)
    assert four.result() == 1
    assert "the server has ended unexpectedly (exit code -9); start it again with the same command" in four.text
    assert url.rpartition(":")[0].rpartition("@")[0].rpartition(":")[2] not in four.text

    (one.directory / "url").unlink()  # whose password nobody knows any more
    five = start("--port", str(sqlalchemy.make_url(url).port)).ready()
    assert five.url != url
    assert Sweep.load(made.id, storage=five.url).id == made.id
    with pytest.raises(StorageError, match="password authentication failed"):
        open_storage(url)
    assert five.end(signal.SIGINT) == 0

    with socket.create_server(("127.0.0.1", sqlalchemy.make_url(url).port)):
        six = start()
        assert six.result() == 2
    assert "is in use, as at the last start" in six.text
    assert "--port" in six.text


@pytest.mark.slow
def test_a_first_start_that_is_killed_leaves_nothing_in_the_way(start: Start, place: Path) -> None:
    one = start("--port", "0")
    new = one.directory / "new"
    until(lambda: (new / "data" / "PG_VERSION").exists() or one.process.poll() is not None)
    one.process.kill()
    assert one.result() == -signal.SIGKILL
    assert not (one.directory / "data").exists()
    assert start("--port", "0").ready().end() == 0
    assert not new.exists()


@pytest.mark.slow
def test_ctrl_c_during_the_first_start_is_no_error(start: Start, place: Path) -> None:
    one = start("--port", "0")
    until(lambda: (one.directory / "new").exists())
    assert one.end(signal.SIGINT) == 0
    assert one.text == "the server has stopped; its data stays, and the same command starts it again"
    assert [each for each in psutil.process_iter(["cmdline"]) if str(one.directory) in str(each.info["cmdline"])] == []


@pytest.mark.slow
def test_it_ends_after_so_long_without_a_connection(start: Start) -> None:
    one = start("--port", "0", "--idle", "3s", before=("nohup",)).ready()
    engine = sqlalchemy.create_engine(parse(one.url))
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        one.process.send_signal(signal.SIGHUP)  # which nohup lets a program ignore
        time.sleep(5)
        assert one.process.poll() is None
        connection.exec_driver_sql("SELECT 1")
    engine.dispose()
    assert one.result(60) == 0
    assert one.text.endswith(
        "no program has been connected for 3 s\n"
        "the server has stopped; its data stays, and the same command starts it again"
    )


@pytest.mark.slow
def test_other_machines_find_it_and_are_told_that_nothing_is_encrypted(start: Start, place: Path) -> None:
    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            usual.bind(("0.0.0.0", 5432))
            usual.listen()
        except OSError:
            pass  # somebody else has it, which serves as well
        one = start("--host", "0.0.0.0").ready()
    url = sqlalchemy.make_url(one.url)
    assert url.port != 5432  # the usual one was in use
    assert url.host not in ("0.0.0.0", "127.0.0.1", "localhost")
    assert "connections are not encrypted (no TLS)" in one.text
    open_storage(one.url).close()
    assert one.end() == 0
    two = start().ready()
    assert two.url == one.url, "the address of the last start is that of the next one"
    assert two.text.splitlines()[1:] == one.text.splitlines()[1:-1]
    assert two.end() == 0
    three = start("--host", "127.0.0.1").ready()
    assert sqlalchemy.make_url(three.url).host == "127.0.0.1"
    assert three.end() == 0


@pytest.mark.slow
def test_agents_wait_for_it_and_follow_it_to_another_address(
    start: Start, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Serving(place, "--port", "0", before=("sh", "-c", 'sleep 2; exec "$@"', "-"))
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    monkeypatch.setenv("LIGHTSWEEP_STORAGE_FILE", str(one.directory / "url"))
    told: list[str] = []
    wait_for_storage(default_url, told.append)
    assert told == [f"waiting for the storage: there is no {one.directory / 'url'} yet"]
    one.ready()
    sweep = Sweep.create(RAW)
    first = sqlalchemy.make_url(one.url)
    assert one.end() == 0

    told.clear()
    waiting = threading.Thread(target=wait_for_storage, args=(default_url, told.append))
    waiting.start()
    until(lambda: bool(told))
    assert told[0].startswith(f"waiting for the storage: 127.0.0.1:{first.port} does not answer (")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    two = start("--port", str(port)).ready()
    waiting.join(60)
    assert not waiting.is_alive()
    assert sqlalchemy.make_url(two.url) == first.set(port=port)
    assert sweep.runs == []  # of the object from before, by a new connection
    assert two.end() == 0


def test_a_storage_that_refuses_is_not_waited_for_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_WAIT_SECONDS", 0.01)
    told: list[str] = []
    (tmp_path / "no.db").mkdir()
    with pytest.raises(StorageError, match="unable to open database file"):
        wait_for_storage(lambda: f"sqlite:///{tmp_path}/no.db", told.append)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--directory", "a file"), "a file is not a directory; name one, or a new one, by --directory"),
        (("--directory", "no/such"), "/no to make such in; make it first"),
        (("--idle", "soon"), "--idle must be a duration with d, h, m or s, such as 90s, 10m or 1h30m, got 'soon'"),
    ],
)
def test_wrong_options_are_refused(start: Start, place: Path, options: tuple[str, ...], message: str) -> None:
    (place / "a file").touch()
    one = start(*options)
    assert one.result() == 2
    assert message in one.text
    assert [path.name for path in place.iterdir()] == ["a file"]


def test_an_address_of_no_machine_or_another_is_refused(start: Start) -> None:
    for host in ("no-such-host.invalid", "192.0.2.1"):
        one = start("--host", host, "--port", "0")
        assert one.result() == 2
        assert f"error: no server can listen on {host}:" in one.text
        assert "0.0.0.0 for all its addresses" in one.text


@pytest.mark.skipif(not AS_ROOT, reason="only root can be another user")
def test_root_is_told_which_folder_is_closed_and_its_permissions_stay(start: Start, place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    one = start("--directory", str(closed / "storage"))
    assert one.result() == 2
    assert f"may not enter {closed}\n" in one.text
    assert "--directory" in one.text
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not (closed / "storage").exists()


@pytest.mark.slow
@pytest.mark.skipif(not AS_ROOT, reason="only root can be another user")
def test_the_owner_of_a_project_runs_the_server_that_root_starts(start: Start, place: Path) -> None:
    owner = pwd.getpwnam("daemon")
    os.chown(place, owner.pw_uid, owner.pw_gid)
    place.chmod(0o700)
    one = start("--port", "0").ready()
    assert one.postmaster.uids().effective == owner.pw_uid
    files = {one.directory, one.directory / "url", one.directory / "data"}
    assert {each.stat().st_uid for each in files} == {owner.pw_uid}
    assert place.stat().st_mode & 0o777 == 0o700
    assert one.end() == 0


@pytest.mark.slow
@pytest.mark.skipif(not AS_ROOT, reason="every other test is without root then")
def test_without_root_the_server_is_the_user_s_own(start: Start, place: Path) -> None:
    """Root's Python may be closed to all others, so a namespace gives root's process the id of another user."""
    as_daemon = ("unshare", "--user", "--map-user=1", "--map-group=1")
    one = start("--port", "0", before=as_daemon).ready()
    assert one.postmaster.uids().effective == os.geteuid()
    open_storage(one.url).close()
    assert one.end() == 0
    # Data that another user has made is refused in one sentence.
    os.chown(one.directory / "data", 2, 2)
    two = start(before=as_daemon)
    assert two.result() == 2
    assert f"{one.directory}/data belongs to 'nobody', not to 'daemon', who would run the server" in two.text


def until(condition: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
