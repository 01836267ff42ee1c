"""A real database goes away during a run of a real agent: training continues, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sandboxes import Sandbox, wait_until
from storm import database

from lightsweep import Sweep
from lightsweep.controller.reports import PATIENCE_SECONDS

SECONDS = float(os.environ.get("LIGHTSWEEP_OUTAGE_SECONDS", "6"))
HANGING_SECONDS = 200.0
INTERVAL_SECONDS = 0.05
NO_ANSWER = "the storage does not answer"
LONGEST_WAIT_SECONDS = 2.0
"""Far above the milliseconds that a report takes, and far below an outage: machines that run tests are busy. At the
first band at which a database hangs, which is no refusal, training waits PATIENCE_SECONDS more, once. How much later
the same machine let a thread run that only slept is taken off."""

# Each report is better than the one before, so no band stops the run.
SCRIPT = f"""
import json, sys, time
from pathlib import Path
import lightsweep
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from sandboxes import Lateness

waits, late = [], Lateness()
with late, lightsweep.init() as run:
    while not Path("enough").exists():
        began, before = time.monotonic(), late.seconds
        run.log({{"loss": -float(len(waits))}})
        waits.append(time.monotonic() - began - (late.seconds - before))
        Path("begun").touch()
        time.sleep({INTERVAL_SECONDS})
Path("waits.json").write_text(json.dumps(waits))
"""


@pytest.mark.slow
@pytest.mark.timeout(600 + 2 * SECONDS)
@pytest.mark.parametrize("hang", [False, True], ids=["stops", "hangs"])
def test_the_database_stops_in_the_middle_of_a_run(sandbox: Sandbox, hang: bool) -> None:
    home = sandbox.directory
    sandbox.write("train.py", SCRIPT)
    with database() as (url, restart):
        sweep = Sweep.create(
            {
                "program": "train.py",
                "method": "grid",
                "metric": {"name": "loss"},
                # Bands at 5, 10, 20, ...: some are reached while the database is away.
                "early_terminate": {"type": "hyperband", "min_iter": 5, "eta": 2},
                "parameters": {"x": {"values": [1]}},
            },
            storage=url,
        )
        command = [sys.executable, "-m", "lightsweep", "agent", sweep.id, "--storage", url]
        with (home / "agent.log").open("wb") as log:
            agent = subprocess.Popen(command, cwd=home, env=sandbox.environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: (home / "begun").exists() or agent.poll() is not None, "the first report")
            time.sleep(10 * INTERVAL_SECONDS)
            if hang:
                enough = threading.Event()
                hanging = threading.Thread(target=restart, args=(HANGING_SECONDS + SECONDS,), kwargs={"hang": enough})
                hanging.start()
                time.sleep(SECONDS)
                wait_until(lambda: NO_ANSWER in (home / "agent.log").read_text(), NO_ANSWER)
                enough.set()
                hanging.join()
            else:
                restart(SECONDS)
            wait_until(lambda: "the storage is back" in (home / "agent.log").read_text(), "the storage to be back")
            (home / "enough").touch()
            assert agent.wait(timeout=200) == 0
        finally:
            if agent.poll() is None:
                agent.kill()
                agent.wait()
        said = (home / "agent.log").read_text()
        waits = json.loads((home / "waits.json").read_text())
        (run,) = sweep.runs
        sweep.storage.close()
    print(f"away for {SECONDS:g} s: {len(waits)} reports, the longest took {1000 * max(waits):.1f} ms")
    assert run.state == "finished"
    assert list(run.history) == [-float(number) for number in range(len(waits))]
    assert len(waits) > SECONDS, "training stood still"
    patience = PATIENCE_SECONDS if hang else 0.0
    assert max(waits) < LONGEST_WAIT_SECONDS + patience
    assert sum(wait > LONGEST_WAIT_SECONDS / 2 for wait in waits) <= 1
    assert NO_ANSWER in said, said
    assert "the storage is back" in said, said
    assert "Traceback" not in said, said


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_third_ctrl_c_does_not_wait_for_a_database_that_hangs(sandbox: Sandbox) -> None:
    home = sandbox.directory
    sandbox.write("train.py", SCRIPT)
    with database() as (url, restart):
        raw = {"program": "train.py", "method": "grid", "metric": {"name": "loss"}, "parameters": {"x": {"value": 1}}}
        sweep = Sweep.create(raw, storage=url)
        agent = sandbox.follow("agent", sweep.id, "--storage", url)
        wait_until(lambda: (home / "begun").exists() or agent.process.poll() is not None, "the first report")
        enough = threading.Event()
        hanging = threading.Thread(target=restart, args=(HANGING_SECONDS,), kwargs={"hang": enough})
        hanging.start()
        time.sleep(1.0)
        agent.interrupt("press Ctrl-C again to end it now")
        agent.interrupt("press Ctrl-C again to kill them")
        agent.process.send_signal(signal.SIGINT)
        code, said = agent.end()
        assert hanging.is_alive(), "it waited until the database was back"
        enough.set()
        hanging.join()
        sweep.storage.close()
    assert code == 130
    assert "the end of run 0001 was not recorded; an agent will retry it" in said, said
    assert "Traceback" not in said, said
