"""``lightsweep logs``: the output of runs and agents."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sandboxes import Sandbox

TALKING = """
    import time, lightsweep
    with lightsweep.init() as run:
        print("hello from", run.number, "x", run.config.x)
        run.log({"loss": 1.0})
    """


@pytest.fixture
def ended(sandbox: Sandbox) -> str:
    sweep_id = sandbox.sweep(TALKING)
    assert sandbox.call("agent", sweep_id).returncode == 0
    return sweep_id


def test_the_output_of_a_run(sandbox: Sandbox, ended: str) -> None:
    for name in ("0002", "2", f"{ended}/0002", f"{ended}-0002"):
        done = sandbox.ask("logs", ended, name)
        assert (done.returncode, done.stdout, done.stderr) == (0, "hello from 0002 x 2\n", "")
    assert sandbox.ask("logs", ended, "0002", "-f").stdout == "hello from 0002 x 2\n"


def test_a_run_that_does_not_exist(sandbox: Sandbox, ended: str) -> None:
    done = sandbox.ask("logs", ended, "0020")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: sweep {ended} has no run '0020'; its runs are 0001 to 00" in done.stderr


def test_a_run_that_printed_nothing_says_so(sandbox: Sandbox, ended: str) -> None:
    path = sandbox.directory / "lightsweep_runs" / ended / "0001" / "output.log"
    path.write_bytes(b"")
    assert sandbox.ask("logs", ended, "1").stderr == f"{path} is empty: nothing was printed\n"


def test_a_run_without_output_says_why(sandbox: Sandbox, ended: str) -> None:
    directory = sandbox.directory / "lightsweep_runs" / ended / "0001"
    (directory / "output.log").unlink()
    done = sandbox.ask("logs", ended, "0001")
    assert done.returncode == 2
    assert f"run 0001 has no output.log in {directory}" in done.stderr
    shutil.rmtree(directory)
    told = sandbox.ask("logs", ended, "0001").stderr
    assert "the output of run 0001 is not on this host; it is in " in told
    assert f":{directory}/output.log" in told


def test_a_running_run_is_followed_to_its_end(sandbox: Sandbox) -> None:
    script = """
        import os, time, lightsweep
        with lightsweep.init() as run:
            print("begun", flush=True)
            while not os.path.exists("go"):
                time.sleep(0.05)
            run.log({"loss": 1.0})
            print("done")
        """
    sweep_id = sandbox.sweep(script)
    agent = sandbox.follow("agent", sweep_id, "--count", "1")
    agent.until("begun")
    logs = sandbox.follow("logs", sweep_id, "0001", "--follow")
    logs.until("begun")
    assert "done" not in logs.said
    (sandbox.directory / "go").touch()
    assert logs.end() == (0, "begun\ndone\n")
    agent.end()


def test_the_output_of_an_agent(sandbox: Sandbox, ended: str) -> None:
    home: Path = sandbox.directory / "lightsweep_runs" / ended
    (home / "slurm-12_0.out").write_text("run 0001 started\n")
    (home / "agent-3fa2b1.log").write_text("the other agent\n")
    assert sandbox.ask("logs", ended, "12_0").stdout == "run 0001 started\n"
    assert sandbox.ask("logs", ended, "agent-3fa2b1").stdout == "the other agent\n"
    assert sandbox.ask("logs", ended, "12_0", "-f").returncode == 0  # it has ended


def test_the_reader_of_a_pipe_may_leave(sandbox: Sandbox, ended: str) -> None:
    path = sandbox.directory / "lightsweep_runs" / ended / "0001" / "output.log"
    path.write_bytes(b"line\n" * 200_000)
    words = [sys.executable, "-m", "lightsweep", "logs", ended, "0001"]
    with subprocess.Popen(
        words, cwd=sandbox.directory, env=sandbox.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as logs:
        assert logs.stdout is not None
        assert logs.stderr is not None
        assert logs.stdout.readline() == b"line\n"
        logs.stdout.close()
        assert (logs.wait(60), logs.stderr.read()) == (0, b"")
