"""Signals to an agent that calls a function in its own process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from sandboxes import PATIENCE_SECONDS, Sandbox, wait_until

WORK = """
    import signal, sys, time
    from pathlib import Path
    import lightsweep

    def train():
        with lightsweep.init() as run:
            run.log({"loss": 1.0})
            Path("begun").touch()
            if "finish" in sys.argv:
                return
            time.sleep(180)

    if "own" in sys.argv:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    lightsweep.agent(sys.argv[1], function=train, count=1)
    print("after", flush=True)
    """


def start(sandbox: Sandbox, *words: str, sweep_id: str = "") -> tuple[str, subprocess.Popen[str]]:
    """The id of a sweep, and an agent that calls the function."""
    sweep_id = sweep_id or sandbox.sweep(program=None, parameters={"x": {"values": [1]}})
    agent = subprocess.Popen(
        [sys.executable, "-u", str(sandbox.write("work.py", WORK)), sweep_id, *words],
        cwd=sandbox.directory,
        env=sandbox.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until(Path(sandbox.directory, "begun").exists, "the function to be called")
    return sweep_id, agent


def test_a_signal_gives_the_run_back_at_once_and_ends_the_process_as_ever(sandbox: Sandbox) -> None:
    sweep_id, agent = start(sandbox)
    with agent:
        agent.terminate()
        out, _ = agent.communicate(timeout=PATIENCE_SECONDS)
    assert agent.returncode == -signal.SIGTERM
    assert "run 0001 lost: ended from outside by SIGTERM" in out
    assert f"agent of sweep {sweep_id} ended: the agent was told to end (SIGTERM)" in out
    assert "after" not in out
    (run,) = sandbox.runs(sweep_id)
    assert (run.state, run.reason) == ("killed", "ended from outside by SIGTERM")
    _, again = start(sandbox, "finish", sweep_id=sweep_id)
    assert "run 0001 started (attempt 2)" in again.communicate(timeout=PATIENCE_SECONDS)[0], "no lease is waited for"


def test_a_handler_of_the_program_is_left_alone(sandbox: Sandbox) -> None:
    _, agent = start(sandbox, "own")
    with agent:
        agent.terminate()
        out, _ = agent.communicate(timeout=PATIENCE_SECONDS)
    assert "run 0001 failed: exit code 3" in out
    assert agent.returncode == 0
