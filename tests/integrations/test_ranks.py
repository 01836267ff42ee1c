"""Every rank agrees: real gloo processes, launched as users launch them, whose ranks see different values.

``LIGHTSWEEP_REPETITIONS`` says how often each launch is repeated, and ``LIGHTSWEEP_FITS`` how many trainings follow
each other in the same processes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from launches import LAUNCHERS, Launch, torchrun
from sandboxes import Sandbox

import lightsweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux", reason="/proc shows what is left behind"),
]

REPETITIONS = int(os.environ.get("LIGHTSWEEP_REPETITIONS", "1"))
FOR_LONG = {"EPOCHS": "400", "SLEEP": "0.05"}


@pytest.mark.parametrize("repetition", range(REPETITIONS))
@pytest.mark.parametrize(
    "launcher", ["lightning-ddp", "lightning-spawn", "transformers-accelerate", "accelerate-torchrun", "plain-torchrun"]
)
def test_every_rank_leaves_at_the_same_step_and_nothing_stays(tmp_path: Path, launcher: str, repetition: int) -> None:
    stop_at = random.Random(repetition).randint(1, 5)
    with Launch(tmp_path / "run", launcher, stop_at=stop_at) as launch:
        assert launch.wait() == 0, launch.text
        launch.all_gone(60)
    first, second = launch.notes()
    assert first == second
    assert first[-1].startswith("validation")
    assert len(launch.reported) == stop_at
    assert {finish["state"] for finish in launch.handler.finishes} == {"pruned"}
    assert "RunPruned" not in launch.text
    assert "end of the script" in launch.text


def test_a_process_leaves_its_group_when_it_exits(tmp_path: Path) -> None:
    script = tmp_path / "leaving.py"
    script.write_text(
        "import atexit, os, torch.distributed as dist\n"
        "from lightsweep.integrations.distributed import agreed\n"
        "from lightsweep.client import Verdict\n"
        # one write for each rank, since they share a pipe
        "atexit.register(lambda: os.write(1, f'still in it: {dist.is_initialized()}\\n'.encode()))\n"
        "dist.init_process_group('gloo')\n"
        "for _ in range(2):\n"
        "    agreed(Verdict, first=dist.get_rank() == 0)\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        torchrun(str(script)), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("still in it: False") == 2, done.stdout + done.stderr


def test_two_ranks_get_the_verdict_that_one_process_gets_on_the_same_values(sandbox: Sandbox) -> None:
    """Under a real agent: run 0 logs 0.5, 1.5, ...; run 1 logs 2 more and is stopped at the band."""
    config = {
        "method": "grid",
        "metric": {"name": "val_loss"},
        "early_terminate": {"type": "hyperband", "min_iter": 3},
        "parameters": {"x": {"values": [0, 2]}},
    }
    several = lightsweep.Sweep.create({**config, "command": LAUNCHERS["lightning-ddp"]}, storage=sandbox.storage)
    done = sandbox.call("agent", several.id, "--storage", sandbox.storage)
    assert done.returncode == 0, done.stdout + done.stderr

    def one_process() -> None:
        with lightsweep.init() as run:
            for epoch in range(6):
                run.log({"val_loss": epoch + 0.5 + run.config.x})

    single = lightsweep.Sweep.create(config, storage=sandbox.storage)
    lightsweep.agent(single.id, function=one_process, storage=sandbox.storage)
    found = [[(run.state, run.history, run.reason) for run in sandbox.runs(sweep)] for sweep in (several.id, single.id)]
    assert found[0] == found[1]
    assert [run[0] for run in found[0]] == ["finished", "pruned"]
    (directory,) = (sandbox.directory / "lightsweep_runs" / several.id).glob("0002")
    notes = [path.read_text() for path in sorted(directory.glob("rank*.txt"))]
    assert len(notes) == 2
    assert notes[0] == notes[1]


@pytest.mark.parametrize("launcher", ["lightning-ddp", "transformers-torchrun"])
def test_without_their_agent_all_ranks_end_within_seconds(tmp_path: Path, launcher: str) -> None:
    with Launch(tmp_path / "run", launcher, **FOR_LONG) as launch:
        launch.until(logs=2)
        launch.server.close()
        launch.all_gone(45)
    said = [line for line in launch.text.splitlines() if "lightsweep:" in line]
    assert 1 <= len(said) <= 3, launch.text
    assert all("agent" in line and "gone" in line for line in said), launch.text
    assert "AgentLostError" not in launch.text


def test_an_exception_on_one_rank_ends_the_others(tmp_path: Path) -> None:
    with Launch(tmp_path / "run", "lightning-ddp", **FOR_LONG, BREAK="1:2") as launch:
        assert launch.wait() == 1, launch.text
        launch.all_gone(45)
    first = launch.handler.finishes[0]
    assert first["state"] == "failed"
    assert "ValueError: broken on one rank" in first["error"]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 1)])
def test_a_signal_ends_a_training_of_one_process(tmp_path: Path, number: int, exit_code: int) -> None:
    with Launch(tmp_path / "run", "lightning-single", **FOR_LONG) as launch:
        launch.until(logs=2)
        os.killpg(launch.process.pid, number)
        assert launch.wait() == exit_code, launch.text
        launch.all_gone(45)
    assert [finish["state"] for finish in launch.handler.finishes] == ["failed"]


@pytest.mark.parametrize(
    ("launcher", "values"), [("lightning-fork", [3.5, 4.5]), ("transformers-torchrun", [3.0, 4.0])]
)
def test_ranks_keep_one_checkpoint_and_go_on_from_it(tmp_path: Path, launcher: str, values: list[float]) -> None:
    with Launch(tmp_path / "run", launcher, EPOCHS="3", CHECKPOINT="1") as first:
        assert first.wait() == 0, first.text
    link = tmp_path / "run" / "resume"
    assert link.is_symlink()
    patterns = ("resume-*", "checkpoint-*", "resume-trainer/*")
    kept = [path for pattern in patterns for path in (tmp_path / "run").glob(pattern) if path.name != "resume-trainer"]
    assert kept == [link.resolve()]
    before = {"resumed": True, "counted": 3, "iterations": 3, "checkpoint": str(link.resolve())}
    with Launch(tmp_path / "run", launcher, run_id=first.run_id, answer=before, EPOCHS="5", RESUME="1") as second:
        assert second.wait() == 0, second.text
    assert second.reported == values
    assert second.handler.finishes[-1]["state"] == "finished"
