"""Trainers whose own W&B logger is all that a script has for a sweep: the real libraries, the real agent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Sandbox

from lightsweep import Sweep
from lightsweep.channel.messages import LogReply
from lightsweep.channel.server import ChannelServer
from lightsweep.stand_in import variables
from scripted import ScriptedHandler

SCRIPTS = Path(__file__).parent / "scripts"
LIGHTNING = str(SCRIPTS / "lightning_logger.py")
HUGGING_FACE = str(SCRIPTS / "hf_report_to.py")
TORCHRUN = [
    *("-m", "torch.distributed.run", "--nproc-per-node=2"),
    *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0"),
]
ARGUMENTS = [
    *("--report_to=wandb", "--output_dir=out", "--eval_strategy=epoch", "--num_train_epochs=4", "--use_cpu=True"),
    *("--save_strategy=no", "--logging_steps=1", "--disable_tqdm=True", "--run_name=mine"),
]
ACCELERATE = str(SCRIPTS / "accelerate_tracker.py")
EPOCHS = 4


def swept(sandbox: Sandbox, metric: str, *command: str) -> tuple[list[Any], str]:
    """Run a sweep of two points, the second of which is stopped at band 2; return the runs, and what was printed."""
    config = {
        "method": "grid",
        "metric": {"name": metric},
        "parameters": {"x": {"values": [1.0, 2.0]}},
        "early_terminate": {"type": "hyperband", "min_iter": 2},
        "command": ["${interpreter}", *command, "${args}"],
        "lightsweep": {"stand_in": "wandb"},
    }
    sweep = Sweep.create(config, storage=sandbox.storage)
    sandbox.environment["CUDA_VISIBLE_DEVICES"] = ""
    done = sandbox.call("agent", sweep.id)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = sandbox.runs(sweep.id)
    assert [run.state for run in runs] == ["finished", "pruned"], done.stdout
    assert runs[1].history == pytest.approx([2.0, 1.0])
    assert "stopped at band 2" in done.stdout
    assert not (sandbox.directory / "wandb").exists()
    return runs, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "more", "kept"), [("lightning.pytorch", ["--log-model"], True), ("pytorch_lightning", [], False)]
)
def test_lightnings_logger_reports_and_ends_the_fit_and_keeps_its_model_if_asked(
    sandbox: Sandbox, package: str, more: list[str], kept: bool
) -> None:
    runs, text = swept(sandbox, "val_loss", LIGHTNING, package, *more)
    assert runs[0].history == pytest.approx([1 / (1 + epoch) for epoch in range(EPOCHS)])
    assert {"train_loss", "val_loss", "epoch", "trainer/global_step"} <= set(runs[0].metrics)
    assert text.count("end of the script") == 1
    assert "Traceback" not in text
    (images,) = sandbox.directory.glob("lightsweep_runs/*/0001/media/samples*")
    assert list(images.glob("*.png")) if images.is_dir() else images.suffix == ".png"
    assert list(sandbox.directory.glob("lightsweep_runs/*/0001/media/**/*.csv"))
    assert kept == any("artifacts" in str(path) for path in sandbox.directory.rglob("model.ckpt"))


@pytest.mark.slow
def test_hugging_faces_callback_reports_and_ends_the_training(sandbox: Sandbox) -> None:
    runs, text = swept(sandbox, "eval/loss", HUGGING_FACE, *ARGUMENTS)
    assert runs[0].history == pytest.approx([1 / (1 + epoch) for epoch in range(EPOCHS)])
    assert {"eval/loss", "train/loss", "train/global_step"} <= set(runs[0].metrics)
    assert text.count("end of the script") == 1
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "other", "command"),
    [
        ("val_loss", "trainer/global_step", [LIGHTNING, "lightning.pytorch", "--sweep-callback"]),
        ("eval/loss", "train/global_step", [HUGGING_FACE, *ARGUMENTS, "--sweep_callback"]),
    ],
    ids=["lightning", "transformers"],
)
def test_beside_a_sweep_callback_each_validation_counts_once(
    sandbox: Sandbox, metric: str, other: str, command: list[str]
) -> None:
    runs, text = swept(sandbox, metric, *command)
    assert runs[0].history == pytest.approx([1 / (1 + epoch) for epoch in range(EPOCHS)])
    assert other in runs[0].metrics, "the logger still logs the rest"
    assert "Traceback" not in text


@pytest.mark.slow
def test_hugging_faces_own_search_creates_a_sweep_and_its_runs_are_stopped(sandbox: Sandbox) -> None:
    sandbox.environment["CUDA_VISIBLE_DEVICES"] = ""
    done = sandbox.call("exec", "--stand-in", "wandb", "--", sys.executable, str(SCRIPTS / "hf_search.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "best 0.25 0.01" in done.stdout
    (sweep_id,) = (path.name for path in sandbox.directory.glob("lightsweep_runs/*"))
    runs = sandbox.runs(sweep_id)
    assert [run.state for run in runs] == ["finished", "pruned"]
    assert runs[0].history == pytest.approx([1 / (1 + epoch) for epoch in range(EPOCHS)])
    assert runs[1].history == pytest.approx([2.0, 1.0])
    assert "never read" not in done.stdout
    assert not list(sandbox.directory.glob("lightsweep_runs/*/*/parts"))


@pytest.mark.slow
def test_accelerates_tracker_reports_and_ends_the_loop(sandbox: Sandbox) -> None:
    runs, text = swept(sandbox, "val_loss", ACCELERATE)
    assert runs[0].history == pytest.approx([1 / (1 + epoch) for epoch in range(EPOCHS)])
    assert text.count("end of the script") == 1
    assert "Traceback" not in text


class Counting(ScriptedHandler):
    """Counts as an agent does: only reports of the metric, from the second one on with the answer to stop."""

    def __init__(self, metric: str, directory: Path) -> None:
        super().__init__(metric=metric, dir=str(directory), stop_at=2)
        self.metric = metric
        self.latest = LogReply()

    def log(self, message: Mapping[str, Any]) -> LogReply:
        if self.metric in message["metrics"]:
            self.latest = super().log(message)
        return self.latest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "command"),
    [
        pytest.param("val_loss", [LIGHTNING, "lightning.pytorch", "--devices=2", "--strategy=ddp"], id="lightning-ddp"),
        pytest.param("eval/loss", [*TORCHRUN, HUGGING_FACE, *ARGUMENTS], id="transformers-torchrun"),
    ],
)
def test_two_ranks_report_once_and_both_end(tmp_path: Path, metric: str, command: list[str]) -> None:
    """Only rank 0 is told to stop; the launcher ends the other one."""
    handler = Counting(metric, tmp_path / "run")
    with ChannelServer() as server:
        environment = {
            **os.environ,
            **variables("wandb"),
            **server.register("0007", handler),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        }
        done = subprocess.run(  # until no rank holds the pipe any more
            [sys.executable, *command, "--x=2.0"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
    text = done.stdout
    assert [log["metrics"][metric] for log in handler.logs] == pytest.approx([2.0, 1.0]), text
    assert {finish["state"] for finish in handler.finishes} == {"pruned"}, text
    assert text.count("run 0007 stopped early: 0.9 is worse than 0.5 at band 3") == 1, text
    assert "end of the script" not in text
