"""The channel between an agent and its runs: real sockets, honest and hostile peers."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sandboxes import wait_until

from lightsweep.channel.connection import Connection
from lightsweep.channel.messages import (
    HANDSHAKE_LIMIT,
    MESSAGE_LIMIT,
    ChannelError,
    FrameStream,
    LogReply,
    is_proof,
    proof,
)
from lightsweep.channel.server import ChannelServer
from lightsweep.errors import AgentLostError, LightsweepError, UsageError
from lightsweep.hyperband import Verdict
from scripted import ScriptedHandler

NOTICE = ("IDLE", "INTVL", "CNT")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert left == []


@pytest.fixture(params=[None, "127.0.0.1"], ids=["socket", "tcp"])
def host(request: pytest.FixtureRequest) -> Any:
    """Listen on TCP too, and let runs use that."""
    return request.param


@pytest.fixture
def server(request: pytest.FixtureRequest, host: str | None) -> Iterator[ChannelServer]:
    with ChannelServer(handshake_seconds=getattr(request, "param", 30.0), host=host) as server:
        assert server.address.startswith("tcp://127.0.0.1:") == (host is not None)
        yield server


def dial(server: ChannelServer) -> socket.socket:
    """A connection that has sent nothing."""
    if server.address.startswith("tcp://"):
        return socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), 60)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(60)
    sock.connect(server.path)
    return sock


@pytest.fixture
def handler() -> ScriptedHandler:
    return ScriptedHandler()


@pytest.fixture
def connect(server: ChannelServer, handler: ScriptedHandler) -> Iterator[Callable[[], Connection]]:
    variables = server.register("0007", handler)
    opened: list[Connection] = []

    def connect(**changed: str) -> Connection:
        connection = Connection.from_environment({**variables, **changed})
        assert connection is not None
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def raw(server: ChannelServer) -> Iterator[Callable[[], socket.socket]]:
    """Open sockets to the server that know nothing of the protocol."""
    opened: list[socket.socket] = []

    def connect() -> socket.socket:
        opened.append(dial(server))
        return opened[-1]

    yield connect
    for sock in opened:
        sock.close()


def authenticated(server: ChannelServer, variables: dict[str, str]) -> socket.socket:
    """A socket past the handshake, on which anything can be sent."""
    sock = dial(server)
    stream = FrameStream(sock)
    hello = stream.receive()
    assert hello is not None
    sides = ("raw", hello["nonce"], "mine")
    token = variables["LIGHTSWEEP_TOKEN"]
    stream.send({"run": "raw", "nonce": "mine", "proof": proof(token, "client", *sides)})
    assert stream.receive() == {"proof": proof(token, "server", *sides)}
    return sock


def ends(sock: socket.socket) -> bool:
    """True if the server closes the connection, whatever it sends before."""
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


def test_a_reply_of_another_version_is_read_as_far_as_it_is_known():
    newer = {"verdict": {"stop": True, "reason": "band 3", "rank": 7}, "iterations": 2, "load": 0.5}
    assert LogReply.read(newer) == LogReply(Verdict(stop=True, reason="band 3"), iterations=2)
    assert LogReply.read({"ok": True}) == LogReply()


def test_every_operation_reaches_the_handler_and_its_answer_comes_back(connect, handler):
    connection = connect()
    assert connection.request("start", defaults={"lr": 0.1})["config"] == {"lr": 0.1}
    answer = connection.request("log", metrics={"loss": 1}, step=None)
    assert LogReply.read(answer) == LogReply(Verdict(), iterations=1)
    assert connection.request("finish", state="finished", error=None, unread=[]) == {"ok": True}
    assert handler.starts == [{"defaults": {"lr": 0.1}}]
    assert handler.logs == [{"metrics": {"loss": 1}, "step": None}]
    assert handler.finishes == [{"state": "finished", "error": None, "unread": []}]


def test_the_environment_names_a_private_socket_and_close_removes_it(handler):
    with ChannelServer() as server:
        variables = server.register("0007", handler)
        assert sorted(variables) == ["LIGHTSWEEP_CHANNEL", "LIGHTSWEEP_RUN", "LIGHTSWEEP_TOKEN"]
        path = Path(variables["LIGHTSWEEP_CHANNEL"])
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert variables["LIGHTSWEEP_TOKEN"] != server.register("0008", handler)["LIGHTSWEEP_TOKEN"]
    assert not path.parent.exists()
    server.close()
    with pytest.raises(UsageError, match="closed"):
        server.register("0009", handler)


def has_ipv6() -> bool:
    """``socket.has_dualstack_ipv6()`` says so even if IPv6 is switched off."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_only_a_server_with_a_host_listens_on_tcp(handler):
    with ChannelServer() as server:
        assert server.address == server.path
        assert len(server._listeners) == 1
    with ChannelServer(host="::1") as server:
        variables = server.register("0007", handler)
        assert variables["LIGHTSWEEP_CHANNEL"].startswith("tcp://[::1]:")
        if has_ipv6():
            connection = Connection.from_environment(variables)
            assert connection is not None
            assert connection.request("log", metrics={"loss": 1})["iterations"] == 1
            connection.close()


def test_a_host_whose_ipv6_is_switched_off_is_reached_by_ipv4(handler, monkeypatch):
    create = socket.create_server

    def refuse(address: Any, *, family: int = socket.AF_INET, **given: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        return create(address, family=family, **given)

    monkeypatch.setattr(socket, "create_server", refuse)
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    with ChannelServer(host="127.0.0.1") as server:
        connection = Connection.from_environment(server.register("0007", handler))
        assert connection is not None
        assert connection.request("log", metrics={"loss": 1})["iterations"] == 1
        connection.close()


def test_an_idle_connection_over_tcp_notices_a_host_that_vanished(server, connect):
    stream = connect().open()
    tcp = server.address.startswith("tcp://")
    assert stream._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == tcp
    if tcp and sys.platform == "linux":
        seconds = [stream._sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{each}")) for each in NOTICE]
        assert seconds == [10, 5, 3]
    stream.close()


def test_a_long_temporary_directory_is_not_used(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with ChannelServer() as server:
        assert len(os.fsencode(server.path)) <= 100
        assert list(deep.iterdir()) == []


def test_without_an_agent_there_is_no_connection():
    assert Connection.from_environment({}) is None
    assert Connection.from_environment({"LIGHTSWEEP_CHANNEL": "/tmp/x", "LIGHTSWEEP_RUN": "1"}) is None


def test_a_run_is_registered_once_at_a_time(server, handler):
    server.register("1", handler)
    with pytest.raises(UsageError, match="'1' is registered already"):
        server.register("1", handler)
    server.unregister("1")
    server.unregister("1")
    server.register("1", handler)


def test_nan_infinities_and_any_text_pass(connect, handler):
    connection = connect()
    connection.request("log", metrics={"nan": math.nan, "up": math.inf, "down": -math.inf, "ä\n\ud800": 1e-308})
    (log,) = handler.logs
    assert math.isnan(log["metrics"].pop("nan"))
    assert log["metrics"] == {"up": math.inf, "down": -math.inf, "ä\n\ud800": 1e-308}


def test_a_large_message_passes_and_one_that_is_too_large_is_refused_before_it_is_sent(connect, handler):
    connection = connect()
    text = "x" * (MESSAGE_LIMIT - 1000)
    connection.request("log", metrics={}, note=text)
    assert handler.logs[0]["note"] == text
    with pytest.raises(LightsweepError, match="a message may have"):
        connection.request("log", metrics={}, note=text + "x" * 1000)
    with pytest.raises(TypeError):
        connection.request("log", metrics=object())
    assert connection.request("log", metrics={})["iterations"] == 2


def test_errors_of_the_handler_become_errors_of_the_client_and_the_connection_lives_on(server, caplog):
    class Moody(ScriptedHandler):
        def log(self, message):
            if message["metrics"] == "known":
                raise UsageError("no such metric")
            if message["metrics"] == "unknown":
                raise ZeroDivisionError("inside")
            if message["metrics"] == "unsendable":
                return LogReply(Verdict(stop=True, reason=object()))
            if message["metrics"] == "no reply":
                return "no reply"
            return super().log(message)

    connection = Connection.from_environment(server.register("0007", Moody()))
    assert connection is not None
    with pytest.raises(LightsweepError, match=r"^no such metric$"):
        connection.request("log", metrics="known")
    assert caplog.text == ""
    with pytest.raises(LightsweepError, match="the agent failed on 'log': ZeroDivisionError: inside"):
        connection.request("log", metrics="unknown")
    with pytest.raises(LightsweepError, match="the agent's answer cannot be sent"):
        connection.request("log", metrics="unsendable")
    with pytest.raises(LightsweepError, match="the agent failed on 'log': AttributeError"):
        connection.request("log", metrics="no reply")
    with pytest.raises(LightsweepError, match="the operations of a run are start, log, finish, got 'explode'"):
        connection.request("explode")
    assert [record.name for record in caplog.records] == ["lightsweep"] * 3
    assert connection.log({"metrics": {}}).verdict == Verdict()
    connection.close()


def test_threads_take_turns_on_one_connection(connect, handler):
    connection = connect()
    threads = [
        threading.Thread(target=lambda: [connection.request("log", metrics={}) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(handler.logs) == 400


def test_the_handler_of_a_signal_talks_beside_the_request_that_it_interrupts(connect, handler, monkeypatch):
    """It runs in the thread that waits for an answer, so a lock of one owner would never be free again."""
    connection = connect()
    connection.log({"metrics": {"loss": 1.0}})
    receive = FrameStream.receive
    arrived: list[str] = []

    def interrupted(stream: FrameStream, *arguments: Any) -> Any:
        if threading.current_thread() is thread and not arrived:
            arrived.append("SIGTERM")
            connection.log({"metrics": {"loss": 3.0}})
            connection.close()
        return receive(stream, *arguments)

    def train() -> None:
        connection.log({"metrics": {"loss": 2.0}})
        connection.log({"metrics": {"loss": 4.0}})

    monkeypatch.setattr(FrameStream, "receive", interrupted)
    thread = threading.Thread(target=train, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert sorted(log["metrics"]["loss"] for log in handler.logs) == [1.0, 2.0, 3.0, 4.0]


# from Python 3.12 on, forking beside the server's threads is warned about; it is what DataLoader workers do
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_talks_over_a_connection_of_its_own(connect, handler):
    connection = connect()
    connection.request("log", metrics={"who": "parent"})

    def talk(who: str) -> bool:
        answers = [connection.request("start", defaults={"who": who, "turn": turn})["config"] for turn in range(300)]
        return answers == [{"who": who, "turn": turn} for turn in range(300)]

    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if talk("child") else 2
        finally:
            os._exit(code)
    assert talk("parent")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert talk("parent")
    assert len(handler.starts) == 900


def test_an_interrupted_wait_leaves_no_answer_behind_for_the_next_request(server, monkeypatch):
    release = threading.Event()

    class Slow(ScriptedHandler):
        def log(self, message):
            release.wait(10)
            return super().log(message)

    connection = Connection.from_environment(server.register("0007", Slow()))
    assert connection is not None

    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    connection.request("start", defaults={})
    with monkeypatch.context() as patch:
        patch.setattr(connection._link.stream, "receive", ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            connection.request("log", metrics={})
    release.set()
    assert connection.request("finish", state="finished") == {"ok": True}
    connection.close()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"LIGHTSWEEP_TOKEN": "guess"}, "the secret of this run is wrong"),
        ({"LIGHTSWEEP_RUN": "0008"}, "it does not serve this run"),
        ({"LIGHTSWEEP_RUN": "\ud800"}, "it does not serve this run"),
        ({"LIGHTSWEEP_CHANNEL": "/nowhere/s"}, "No such file"),
        ({"LIGHTSWEEP_CHANNEL": "tcp://127.0.0.1:9"}, "Connection refused"),
        ({"LIGHTSWEEP_CHANNEL": "tcp://127.0.0.1"}, "is not tcp://HOST:PORT"),
    ],
)
def test_a_client_that_does_not_belong_here_is_refused(connect, handler, changed, why):
    with pytest.raises(AgentLostError, match=f"gone .*{why}.*end this run"):
        connect(**changed).request("log", metrics={})
    assert handler.logs == []
    assert connect().request("log", metrics={})["iterations"] == 1


def test_a_server_that_does_not_know_the_secret_is_refused(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()

        def impostor() -> None:
            sock, _ = listener.accept()
            stream = FrameStream(sock)
            stream.send({"nonce": "n"})
            hello = stream.receive()
            assert hello is not None
            stream.send({"proof": hello["proof"]})
            assert stream.receive() is None
            stream.close()

        thread = threading.Thread(target=impostor)
        thread.start()
        with pytest.raises(AgentLostError, match="does not know this run's secret"):
            Connection(path, "0007", "secret").request("log", metrics={"private": 1})
        thread.join()


def test_when_the_server_goes_so_does_the_connection(handler):
    server = ChannelServer()
    connection = Connection.from_environment(server.register("0007", handler))
    assert connection is not None
    connection.request("log", metrics={})
    server.close()
    for _ in range(2):
        with pytest.raises(AgentLostError, match="run '0007' is gone"):
            connection.request("log", metrics={})


def test_an_answer_under_way_is_sent_though_the_run_is_released(server):
    entered, release = threading.Event(), threading.Event()

    class Slow(ScriptedHandler):
        def finish(self, message):
            entered.set()
            release.wait(10)
            return super().finish(message)

    connection = Connection.from_environment(server.register("0007", Slow()))
    assert connection is not None
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(connection.request("finish", state="finished")))
    thread.start()
    assert entered.wait(10)
    server.unregister("0007")
    release.set()
    thread.join()
    assert answers == [{"ok": True}]
    with pytest.raises(AgentLostError):
        connection.request("log", metrics={})


def test_a_request_that_waits_when_the_run_is_released_is_not_handled(server):
    entered, release = threading.Event(), threading.Event()

    class Slow(ScriptedHandler):
        def start(self, message):
            entered.set()
            release.wait(10)
            return super().start(message)

    handler = Slow()
    sock = authenticated(server, server.register("raw", handler))
    stream = FrameStream(sock)
    stream.send({"op": "start", "defaults": {}})
    stream.send({"op": "log", "metrics": {}})
    assert entered.wait(10)
    server.unregister("raw")
    release.set()
    assert stream.receive() is not None
    assert ends(sock)
    assert handler.logs == []
    stream.close()


@pytest.mark.parametrize("end", ["unregister", "close"])
def test_an_idle_connection_ends_with_the_service_to_its_run(server, connect, end):
    stream = connect().open()
    server.unregister("0007") if end == "unregister" else server.close()
    assert stream.receive() is None
    stream.close()


def test_a_script_that_closes_its_descriptors_goes_on_and_keeps_what_it_opened_then(server, tmp_path):
    """The numbers of the closed sockets belong to another file by then, which neither gets a message nor is closed."""
    source = """
        import os, lightsweep
        with lightsweep.init() as run:
            run.log({"val_loss": 1.0})
            os.closerange(3, 100)
            mine = [os.open("mine", os.O_CREAT | os.O_RDWR) for _ in range(9)]
            run.log({"val_loss": 0.5})
        print(os.path.getsize("mine"), all(map(os.fstat, mine)), flush=True)
        os._exit(0)
    """
    handler = ScriptedHandler()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        cwd=tmp_path,
        env={**os.environ, **server.register("0007", handler)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0 True\n", "")
    assert [log["metrics"] for log in handler.logs] == [{"val_loss": 1.0}, {"val_loss": 0.5}]
    assert [said["state"] for said in handler.finishes] == ["finished"]


def test_the_directory_of_a_killed_agent_is_removed_by_the_next_one(monkeypatch):
    above = Path(tempfile.mkdtemp(prefix="short-", dir="/tmp"))
    source = (
        "import time; from lightsweep.channel.server import ChannelServer; print(ChannelServer().path); time.sleep(60)"
    )
    monkeypatch.setattr("tempfile.tempdir", str(above))
    try:
        with subprocess.Popen(
            [sys.executable, "-uc", source], env={**os.environ, "TMPDIR": str(above)}, stdout=subprocess.PIPE, text=True
        ) as killed:
            assert killed.stdout is not None
            path = Path(killed.stdout.readline().strip())
            assert path.parent.parent == above
            with ChannelServer() as other:
                assert path.exists()  # that agent is alive
                killed.kill()
                killed.wait()
                with ChannelServer():
                    assert not path.parent.exists()
                    assert Path(other.path).exists()
        assert list(above.iterdir()) == []
    finally:
        shutil.rmtree(above)


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "too long": struct.pack("!I", MESSAGE_LIMIT + 1) + b"{" * (HANDSHAKE_LIMIT + 1),
    "no object": struct.pack("!I", 4) + b"null",
    "no text": struct.pack("!I", 4) + b"\xff\xfe\x00{",
    "deep": struct.pack("!I", 3000) + b"[" * 3000,
}
STRANGERS = {
    "nothing said": struct.pack("!I", 2) + b"{}",
    "no run": struct.pack("!I", 27) + b'{"run": ["0007"],"nonce":3}',
    "cut off": struct.pack("!I", 100) + b"{",
}


@pytest.mark.parametrize("host", [None], indirect=True)
@pytest.mark.parametrize("server", [2.0], indirect=True)
@pytest.mark.parametrize("junk", [*GARBAGE.values(), *STRANGERS.values()], ids=[*GARBAGE, *STRANGERS])
def test_garbage_before_the_handshake_ends_that_connection_only(raw, connect, junk):
    good = connect()
    good.request("log", metrics={})
    sock = raw()
    with contextlib.suppress(ConnectionError):  # the server may have read enough
        sock.sendall(junk)
    assert ends(sock)
    assert good.request("log", metrics={})["iterations"] == 2
    assert connect().request("log", metrics={})["iterations"] == 3


@pytest.mark.parametrize("host", [None], indirect=True)
@pytest.mark.parametrize("junk", GARBAGE.values(), ids=GARBAGE)
def test_garbage_after_the_handshake_ends_that_connection_only(server, connect, handler, junk):
    sock = authenticated(server, server.register("raw", handler))
    sock.sendall(junk)
    assert ends(sock)
    sock.close()
    assert connect().request("log", metrics={})["iterations"] == 1


@pytest.mark.parametrize("server", [2.0], indirect=True)
def test_who_says_nothing_or_dribbles_is_dropped_and_holds_up_nobody(raw, connect):
    silent, slow = raw(), raw()
    slow.sendall(struct.pack("!I", 100))
    dropped = False
    for _ in range(95):
        try:
            slow.sendall(b" ")
        except ConnectionError:
            dropped = True
            break
        connect().request("log", metrics={})
        time.sleep(0.05)
    assert dropped
    assert ends(silent)


def test_a_host_out_of_threads_refuses_a_connection_and_serves_the_next(server, connect, raw, monkeypatch, caplog):
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "lightsweep-peer":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert ends(raw())
        wait_until(lambda: not server._peers, "the server to forget the connection")
    assert "the channel cannot serve a connection: can't start new thread" in caplog.text
    assert connect().request("log", metrics={})["iterations"] == 1


def test_who_never_reads_does_not_keep_the_server_from_closing(server, handler):
    sock = authenticated(server, server.register("raw", handler))
    body = json.dumps({"op": "start", "defaults": {"x": "y" * 1_000_000}}).encode()
    sock.sendall(struct.pack("!I", len(body)) + body)
    time.sleep(0.05)
    server.close()
    sock.close()


def test_the_server_takes_no_notice_of_a_removed_directory():
    server = ChannelServer()
    Path(server.path).unlink()
    server.close()
    assert not Path(server.path).parent.exists()


messages = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(messages, max_size=5), st.integers(1, 50))
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent, piece):
    class Fake:
        def fileno(self) -> int:
            return 0

    class Recorder(Fake):
        data = b""

        def sendall(self, data: bytes) -> None:
            self.data += data

    class Player(Fake):
        def __init__(self, data: bytes) -> None:
            self.data = data

        def recv(self, size: int) -> bytes:
            count = min(piece, size)
            found, self.data = self.data[:count], self.data[count:]
            return found

    recorder = Recorder()
    writer = FrameStream(recorder)
    for message in sent:
        writer.send(message)
    reader = FrameStream(Player(recorder.data))
    received = []
    while (message := reader.receive()) is not None:
        received.append(message)
    assert repr(received) == repr(sent)


def test_a_stream_that_ends_inside_a_frame_is_a_fault():
    left, right = socket.socketpair()
    with left, right:
        left.sendall(struct.pack("!I", 10) + b"{")
        left.close()
        with pytest.raises(ChannelError, match="inside a frame"):
            FrameStream(right).receive()


def test_a_proof_depends_on_everything_that_goes_into_it():
    given = ("token", "client", "run", "a", "b")
    expected = proof(*given)
    assert is_proof(expected, proof(*given))
    for place in range(len(given)):
        assert not is_proof(expected, proof(*given[:place], "other", *given[place + 1 :]))
    for wrong in (None, 3, "", "ä", "\ud800"):
        assert not is_proof(wrong, expected)
