"""Processes that left the group of their run, and those of an agent that was killed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sandboxes import wait_until

from lightsweep.agents import reaper
from lightsweep.agents.launchers.process import RunProcess
from lightsweep.agents.reaper import MARK
from lightsweep.channel.connection import ENVIRONMENT

LAUNCHER = """
import os, signal, subprocess, sys, time
# one write for each worker, since they share a file
worker = "import os, signal, sys, time; {worker}; os.write(1, b'%d\\\\n' % os.getpid()); time.sleep(180)"
for _ in range(2):
    subprocess.Popen([sys.executable, "-c", worker], start_new_session=True)
{then}
"""
PAIR = """
import os, socket, subprocess, sys, time
ends = socket.socketpair()
for end in ends:
    tell = "os.write(1, b'%d\\\\n' % os.getpid())"
    wait = f"socket.socket(fileno={end.fileno()}).recv(1); os.write(1, b'alone\\\\n')"
    source = f"import os, socket; {tell}; {wait}"
    subprocess.Popen([sys.executable, "-c", source], start_new_session=True, pass_fds=[end.fileno()])
for end in ends:
    end.close()
time.sleep(180)
"""
WAIT = "time.sleep(180)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.fixture
def token() -> Iterator[str]:
    """The token of a run, of which nothing may be left after the test."""
    made = secrets.token_hex(32)
    yield made
    left = found({made})
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def found(tokens: set[str]) -> list[int]:
    """The numbers of the processes with one of these tokens."""
    return [process.pid for process in reaper.marked(tokens)]


def launch(directory: Path, token: str, worker: str = "0", then: str = WAIT) -> tuple[RunProcess, list[int]]:
    """A run whose main process has started two workers in sessions of their own; their numbers."""
    return begin(directory, token, LAUNCHER.format(worker=worker, then=then))


def begin(directory: Path, token: str, source: str) -> tuple[RunProcess, list[int]]:
    """A run whose two workers write their numbers; those."""
    output = directory / "output.log"
    process = RunProcess([sys.executable, "-c", source], {**os.environ, MARK: token}, output)
    wait_until(lambda: output.read_text().count("\n") == 2, "two workers")
    return process, [int(line) for line in output.read_text().split()]


def test_the_mark_is_what_the_channel_calls_it() -> None:
    assert ENVIRONMENT[-1] == MARK


def test_who_has_the_mark(tmp_path: Path, token: str) -> None:
    process, workers = launch(tmp_path, token)
    try:
        assert sorted(found({token})) == sorted([process.pid, *workers])
        assert found({secrets.token_hex(32)}) == found(set()) == []
        assert sorted(found({"another", token})) == sorted([process.pid, *workers])
    finally:
        process.kill()
        process.wait()
    assert found({token}) == []


@pytest.mark.parametrize("worker", ["0", DEAF])
def test_workers_in_sessions_of_their_own_are_gone_with_a_launcher_that_was_killed(
    tmp_path: Path, token: str, worker: str
) -> None:
    process, _ = launch(tmp_path, token, worker)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait().exit_code == -signal.SIGKILL
    assert found({token}) == []


def test_they_are_asked_before_they_are_killed(tmp_path: Path, token: str) -> None:
    save = "signal.signal(15, lambda *_: (os.write(1, b'saved\\\\n'), os._exit(0)))"
    process, _ = launch(tmp_path, token, save)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (tmp_path / "output.log").read_text().split()[2:] == ["saved"] * 2


def test_they_are_killed_with_their_run(tmp_path: Path, token: str) -> None:
    process, _ = launch(tmp_path, token, DEAF, f"{DEAF}; {WAIT}")
    process.kill()
    wait_until(lambda: not found({token}), "all to end")
    assert process.wait().exit_code == -signal.SIGKILL


def test_none_goes_on_after_another_was_killed(tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    send = psutil.Process.send_signal

    def slowly(process: psutil.Process, number: int) -> None:
        send(process, number)
        if number == signal.SIGKILL:
            time.sleep(0.3)

    monkeypatch.setattr(psutil.Process, "send_signal", slowly)
    process, workers = begin(tmp_path, token, PAIR)
    process.kill()
    process.wait()
    assert (tmp_path / "output.log").read_text().split() == [str(worker) for worker in workers]


def test_they_are_killed_once_the_grace_is_over(tmp_path: Path, token: str) -> None:
    process, _ = launch(tmp_path, token, DEAF)
    process.terminate(0.3)
    assert process.wait().exit_code == -signal.SIGTERM
    assert found({token}) == []


def test_a_run_beside_it_and_one_below_it_are_left_alone(tmp_path: Path, token: str) -> None:
    """A sweep inside of a run: its runs have tokens of their own."""
    with subprocess.Popen(["sleep", "180"], env={**os.environ, MARK: secrets.token_hex(32)}) as other:
        process, _ = launch(tmp_path, token)
        process.kill()
        process.wait()
        assert other.poll() is None
        other.kill()


def test_an_agent_inside_of_a_run_is_not_taken_for_one_of_its_own_runs(
    tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["sleep", "180"], env={**os.environ, MARK: token}) as sibling:
        monkeypatch.setenv(MARK, token)
        RunProcess([sys.executable, "-c", "pass"], dict(os.environ), tmp_path / "output.log").wait()
        assert sibling.poll() is None
        sibling.kill()


def test_processes_that_cannot_be_read_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(process: psutil.Process) -> dict[str, str]:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "environ", refuse)
    assert found({"token"}) == []
