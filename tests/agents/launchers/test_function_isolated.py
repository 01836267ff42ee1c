"""Functions with `isolate=True`: the process of each run, and its end."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Sandbox, wait_until

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

    def leave_a_worker():
        with lightsweep.init() as run:
            source = "import os, time; open('worker', 'w').write(str(os.getpid())); time.sleep(180)"
            subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.DEVNULL, start_new_session=True)
            while not (Path("worker").exists() and Path("worker").read_text()):
                time.sleep(0.02)
            run.log({"loss": 1.0})

    def never_call_init():
        Path("worker").write_text(str(os.getpid()))
        time.sleep(180)

    def fail():
        run = lightsweep.init()
        run.log({"loss": 1.0})
        raise ValueError("no data")

    def fail_early():
        raise ValueError("no disk")

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

    def output():
        print("from the function", flush=True)
        sys.exit("no " + "disk")

    if __name__ == "__main__" or "unguarded" in sys.argv:
        function = globals()[sys.argv[2]]
        if sys.argv[2] == "closure":
            function = function()
        lightsweep.agent(sys.argv[1], function=function, isolate=True, count=1)
        print("after:", os.environ.get("LIGHTSWEEP_STORAGE"))
    """


def alive(pid: int) -> bool:
    """True if a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="such processes are found by /proc")
def test_what_it_leaves_behind_is_gone_with_it(sandbox: Sandbox) -> None:
    with start(sandbox, "leave_a_worker") as agent:
        out, _ = agent.communicate()
    assert "run 0001 finished" in out
    assert not alive(int((sandbox.directory / "worker").read_text()))


def test_it_ends_with_an_agent_that_is_killed(sandbox: Sandbox) -> None:
    worker = sandbox.directory / "worker"
    with start(sandbox, "never_call_init") as agent:
        wait_until(lambda: worker.exists() and worker.read_text(), "the function to be called")
        agent.kill()
        wait_until(lambda: not alive(int(worker.read_text())), "the function's process to end")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("fail", "run 0001 failed: exit code 1: ValueError: no data (work.py:"),
        ("fail_early", "run 0001 failed: exit code 1: ValueError: no disk"),
    ],
)
def test_an_exception_is_the_reason_and_its_traceback_is_in_the_output(
    sandbox: Sandbox, function: str, reason: str
) -> None:
    with start(sandbox, function) as agent:
        out, _ = agent.communicate()
    assert reason in out
    (directory,) = (sandbox.directory / "lightsweep_runs").glob("*/0001")
    assert f"in {function}\n" in (directory / "output.log").read_text()
    assert {path.name for path in directory.iterdir()} - {"history.jsonl", "run.json"} == {"output.log"}


def test_what_it_prints_is_shown_and_kept(sandbox: Sandbox) -> None:
    with start(sandbox, "output") as agent:
        out, _ = agent.communicate()
    assert "from the function\n" in out
    assert "run 0001 failed: exit code 1: no disk" in out


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
