"""Programs written for W&B, unchanged, under real agents; none reaches any network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from sandboxes import PATIENCE_SECONDS, Sandbox, wait_until

import lightsweep
from lightsweep import Sweep

SWEEP: dict[str, Any] = {
    "program": "train.py",
    "method": "grid",
    "metric": {"name": "loss"},
    "parameters": {"x": {"values": [1, 2]}},
    "early_terminate": {"type": "hyperband", "min_iter": 2},
}
FILE = """
    program: train.py
    method: grid
    metric: {name: loss}
    parameters: {x: {values: [1, 2]}}
    early_terminate: {type: hyperband, min_iter: 2}
"""
TRAIN = """
    import argparse
    import wandb

    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=float)
    args = parser.parse_args()
    wandb.login(key="none")
    run = wandb.init(project="demo", entity="team", mode="online", config=args)
    wandb.define_metric("loss", summary="min")
    for epoch in range(4):
        wandb.log({"loss": wandb.config.x / (epoch + 1), "epoch": epoch}, step=epoch)
    wandb.run.summary["done"] = True
    wandb.finish()
"""
FUNCTION = """
    import wandb

    def train():
        with wandb.init(project="demo") as run:
            for epoch in range(4):
                run.log({"loss": wandb.config.x / (epoch + 1)})

    if __name__ == "__main__":
        config = {
            "method": "grid",
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": {"x": {"values": [1, 2]}},
            "early_terminate": {"type": "hyperband", "min_iter": 2},
        }
        sweep_id = wandb.sweep(config, project="demo")
        wandb.agent(sweep_id, function=train, count=5)
"""
# What a Python does first in these tests: a connection to another program than the agent ends it.
REFUSE = """
    import os, socket

    class Socket(socket.socket):
        def connect(self, address):
            if self.family != socket.AF_UNIX:
                open(os.environ["REACHED"], "a").write(f"{address}\\n")
                os._exit(99)
            return super().connect(address)

        connect_ex = connect

    socket.socket = Socket
    refused = lambda *arguments, **options: Socket(socket.AF_INET).connect(arguments)
    socket.create_connection = socket.getaddrinfo = refused
"""


@pytest.fixture
def alone(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox in which no Python may reach a network."""
    (sandbox.directory / "refuse").mkdir()
    sandbox.write("refuse/sitecustomize.py", REFUSE)
    reached = sandbox.directory / "reached.txt"
    sandbox.environment |= {"PYTHONPATH": str(sandbox.directory / "refuse"), "REACHED": str(reached)}
    sandbox.environment = {key: text for key, text in sandbox.environment.items() if not key.startswith("WANDB")}
    yield sandbox
    assert not reached.exists(), reached.read_text()


def outcomes(sandbox: Sandbox) -> list[tuple[str, int]]:
    (sweep,) = Sweep.all(storage=sandbox.storage)
    return [(run.state, len(run.history)) for run in sweep.runs]


STOPPED = [("finished", 4), ("pruned", 2)]


def test_the_refusal_of_the_network_is_real(sandbox: Sandbox) -> None:
    """The other tests here would fail if a program tried to reach one."""
    (sandbox.directory / "refuse").mkdir()
    sandbox.write("refuse/sitecustomize.py", REFUSE)
    environment = {**sandbox.environment, "PYTHONPATH": "refuse", "REACHED": "reached.txt"}
    code = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')"
    done = subprocess.run([sys.executable, "-c", code], cwd=sandbox.directory, env=environment, check=False)
    assert done.returncode == 99
    assert (sandbox.directory / "reached.txt").exists()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {
            "WANDB_MODE": "disabled",
            "WANDB_DISABLED": "true",
            "WANDB_API_KEY": "",
            "WANDB_SWEEP_ID": "other",
            "WANDB_BASE_URL": "http://127.0.0.1:9",
        },
    ],
    ids=["none", "all"],
)
def test_a_script_reports_and_is_stopped_whatever_its_variables_say(alone: Sandbox, variables: dict[str, str]) -> None:
    alone.environment |= variables
    alone.write("train.py", TRAIN)
    alone.write("sweep.yaml", FILE)
    done = alone.call("run", "sweep.yaml", "--stand-in", "wandb")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(alone) == STOPPED
    assert "stopped early: stopped at band 2" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (alone.directory / "wandb").exists()


def test_without_it_the_script_fails_as_ever(alone: Sandbox) -> None:
    alone.write("train.py", TRAIN)
    alone.write("sweep.yaml", FILE)
    done = alone.call("run", "sweep.yaml", "--count", "1")
    assert done.returncode == 1
    assert "No module named 'wandb'" in done.stdout


def test_it_is_kept_with_the_sweep_for_later_agents(alone: Sandbox) -> None:
    alone.write("train.py", TRAIN)
    path = alone.write("sweep.yaml", FILE)
    sweep_id = alone.call("sweep", "sweep.yaml", "--stand-in", "wandb").stdout.strip()
    path.write_text(path.read_text() + "\nrun_cap: 2\n")
    done = alone.call("sweep", sweep_id, "--update", "sweep.yaml")  # which says nothing of it
    assert done.returncode == 0, done.stderr
    assert Sweep.load(sweep_id, storage=alone.storage).config.options.stand_in == "wandb"
    done = alone.call("launch", sweep_id, "--on", "local")  # alone: two agents would train both runs at once
    assert done.returncode == 0, done.stderr
    sweep = Sweep.load(sweep_id, storage=alone.storage)
    wait_until(lambda: [run.state for run in sweep.runs] == ["finished", "pruned"], "the launched agent's runs")
    done = alone.call("apply", sweep_id)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_agent_may_stand_in_for_a_sweep_that_does_not_say_so(alone: Sandbox) -> None:
    sweep_id = alone.sweep(TRAIN, **{key: SWEEP[key] for key in ("parameters", "early_terminate")})
    done = alone.call("agent", sweep_id, "--stand-in", "wandb")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(alone) == STOPPED
    assert Sweep.load(sweep_id, storage=alone.storage).config.options.stand_in is None


def test_a_smoke_run_does_the_same(alone: Sandbox) -> None:
    alone.write("train.py", TRAIN)
    alone.write("sweep.yaml", FILE + "    lightsweep: {stand_in: wandb}\n")
    done = alone.call("check", "sweep.yaml", "--smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    it logged the metric 'loss', 4 times" in done.stdout
    assert "stand-in  runs that import wandb find lightsweep\n" in done.stdout


def test_exec_runs_a_script_that_creates_its_own_sweep(alone: Sandbox) -> None:
    alone.write("train.py", FUNCTION)
    done = alone.call("exec", "--stand-in", "wandb", "--", sys.executable, "train.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(alone) == STOPPED
    assert alone.call("exec", "--", "sh", "-c", "exit 7").returncode == 7
    assert "cannot start 'no-such'" in alone.call("exec", "--", "no-such").stderr


@pytest.mark.parametrize("isolate", [False, True])
def test_a_function_finds_it_by_the_key(alone: Sandbox, isolate: bool) -> None:
    script = FUNCTION.replace("import wandb\n\n    def", "import lightsweep\n\n    def")
    script = script.replace("with wandb", "import wandb\n        with wandb").replace(
        "= wandb.sweep", "= lightsweep.sweep"
    )
    script = script.replace(
        "wandb.agent(sweep_id, function=train", f"lightsweep.agent(sweep_id, train, isolate={isolate}"
    )
    script = script.replace('"early', '"lightsweep": {"stand_in": "wandb"},\n            "early')
    alone.write("train.py", script)
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=alone.directory,
        env=alone.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert outcomes(alone) == STOPPED


def test_a_function_whose_process_has_the_package_itself_is_not_run(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", type(sys)("wandb"))
    sweep = lightsweep.sweep({**SWEEP, "lightsweep": {"stand_in": "wandb"}}, storage=sandbox.storage)
    with pytest.raises(lightsweep.UsageError, match="has imported wandb already"):
        lightsweep.agent(sweep, function=lambda: None, storage=sandbox.storage)
    assert Sweep.load(sweep, storage=sandbox.storage).runs == []


def test_words_that_are_not_known(alone: Sandbox) -> None:
    alone.write("sweep.yaml", FILE + "    lightsweep: {stand_in: wandbb}\n")
    assert "must be one of wandb; got 'wandbb'; did you mean 'wandb'?" in alone.call("check", "sweep.yaml").stderr
    done = alone.call("run", "sweep.yaml", "--stand-in", "mlflow")
    assert (done.returncode, "lightsweep can stand in for wandb only, not for 'mlflow'" in done.stderr) == (2, True)
    done = alone.call("sweep", "abc", "--stop", "--stand-in", "wandb")
    assert "--stand-in needs the file of a new sweep" in done.stderr
