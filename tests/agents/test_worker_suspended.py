"""Agents that were suspended for longer than a lease, as on a closed laptop, take no run from each other."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from sandboxes import Sandbox, wait_until

TRAIN = """
import pathlib, time, lightsweep
with lightsweep.init() as run:
    while not pathlib.Path("end").exists():
        time.sleep(0.1)
    run.log({"loss": run.config.x})
"""
LEASE = 4.0


@pytest.mark.slow
def test_agents_that_were_suspended_together_keep_their_runs(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(TRAIN, parameters={"x": {"values": [1, 2]}}, lightsweep={"lease": LEASE})
    agents = [sandbox.start("agent", sweep_id, "--stay", stdout=subprocess.DEVNULL) for _ in range(4)]
    wait_until(lambda: [run.state for run in sandbox.runs(sweep_id)] == ["running"] * 2, "both runs to begin", 120)
    time.sleep(LEASE / 2)  # the agents without a run look for lost ones
    for _ in range(2):
        for agent in agents:
            os.kill(agent.pid, signal.SIGSTOP)
        time.sleep(1.5 * LEASE)
        for agent in agents:
            os.kill(agent.pid, signal.SIGCONT)
        time.sleep(LEASE / 2)
    assert [(run.state, run.attempt) for run in sandbox.runs(sweep_id)] == [("running", 1)] * 2
    (sandbox.directory / "end").touch()
    assert [agent.wait(120) for agent in agents] == [0] * 4
    assert [(run.state, run.attempt) for run in sandbox.runs(sweep_id)] == [("finished", 1)] * 2
