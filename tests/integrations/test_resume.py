"""A run that is killed with its agent continues under another agent, and counts no iteration twice."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from contextlib import suppress
from typing import Any

import pytest
from launches import SCRIPTS, processes_of
from sandboxes import PATIENCE_SECONDS, Sandbox, wait_until

import lightsweep

pytestmark = pytest.mark.slow

STEPS = 32


def sweep(sandbox: Sandbox, trainer: str, every: float, retries: int = 1) -> str:
    config = {
        "program": str(SCRIPTS / "resuming.py"),
        "method": "random",
        "run_cap": 1,
        "metric": {"name": "eval_loss"},
        "early_terminate": {"type": "hyperband", "min_iter": 2},
        "parameters": {"trainer": {"value": trainer}, "every": {"value": every}},
        "lightsweep": {"lease": 2, "max_retries": retries},
    }
    return lightsweep.Sweep.create(config, storage=sandbox.storage).id


def run_of(sandbox: Sandbox, sweep_id: str) -> Any:
    (run,) = sandbox.runs(sweep_id)
    return run


def killed_after(sandbox: Sandbox, sweep_id: str, iterations: int) -> None:
    """Start an agent; kill it and its run once there are so many iterations, and the checkpoint of the last one."""
    (sandbox.directory / "halt").write_text(str(iterations))
    agent = sandbox.start("agent", sweep_id, "--storage", sandbox.storage)
    seen = lightsweep.Sweep.load(sweep_id, storage=sandbox.storage)
    wait_until(lambda: [run.iterations for run in seen.runs] == [iterations], "iterations", PATIENCE_SECONDS)
    # A checkpoint is kept after the report; a run that is killed in between continues from the one before.
    wait_until((sandbox.directory / "halted").exists, "the script to halt", PATIENCE_SECONDS)
    agent.kill()
    for pid in processes_of("0001"):  # those of other tests, which run beside this one, too
        with suppress(OSError):  # it may end meanwhile
            if os.path.samefile(f"/proc/{pid}/cwd", sandbox.directory):  # noqa: PTH121 - a link of /proc
                os.kill(pid, signal.SIGKILL)
    agent.wait()
    (sandbox.directory / "halt").unlink()
    (sandbox.directory / "halted").unlink()


@pytest.mark.parametrize(
    ("trainer", "every"),
    [("lightning", 0.5), ("transformers", 1)],
)
def test_a_run_that_was_killed_goes_on_where_it_was(sandbox: Sandbox, trainer: str, every: float) -> None:
    undisturbed = sweep(sandbox, trainer, every)
    assert sandbox.call("agent", undisturbed, "--storage", sandbox.storage).returncode == 0
    expected = run_of(sandbox, undisturbed)
    assert expected.iterations == round(STEPS / 4 / every)

    sweep_id = sweep(sandbox, trainer, every)
    iterations = random.Random(trainer + str(every)).randint(2, expected.iterations - 2)
    killed_after(sandbox, sweep_id, iterations)
    time.sleep(2.5)
    second = sandbox.call("agent", sweep_id, "--storage", sandbox.storage)
    assert second.returncode == 0, second.stdout
    run = run_of(sandbox, sweep_id)
    output = (sandbox.directory / "lightsweep_runs" / sweep_id / run.id / "output.log").read_text()
    assert (run.state, run.attempt) == ("finished", 2), output
    assert run.iterations == expected.iterations, output
    assert run.history == pytest.approx(expected.history, rel=1e-3)
    steps = int(re.findall(r"steps (\d+)", output)[-1])
    assert steps < STEPS, "it began anew"
    home = sandbox.directory / "lightsweep_runs" / sweep_id / run.id
    assert not [path.name for path in home.iterdir() if path.name.startswith(("resume", "checkpoint"))]
