"""Reports between bands do not wait for their answer; it is read by the next call, and at the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lightsweep.channel.connection import Connection
from lightsweep.channel.messages import LogReply, StartRequest
from lightsweep.channel.server import ChannelServer
from lightsweep.client.history import read_history
from lightsweep.client.run import Run
from lightsweep.errors import AgentLostError, LightsweepError, RunPruned
from lightsweep.hyperband import Verdict
from lightsweep.integrations._checkpoints import keep
from scripted import ScriptedHandler

WAIT = 20.0


class Gated(ScriptedHandler):
    """Counts iterations as an agent does; answers each log once it is let through, if it is told to hold it."""

    def __init__(self, bands: tuple[int, ...] = (), *, stop_at: int | None = None, **answer: Any) -> None:
        super().__init__(next_band=min(bands, default=None), **answer)
        self.bands = bands
        self.stops_at = stop_at
        self.gate = threading.Event()
        self.gate.set()
        self.fails = False
        self.iterations = 0

    def log(self, message: Mapping[str, Any]) -> LogReply:
        super().log(message)
        assert self.gate.wait(WAIT)
        if self.fails:
            raise LightsweepError("no room for this")
        if message.get("late"):
            self.stops_at = None
        self.iterations += "val_loss" in message["metrics"]
        stop = self.stops_at is not None and self.iterations >= self.stops_at and not message.get("last")
        following = min((band for band in self.bands if band > self.iterations), default=None)
        return LogReply(Verdict(stop, "worse" if stop else ""), self.iterations, following)


@pytest.fixture
def begin(server: ChannelServer, tmp_path: Path) -> Iterator[Any]:
    """Begin a run of this process that a handler serves over a socket."""
    connections = []

    def begun(handler: Gated) -> Run:
        connection = Connection(*server.register("0007", handler).values())
        connections.append(connection)
        (tmp_path / "run").mkdir()
        handler.extra.setdefault("dir", str(tmp_path / "run"))
        return Run(connection, connection.start(StartRequest(defaults={})), {})

    yield begun
    for connection in connections:
        connection.close()


def values(handler: ScriptedHandler) -> list[float]:
    return [log["metrics"]["val_loss"] for log in handler.logs if "val_loss" in log["metrics"]]


def test_a_report_below_a_band_does_not_wait_and_one_at_a_band_does(begin: Any) -> None:
    handler = Gated((3,), stop_at=3)
    run = begin(handler)
    handler.gate.clear()
    run.log({"val_loss": 1.0})  # nobody answers
    assert run.iterations == 1
    handler.gate.set()
    run.log({"val_loss": 2.0})
    with pytest.raises(RunPruned, match="worse"):
        run.log({"val_loss": 3.0})
    assert values(handler) == [1.0, 2.0, 3.0]
    run.finish()
    assert [message["state"] for message in handler.finishes] == ["pruned"]


def test_a_verdict_between_bands_comes_with_the_next_log_which_is_not_sent(begin: Any) -> None:
    handler = Gated(stop_at=2)
    run = begin(handler)
    run.log({"val_loss": 1.0})
    run.log({"val_loss": 2.0})
    with pytest.raises(RunPruned, match="worse"):
        run.log({"val_loss": 3.0})
    with pytest.raises(RunPruned, match="worse"):
        run.log({"other": 4.0})
    run.close(RunPruned("worse"))
    assert values(handler) == [1.0, 2.0]
    assert [row["val_loss"] for row in read_history([run.dir])] == [1.0, 2.0]
    assert [message["state"] for message in handler.finishes] == ["pruned"]


@pytest.mark.parametrize("error", [None, ValueError("bad")])
def test_a_verdict_first_read_at_the_end_changes_nothing_of_it(begin: Any, error: Exception | None) -> None:
    handler = Gated(stop_at=2)
    run = begin(handler)
    run.log({"val_loss": 1.0})
    run.log({"val_loss": 2.0})
    run.summary["accuracy"] = 0.9
    run.close(error)
    assert [message["state"] for message in handler.finishes] == ["failed" if error else "finished"]
    late = {"metrics": {}, "late": True}
    assert handler.logs[2:] == ([late] if error else [late, {"metrics": {"accuracy": 0.9}, "last": True}])


def test_an_error_comes_with_the_next_log_or_fails_the_run_at_its_end(begin: Any, capsys: Any) -> None:
    handler = Gated()
    run = begin(handler)
    handler.fails = True
    run.log({"val_loss": 1.0})
    with pytest.raises(LightsweepError, match="no room for this"):
        run.log({"val_loss": 2.0})
    run.log({"val_loss": 3.0})
    run.close(None)
    assert values(handler) == [1.0, 3.0]
    assert [(message["state"], message["error"]) for message in handler.finishes] == [("failed", "no room for this")]
    assert capsys.readouterr().err == "lightsweep: no room for this\n"


def test_a_log_that_learns_of_a_band_at_its_iteration_waits_for_the_verdict(begin: Any) -> None:
    handler = Gated(stop_at=2)
    run = begin(handler)
    handler.bands = (2,)
    run.log({"val_loss": 1.0})
    with pytest.raises(RunPruned):
        run.log({"val_loss": 2.0})
    assert values(handler) == [1.0, 2.0]
    assert [row["val_loss"] for row in read_history([run.dir])] == [1.0, 2.0]


def test_a_checkpoint_is_kept_once_the_agent_has_the_reports(begin: Any, server: ChannelServer) -> None:
    handler = Gated()
    run = begin(handler)
    made = Path(run.dir, "resume-1")
    made.touch()
    handler.gate.clear()
    run.log({"val_loss": 1.0})
    threading.Timer(0.3, handler.gate.set).start()
    keep(run, made)
    assert handler.gate.is_set()
    assert Path(run.dir, "resume").exists()
    server.unregister("0007")
    with pytest.raises(AgentLostError):
        run.verdict()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # from Python 3.12 on
def test_a_forked_child_leaves_the_answer_to_its_parent(begin: Any) -> None:
    handler = Gated(stop_at=1)
    run = begin(handler)
    run.log({"val_loss": 1.0})
    child = os.fork()
    if child == 0:
        os._exit(3 if run.known_verdict.stop else 42)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    assert run.known_verdict.stop


def test_threads_take_turns_and_no_answer_is_lost(begin: Any) -> None:
    handler = Gated()
    run = begin(handler)

    def train(thread: int) -> None:
        for number in range(50):
            run.log({"val_loss": 100.0 * thread + number})

    threads = [threading.Thread(target=train, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.settle()
    assert run.iterations == 200
    found = values(handler)
    assert [[value for value in found if value // 100 == number] for number in range(4)] == [
        [100.0 * number + step for step in range(50)] for number in range(4)
    ]
