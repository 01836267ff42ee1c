"""Reports in shared memory: when the agent takes them, when it is woken, what is left at an end."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from lightsweep.channel import connection as channel_connection
from lightsweep.channel import slot as channel_slot
from lightsweep.channel.connection import Connection
from lightsweep.channel.frames import FrameStream
from lightsweep.channel.messages import LogReply, Numbers
from lightsweep.channel.server import ChannelServer
from lightsweep.channel.slot import SIZE, Mailbox, Slot, made_slot
from lightsweep.errors import AgentLostError, LightsweepError
from lightsweep.hyperband import Verdict
from scripted import ScriptedHandler

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux only")
WAIT = 20.0


class Counting(ScriptedHandler):
    """Counts what is logged; stops, refuses or waits when it is told to."""

    def __init__(self) -> None:
        super().__init__(next_band=None)
        self.found: list[float] = []
        self.stops = self.refuses = False
        self.gate = threading.Event()
        self.gate.set()

    def log(self, message: Mapping[str, Any]) -> LogReply:
        assert self.gate.wait(WAIT)
        if self.refuses:
            raise LightsweepError("no room for this")
        self.found += message["metrics"].values()
        return LogReply(Verdict(self.stops, "worse" if self.stops else ""), len(self.found), None)


@pytest.fixture
def server() -> Iterator[ChannelServer]:
    with ChannelServer() as found:
        yield found


@pytest.fixture
def handler() -> Counting:
    return Counting()


@pytest.fixture
def connection(server: ChannelServer, handler: Counting) -> Iterator[Connection]:
    found = Connection(*server.register("0007", handler).values())
    yield found
    found.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What this process has sent over sockets, by its operation."""
    found: list[Any] = []
    send, send_body = FrameStream.send, FrameStream.send_body
    here = threading.current_thread()

    def noted(stream: FrameStream, message: Mapping[str, Any]) -> None:
        if threading.current_thread() is here and "op" in message:
            found.append(message["op"])
        send(stream, message)

    def noted_body(stream: FrameStream, body: bytes) -> None:
        if threading.current_thread() is here and body.startswith(b'{"op":"post"'):
            found.append("post")
        send_body(stream, body)

    monkeypatch.setattr(FrameStream, "send", noted)
    monkeypatch.setattr(FrameStream, "send_body", noted_body)
    return found


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not met():
        assert time.monotonic() < end
        time.sleep(0.001)


def post(connection: Connection, value: float, **others: float) -> list[LogReply] | None:
    return connection.post(Numbers({"loss": value, **others}))


def slot_of(connection: Connection) -> Slot:
    slot = connection._link._slot
    assert slot is not None
    return slot


# --- the memory


@pytest.fixture
def pair() -> Iterator[tuple[Slot, Slot]]:
    """A slot as its agent and as its run has it."""
    made = made_slot()
    assert made is not None
    ours, descriptor = made
    theirs = Slot(descriptor)
    os.close(descriptor)
    yield ours, theirs
    theirs.close()
    ours.close()


def test_a_report_is_taken_once_and_the_next_is_left_when_it_is_settled(pair: tuple[Slot, Slot]) -> None:
    ours, theirs = pair
    assert theirs.settled
    assert ours.take() is None
    numbers = {"a": 1.0, "\n\0ä": math.inf, "b": 0.1, "c": -0.0}
    assert theirs.put(numbers)
    assert not theirs.settled
    assert not theirs.put({"a": 2.0})
    assert (ours.take(), ours.take()) == (numbers, None)
    assert not theirs.settled
    ours.settle()
    assert theirs.settled
    for others in ({"a": 2.0}, {}, {"a": 3.0, "b": 4.0}):
        assert theirs.put(others)
        assert ours.take() == others
        ours.settle()


def test_a_report_that_is_not_there_as_a_whole_is_not_taken(pair: tuple[Slot, Slot]) -> None:
    ours, theirs = pair
    theirs.put({"a": 1.0})
    theirs._memory[64:65] = b"w"  # as if this write came late
    assert ours.take() is None
    theirs._memory[64:65] = b"["
    assert ours.take() == {"a": 1.0}
    assert ours.settle()


def test_too_long_a_report_is_refused_and_the_memory_cannot_be_cut() -> None:
    made = made_slot()
    assert made is not None
    ours, descriptor = made
    assert not ours.put({str(number): 0.0 for number in range(SIZE // 8)})
    assert ours.settled
    for size in (0, 2 * SIZE):
        with pytest.raises(OSError, match="not permitted"):
            os.ftruncate(descriptor, size)
    os.close(descriptor)
    ours.close()


# --- between a run and its agent


def test_reports_in_quick_succession_send_nothing_and_wake_nobody(
    connection: Connection, handler: Counting, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_slot, "_WATCH_SECONDS", WAIT)
    for value in range(20):
        assert post(connection, float(value)) is None
        until(lambda: slot_of(connection).settled)
    assert handler.found == [float(value) for value in range(20)]
    assert sent == ["slot"]


def test_an_agent_that_has_ceased_to_look_is_woken(connection: Connection, handler: Counting, sent: list[Any]) -> None:
    post(connection, 1.0)
    until(lambda: slot_of(connection).settled and slot_of(connection).asleep)
    post(connection, 2.0)
    until(lambda: len(handler.found) == 2)
    assert sent == ["slot", "look"]


def test_a_report_just_before_the_agent_ceases_to_look_wakes_nobody(pair: tuple[Slot, Slot]) -> None:
    """The agent looks once more, and then again by itself: there is no message for its thread to read."""
    ours, theirs = pair
    taken: list[Any] = []
    waits: list[float | None] = []

    class Quiet:
        """A connection; its message comes when the agent sleeps until it is woken."""

        def waits(self, seconds: float | None) -> bool:
            waits.append(seconds)
            if seconds == 0.001 and not taken:
                assert theirs.asleep
                assert theirs.put({"loss": 1.0})
            return seconds is None or None in waits

    def answer(message: Mapping[str, Any]) -> dict[str, Any]:
        taken.append(message["metrics"])
        return {}

    stream: Any = Quiet()
    Mailbox(ours, stream, answer).wait()
    assert taken == [{"loss": 1.0}]
    assert waits.count(0.001) == 2
    assert None in waits
    assert theirs.settled


def test_a_report_before_the_agent_has_looked_waits_for_the_one_before(
    connection: Connection, handler: Counting, sent: list[Any]
) -> None:
    handler.gate.clear()
    post(connection, 1.0)
    threading.Timer(0.1, handler.gate.set).start()
    post(connection, 2.0)
    assert handler.gate.is_set()
    assert sent == ["slot", "collect"]
    for value in range(3, 100):
        assert post(connection, float(value)) is None
    assert connection.settle() == []
    assert handler.found == [float(value) for value in range(1, 100)]


def test_a_message_comes_after_the_report_before_it(connection: Connection, handler: Counting) -> None:
    for value in range(0, 100, 2):
        assert post(connection, float(value)) is None
        assert connection.log({"metrics": {"loss": value + 1.0}}).iterations == value + 2
    assert handler.found == [float(value) for value in range(100)]


def test_too_long_a_report_goes_over_the_socket_in_its_turn(connection: Connection, handler: Counting) -> None:
    many = {f"other{number}": 0.0 for number in range(5_000)}
    post(connection, 1.0)
    post(connection, 2.0, **many)
    post(connection, 3.0)
    connection.settle()
    assert [value for value in handler.found if value] == [1.0, 2.0, 3.0]


def test_a_verdict_and_an_error_come_with_the_next_report_which_is_not_sent(
    connection: Connection, handler: Counting
) -> None:
    post(connection, 1.0)
    connection.settle()
    handler.stops = True
    post(connection, 2.0)
    until(lambda: len(handler.found) == 2)
    replies = post(connection, 3.0)
    assert replies is not None
    assert [reply.verdict.reason for reply in replies] == ["worse"]
    handler.stops, handler.refuses = False, True
    assert post(connection, 4.0) is None
    with pytest.raises(LightsweepError, match="no room for this"):
        post(connection, 5.0)
    handler.refuses = False
    assert post(connection, 6.0) is None
    connection.settle()
    assert handler.found == [1.0, 2.0, 6.0]


def test_settle_waits_for_the_agent(connection: Connection, handler: Counting) -> None:
    post(connection, 1.0)
    connection.settle()
    handler.gate.clear()
    post(connection, 2.0)
    threading.Timer(0.2, handler.gate.set).start()
    connection.settle()
    assert handler.found == [1.0, 2.0]


def test_an_agent_that_is_gone_is_noticed_by_the_next_report(connection: Connection, server: ChannelServer) -> None:
    post(connection, 1.0)
    connection.settle()
    server.unregister("0007")
    with pytest.raises(AgentLostError):
        for value in (2.0, 3.0):
            post(connection, value)


@pytest.mark.parametrize(
    ("body", "check", "why"),
    [
        (b'["a"]\n1234567', None, "the report in shared memory cannot be read"),
        (b'["a"]\n', None, "the report in shared memory cannot be read"),
        (b"7\n", None, "the report in shared memory cannot be read"),
        (b"\xff", None, "the report in shared memory cannot be read"),
        (b"[]\n", 7, "the report in shared memory is damaged"),
    ],
)
def test_what_is_no_report_is_told_to_the_run_which_goes_on(
    connection: Connection, handler: Counting, body: bytes, check: int | None, why: str
) -> None:
    post(connection, 1.0)
    connection.settle()
    slot = slot_of(connection)
    slot._memory[64 : 64 + len(body)] = body
    slot._head[channel_slot._CHECK] = check or crc32(body) << 32 | len(body)
    slot._head[channel_slot._WRITTEN] += 1
    with pytest.raises(LightsweepError, match=why):
        connection.settle()
    assert post(connection, 2.0) is None
    connection.settle()
    assert handler.found == [1.0, 2.0]


@pytest.fixture
def abandoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Slot]]:
    """Slots that are not closed, since the script has closed all of its descriptors."""
    found: list[Slot] = []
    monkeypatch.setattr(channel_connection, "_ABANDONED", found)
    yield found
    for slot in found:
        slot.close()


def close_descriptor(connection: Connection) -> None:
    """Close the connection behind its back, as a script does that closes all descriptors."""
    stream = connection._link.stream
    assert stream is not None
    os.close(stream._sock.fileno())


def test_a_script_that_closes_its_descriptors_again_and_again_loses_no_report(
    connection: Connection, handler: Counting, abandoned: list[Slot]
) -> None:
    for value in range(50):
        post(connection, float(value))
        close_descriptor(connection)
    assert connection.settle() == []
    assert handler.found == [float(value) for value in range(50)]


@pytest.mark.parametrize("left", [False, True])
def test_a_report_after_the_agent_has_left_goes_over_a_new_connection(
    connection: Connection, handler: Counting, abandoned: list[Slot], monkeypatch: pytest.MonkeyPatch, left: bool
) -> None:
    """Whether the run knows already that the agent has left, or finds that out before its next report."""
    post(connection, 0.0)
    connection.settle()
    slot = slot_of(connection)
    close_descriptor(connection)
    until(lambda: slot._head[channel_slot._ASLEEP] == channel_slot._LEFT)
    with monkeypatch.context() as patch:
        if not left:
            patch.setattr(Slot, "asleep", False)
        post(connection, 1.0)
    assert len(abandoned) == left
    post(connection, 2.0)
    assert connection.settle() == []
    assert handler.found == [0.0, 1.0, 2.0]
    assert abandoned == [slot]


def test_what_the_agent_took_while_it_left_is_not_sent_again(
    connection: Connection, handler: Counting, abandoned: list[Slot]
) -> None:
    post(connection, 0.0)
    connection.settle()
    handler.gate.clear()
    post(connection, 1.0)
    close_descriptor(connection)
    threading.Timer(0.2, handler.gate.set).start()
    post(connection, 2.0)
    assert connection.settle() == []
    assert handler.found == [0.0, 1.0, 2.0]


def test_where_there_is_no_such_memory_the_socket_serves(
    connection: Connection, handler: Counting, sent: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", forbidden)
    post(connection, 1.0)
    post(connection, 2.0)
    connection.settle()
    assert handler.found == [1.0, 2.0]
    assert sent == ["slot", "post", "post"]


def test_over_tcp_there_is_none(handler: Counting, sent: list[Any]) -> None:
    with ChannelServer(host="localhost") as server:
        connection = Connection(*server.register("0007", handler).values())
        post(connection, 1.0)
        connection.settle()
        connection.close()
    assert sent == ["post"]
    assert handler.found == [1.0]


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_what_a_process_leaves_before_its_end_is_taken(server: ChannelServer, handler: Counting, end: str) -> None:
    script = textwrap.dedent(
        f"""
        import os
        from lightsweep.channel.connection import Connection
        from lightsweep.channel.messages import Numbers
        connection = Connection.from_environment()
        for value in (1.0, 2.0, 3.0):
            connection.post(Numbers(loss=value))
        {end}
        """
    )
    environment = {**os.environ, **server.register("0007", handler)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode in (0, -signal.SIGKILL)
    server.drain("0007")
    assert handler.found == [1.0, 2.0, 3.0]


def test_what_is_left_after_the_run_was_given_up_is_not_taken(
    connection: Connection, handler: Counting, server: ChannelServer
) -> None:
    post(connection, 1.0)
    connection.settle()
    until(lambda: slot_of(connection).asleep)
    slot_of(connection).put({"loss": 2.0})
    server.unregister("0007")
    connection.close()
    server.close()
    assert handler.found == [1.0]


def test_no_descriptor_and_no_memory_is_left(server: ChannelServer, handler: Counting) -> None:
    def held() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text().count("memfd:lightsweep")
        return maps, len(list(Path("/proc/self/fd").iterdir()))

    def talk() -> None:
        connection = Connection(*server.register("0007", handler).values())
        post(connection, 1.0)
        connection.close()
        server.drain("0007")
        server.unregister("0007")

    talk()
    before = held()
    for _ in range(5):
        talk()
    until(lambda: held() <= before)


def test_a_child_that_has_closed_all_descriptors_closes_no_file_that_it_opened_then(
    server: ChannelServer, handler: Counting, tmp_path: Path
) -> None:
    """As a daemon does: the numbers of its parent's connection and memory belong to other files by then."""
    source = """
        import os, lightsweep
        run = lightsweep.init()
        run.log({"val_loss": 1.0})
        child = os.fork()
        if child == 0:
            os.closerange(3, 100)
            mine = [os.open("mine", os.O_CREAT | os.O_RDWR) for _ in range(9)]
            run.log({"val_loss": 0.5})
            here = os.stat("mine").st_ino
            print([os.fstat(number).st_ino == here for number in mine].count(True), os.path.getsize("mine"), flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        run.finish()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        cwd=tmp_path,
        env={**os.environ, **server.register("0007", handler)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("9 0\n", "")
    assert handler.found == [1.0, 0.5]
