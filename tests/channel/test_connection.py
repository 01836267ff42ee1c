"""Posted logs: their order, when the run waits for the agent, and what it is told later."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lightsweep.channel.connection import Connection
from lightsweep.channel.messages import LogReply, Numbers
from lightsweep.channel.server import ChannelServer
from lightsweep.errors import AgentLostError, LightsweepError
from lightsweep.hyperband import Verdict
from scripted import ScriptedHandler

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


def post(connection: Connection, value: float) -> list[LogReply] | None:
    return connection.post(Numbers({"loss": value}))


def test_a_message_comes_after_the_posts_before_it(connection: Connection, handler: Counting) -> None:
    for value in range(0, 99, 3):
        assert post(connection, float(value)) is None
        assert post(connection, value + 1.0) is None
        assert connection.log({"metrics": {"loss": value + 2.0}}).iterations == value + 3
    assert handler.found == [float(value) for value in range(99)]


def test_one_reply_at_most_is_left(connection: Connection, handler: Counting) -> None:
    handler.gate.clear()
    post(connection, 1.0)
    threading.Timer(0.3, handler.gate.set).start()
    post(connection, 2.0)
    assert handler.gate.is_set()


def test_a_verdict_and_an_error_come_with_the_next_post_which_is_not_sent(
    connection: Connection, handler: Counting
) -> None:
    handler.stops = True
    post(connection, 1.0)
    replies = post(connection, -1.0)
    assert replies is not None
    assert [reply.verdict.reason for reply in replies] == ["worse"]
    handler.stops, handler.refuses = False, True
    assert post(connection, 2.0) is None
    with pytest.raises(LightsweepError, match="no room for this"):
        post(connection, -1.0)
    handler.refuses = False
    assert post(connection, 3.0) is None
    connection.settle()
    assert handler.found == [1.0, 3.0]


def test_settle_waits_for_the_agent(connection: Connection, handler: Counting) -> None:
    handler.gate.clear()
    post(connection, 1.0)
    threading.Timer(0.2, handler.gate.set).start()
    connection.settle()
    assert handler.found == [1.0]


def test_an_agent_that_is_gone_is_noticed_by_the_next_posts(connection: Connection, server: ChannelServer) -> None:
    post(connection, 1.0)
    connection.settle()
    server.unregister("0007")
    end = time.monotonic() + WAIT
    with pytest.raises(AgentLostError):
        while time.monotonic() < end:
            post(connection, 2.0)


def test_what_a_process_posts_before_its_end_is_taken(server: ChannelServer, handler: Counting) -> None:
    variables = server.register("0008", handler)
    if (child := os.fork()) == 0:
        post(Connection(*variables.values()), 1.0)
        os._exit(0)
    os.waitpid(child, 0)
    server.drain("0008")
    assert handler.found == [1.0]
