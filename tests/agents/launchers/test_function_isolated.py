"""Functions with `isolate=True`: the process of each run, and its end."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from sandboxes import Sandbox

import lightsweep
from lightsweep import UsageError

SWEEP: dict[str, Any] = {"program": None, "parameters": {"x": {"values": [1]}}}
WORK = """
    import os, subprocess, sys, time
    from pathlib import Path
    import lightsweep

    def report():
        def read(path):
            return Path(path).read_text(errors="replace")
        with lightsweep.init() as run:
            child = subprocess.run([sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True)
            Path("seen").write_text(f"{dict(os.environ)} {read('/proc/self/environ')} {child.stdout}")
            run.log({"loss": 1.0})

    def fail():
        run = lightsweep.init()
        run.log({"loss": 1.0})
        print("from the function", flush=True)
        raise ValueError("no data")

    def spawned(value, queue):
        queue.put((value, sys.argv[2]))

    def spawn():
        import multiprocessing
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(target=spawned, args=(7, queue))
        process.start()
        with lightsweep.init() as run:
            run.log({"loss": queue.get(timeout=60)[0]})
        process.join()

    def closure():
        loss = 5.0
        def train():
            with lightsweep.init() as run:
                run.log({"loss": loss})
        return train

    if __name__ == "__main__" or "unguarded" in sys.argv:
        function = globals()[sys.argv[2]]
        if sys.argv[2] == "closure":
            function = function()
        lightsweep.agent(sys.argv[1], function=function, isolate=True, count=1)
        print("after:", os.environ.get("LIGHTSWEEP_STORAGE"))
    """


def start(sandbox: Sandbox, *words: str) -> subprocess.Popen[str]:
    """An agent that calls the function of this name for one run."""
    sweep_id = sandbox.sweep(**SWEEP)
    return subprocess.Popen(
        [sys.executable, str(sandbox.write("work.py", WORK)), sweep_id, *words],
        cwd=sandbox.directory,
        env={**sandbox.environment, "LIGHTSWEEP_STORAGE": f"{sandbox.storage}?timeout=77"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_storage_is_kept_from_it(sandbox: Sandbox) -> None:
    with start(sandbox, "report") as agent:
        out, _ = agent.communicate()
    assert "run 0001 finished" in out
    seen = (sandbox.directory / "seen").read_text()
    assert "LIGHTSWEEP_TOKEN" in seen
    assert "LIGHTSWEEP_STORAGE" not in seen
    assert "timeout=77" not in seen
    assert f"after: {sandbox.storage}?timeout=77" in out


def test_an_exception_is_the_reason_and_its_traceback_is_in_the_output(sandbox: Sandbox) -> None:
    with start(sandbox, "fail") as agent:
        out, _ = agent.communicate()
    assert "from the function\n" in out
    assert "run 0001 failed: exit code 1: ValueError: no data (work.py:" in out
    (directory,) = (sandbox.directory / "lightsweep_runs").glob("*/0001")
    assert "in fail\n" in (directory / "output.log").read_text()
    assert {path.name for path in directory.iterdir()} - {"history.jsonl", "run.json"} == {"output.log"}


@pytest.mark.parametrize(("function", "best"), [("spawn", 7), ("closure", 5)])
def test_a_function_may_spawn_processes_of_its_script_and_need_not_have_a_name_there(
    sandbox: Sandbox, function: str, best: int
) -> None:
    with start(sandbox, function) as agent:
        out, _ = agent.communicate()
    assert f"run 0001 finished: {best}, 1 iteration, " in out


def test_a_script_without_the_guard_starts_no_agent_in_its_run(sandbox: Sandbox) -> None:
    with start(sandbox, "report", "unguarded") as agent:
        out, _ = agent.communicate()
    assert 'UsageError: with isolate=True call lightsweep.agent() below `if __name__ == "__main__":`' in out
    assert len(list((sandbox.directory / "lightsweep_runs").glob("*/*"))) == 1


def test_a_function_that_cannot_be_passed_on_is_refused(sandbox: Sandbox) -> None:
    lock = threading.Lock()
    sweep_id = sandbox.sweep(**SWEEP)
    with pytest.raises(UsageError, match=r"cannot be passed to another process .*lock.*leave out isolate"):
        lightsweep.agent(sweep_id, function=lambda: lock, isolate=True, storage=sandbox.storage)
    assert sandbox.runs(sweep_id) == []
