"""Agents whose runs start warm, from the command line and with a function."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from sandboxes import Sandbox, wait_until
from warm_starter import Starter

TRAIN = """
    import os
    import sys

    import lightsweep

    with lightsweep.init() as run:
        run.log({"loss": run.config["x"]})
    print("parent", os.getppid())
"""


def parents(sandbox: Sandbox, sweep: str) -> set[str]:
    logs = (sandbox.directory / "lightsweep_runs" / sweep).glob("*/output.log")
    return {line for log in logs for line in log.read_text().splitlines() if line.startswith("parent")}


def test_runs_are_forks_of_one_template_and_the_agent_says_so_once(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(TRAIN)
    done = sandbox.call("agent", sweep)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("lightsweep: runs start warm\n") == 1
    assert done.stdout.index("run 0001 started") < done.stdout.index("runs start warm") < done.stdout.index("0002")
    assert [run.metrics["loss"]["last"] for run in sandbox.runs(sweep)] == [1, 2, 3]
    assert len(parents(sandbox, sweep)) == 1


@pytest.mark.parametrize("how", ["--cold", "file"])
def test_runs_start_cold_if_the_user_says_so(sandbox: Sandbox, how: str) -> None:
    sweep = sandbox.sweep(TRAIN, **({"lightsweep": {"warm": False}} if how == "file" else {}))
    agent = sandbox.follow("agent", sweep, *([how] if how == "--cold" else []))
    code, said = agent.end()
    assert code == 0
    assert "runs start" not in said
    assert parents(sandbox, sweep) == {f"parent {agent.process.pid}"}


def test_a_command_that_cannot_be_forked_starts_cold(sandbox: Sandbox) -> None:
    sandbox.write("start.sh", f"exec {sys.executable} train.py\n")
    sweep = sandbox.sweep(TRAIN, command=["sh", "start.sh"])
    done = sandbox.call("agent", sweep)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("lightsweep: runs start cold: the command is not `python SCRIPT`\n") == 1


def test_an_import_that_fails_is_the_reason_of_the_run(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep("import json\nimport no_such_module\n")
    done = sandbox.call("agent", sweep, "--count", "1")
    assert "run 0001 failed: exit code 1: ModuleNotFoundError: No module named 'no_such_module'" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_run_and_template_end_with_the_agent(sandbox: Sandbox, number: signal.Signals) -> None:
    sweep = sandbox.sweep("import time\nprint('ready', flush=True)\ntime.sleep(120)\n")
    agent = sandbox.follow("agent", sweep)
    output = sandbox.directory / "lightsweep_runs" / sweep / "0001" / "output.log"
    wait_until(lambda: output.exists() and "ready" in output.read_text(), "the run")
    processes = psutil.Process(agent.process.pid).children(recursive=True)
    template = next(each for each in processes if "template of" in " ".join(each.cmdline()))
    run = template.children()[0]
    assert Path(run.cmdline()[1]).name == "train.py"
    os.kill(agent.process.pid, number)
    agent.end()
    for each in (run, template):
        wait_until(lambda each=each: not each.is_running(), "its end")


def test_a_function_in_a_process_of_its_own_is_a_fork_too(sandbox: Sandbox) -> None:
    sandbox.write(
        "main.py",
        """
        import os
        import sys

        import lightsweep

        def train():
            with lightsweep.init() as run:
                run.log({"loss": run.config["x"]})
            print("parent", os.getppid(), sys.argv)

        if __name__ == "__main__":
            lightsweep.agent(sys.argv[1], function=train, isolate=True)
        """,
    )
    sweep = sandbox.sweep(TRAIN)
    done = subprocess.run(
        [sys.executable, "main.py", sweep],
        cwd=sandbox.directory,
        env={**sandbox.environment, "LIGHTSWEEP_STORAGE": sandbox.storage},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "lightsweep: runs start warm\n" in done.stdout
    assert len(parents(sandbox, sweep)) == 1
    assert [run.state for run in sandbox.runs(sweep)] == ["finished"] * 3


@pytest.mark.slow
def test_the_contract_of_the_callbacks_holds_in_a_fork(starter: Starter) -> None:
    """All of tests/integrations/test_contract.py, in a process that has not imported the trainers itself."""
    suite = Path(__file__).parents[2] / "integrations" / "test_contract.py"
    starter.write(
        "train.py",
        f"""
        import sys
        import torch
        import torch.distributed
        import lightning.pytorch
        import pytorch_lightning
        import transformers
        from torch.utils.data import DataLoader
        import accelerate
        import pytest
        print(__import__("os").getppid(), flush=True)
        sys.exit(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-W",
            "ignore::pytest.PytestAssertRewriteWarning", "-n", "0", "--rootdir", {str(suite.parents[2])!r},
            "-c", {str(suite.parents[2] / "pyproject.toml")!r}, {str(suite)!r}]))
        """,
    )
    starter.variables["KERAS_BACKEND"] = "torch"
    code, output = starter.run(["train.py"], True)
    assert code == 0, output[-3000:]
    assert "torch" in starter.remarks[-1]
    assert " passed" in output


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_loaders_and_pools_of_libraries_work_in_a_fork(starter: Starter, method: str) -> None:
    """Workers of a ``DataLoader``, and the threads of torch and NumPy, which the template had before it forked."""
    code, output = starter.both(
        f"""
        import numpy as np
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        class Squares(torch.utils.data.Dataset):
            def __len__(self):
                return 8

            def __getitem__(self, index):
                return torch.tensor(float(index**2))

        if __name__ == "__main__":
            big = np.ones((600, 600))
            print((big @ big).sum(), (torch.ones(600, 600) @ torch.ones(600, 600)).sum().item())
            print(np.linalg.svd(np.eye(300) * 2)[1].sum(), torch.get_num_threads(), torch.cuda.is_available())
            loader = DataLoader(Squares(), batch_size=2, num_workers=2, multiprocessing_context="{method}")
            print([batch.tolist() for batch in loader])
            layer = torch.nn.Linear(300, 300)
            layer(torch.ones(300, 300)).sum().backward()
            print(layer.weight.grad.sum().item())
        """
    )
    assert code == 0, output


@pytest.mark.slow
def test_torch_begins_with_a_seed_of_its_own(starter: Starter) -> None:
    starter.write("train.py", "import torch\nprint(torch.initial_seed(), torch.rand(1).item())\n")
    assert len({starter.run(["train.py"], True)[1] for _ in range(3)}) == 3


@pytest.mark.parametrize("how", ["SIGTERM", "cancel"])
def test_an_agent_that_is_told_to_end_does_not_wait_for_imports(sandbox: Sandbox, starter: Starter, how: str) -> None:
    place = starter.install("slow", "import time\nopen('importing', 'w').close()\ntime.sleep(600)\n").parent
    sandbox.environment["PYTHONPATH"] = str(place)
    sweep = sandbox.sweep("import slow\n")
    agent = sandbox.follow("agent", sweep)
    wait_until((sandbox.directory / "importing").exists, "the imports")
    children = psutil.Process(agent.process.pid).children(recursive=True)
    if how == "cancel":
        sandbox.call("cancel", sweep)
    else:
        os.kill(agent.process.pid, signal.SIGTERM)
    _, said = agent.end()
    ends = {"SIGTERM": "lost: the agent was told to end (SIGTERM)", "cancel": "killed: the sweep was cancelled"}
    assert f"run 0001 {ends[how]}" in said
    assert "runs start" not in said
    for each in children:
        wait_until(lambda each=each: not each.is_running(), "its end")
