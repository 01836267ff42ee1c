"""The snippets and claims of docs/trainers.md hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sandboxes import Sandbox

import lightsweep
from lightsweep.channel.server import ChannelServer
from lightsweep.client import serving
from lightsweep.integrations.transformers import ALIASES
from scripted import ScriptedHandler

PAGE = (Path(__file__).parent.parent.parent / "docs" / "trainers.md").read_text()


def block(language: str, word: str) -> str:
    """The one code block with that word in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if word in text]
    return str(found)


def test_the_table_of_aliases_is_the_one_in_use() -> None:
    table = PAGE.split("| field | also called |\n|---|---|\n")[1].split("\n\n")[0]
    rows = [re.findall(r"`(\w+)`", row) for row in table.splitlines()]
    assert {alias: field for field, *aliases in rows for alias in aliases} == dict(ALIASES)


def test_the_class_for_another_trainer_reports_and_stops() -> None:
    names: dict[str, Any] = {"trainer": SimpleNamespace(Callback=object)}
    exec(block("python", "SweepCallbackBase"), names)
    callback = names["SweepCallback"]()
    callback.params, callback.model = {"epochs": 4}, SimpleNamespace(stop_training=False)
    handler = ScriptedHandler(stop_at=2)
    epoch = 0
    with serving(handler), lightsweep.init():
        callback.on_train_begin()
        for epoch in range(4):
            callback.on_epoch_end(epoch, {"val_loss": 1.0})
    assert (epoch, len(handler.logs)) == (1, 2)
    assert [finish["state"] for finish in handler.finishes] == ["pruned"]


X = np.linspace(-1, 1, 32, dtype="float32").reshape(-1, 1)
Y = 3 * X[:, 0]


def names_for(word: str) -> dict[str, Any]:
    """What the block of the page with that word takes as given."""
    if word == "xgboost.train":
        import xgboost

        return {"data": xgboost.DMatrix(X, Y), "held_out": xgboost.DMatrix(X, Y)}
    if word == "lightgbm.train":
        import lightgbm

        data = lightgbm.Dataset(X, Y)
        return {"data": data, "held_out": lightgbm.Dataset(X, Y, reference=data)}
    if word == "keras.saving":
        import keras

        def make_model(lr: float) -> Any:
            model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
            model.compile(keras.optimizers.SGD(lr), "mse")
            return model

        return {"make_model": make_model, "data": (X, Y), "held_out": (X, Y)}
    if word == "SweepTracker":
        return {"train_epoch": lambda: torch.tensor(1.0)}
    return {
        "make_model": lambda lr: (model := torch.nn.Linear(1, 1), torch.optim.SGD(model.parameters(), lr)),
        "train_epoch": lambda *_: torch.tensor(1.0),
    }


BLOCKS = {
    "xgboost.train": ("eval-rmse", "rounds", True),
    "lightgbm.train": ("valid_0_l2", "rounds", True),
    "keras.saving": ("val_loss", "epochs", True),
    "SweepTracker": ("val_loss", "epochs", False),
    "fabric.launch": ("val_loss", "epochs", True),
}
"""A word of a block, the metric, the parameter for the length, and whether the block keeps a checkpoint."""


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("word", BLOCKS)
def test_the_block_of_a_trainer_reports_stops_and_resumes(word: str, tmp_path: Path) -> None:
    metric, length, keeps = BLOCKS[word]
    answer = {"metric": metric, "dir": str(tmp_path), "keep_checkpoint": True}
    stopped = ScriptedHandler({length: 9}, stop_at=3, **answer)
    with serving(stopped):
        exec(block("python", word), names_for(word))
    assert len(stopped.logs) == 3
    assert [finish["state"] for finish in stopped.finishes] == ["pruned"]
    if not keeps:
        return
    kept = str((tmp_path / "resume").resolve())
    resumed = ScriptedHandler({length: 5}, **answer, resumed=True, counted=3, iterations=3, checkpoint=kept)
    with serving(resumed):
        exec(block("python", word), names_for(word))
    assert len([log for log in resumed.logs if metric in log["metrics"]]) == 2
    assert [finish["state"] for finish in resumed.finishes] == ["finished"]


@pytest.mark.slow
def test_fabric_on_two_ranks_by_the_recipe_of_the_page(tmp_path: Path) -> None:
    script = block("python", "fabric.launch").replace('devices="auto"', "devices=2")
    beginning = """\
import torch

def make_model(lr):
    model = torch.nn.Linear(1, 1)
    return model, torch.optim.SGD(model.parameters(), lr)

def train_epoch(fabric, model, optimizer):
    return torch.tensor(1.0 + fabric.global_rank)

"""
    ending = """\
print("rank", fabric.global_rank, "ends in epoch", epoch, "with", float(loss))
"""
    (tmp_path / "train.py").write_text(beginning + script + ending)
    handler = ScriptedHandler({"epochs": 9}, stop_at=3, dir=str(tmp_path / "run"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP")}
    with ChannelServer() as server:
        address = server.register("0007", handler)
        done = subprocess.run(
            [sys.executable, "train.py"],
            cwd=tmp_path,
            env={**environment, **address, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for rank in (0, 1):
        assert f"rank {rank} ends in epoch 2 with 1.5" in done.stdout
    assert [log["metrics"]["val_loss"] for log in handler.logs] == [1.5, 1.5, 1.5]
    assert {finish["state"] for finish in handler.finishes} == {"pruned"}


@pytest.mark.slow
def test_a_plain_loop_goes_on_from_what_it_kept(sandbox: Sandbox) -> None:
    loop = textwrap.indent(block("python", "torch.save"), "    ")
    script = f"""\
import os, signal
import torch
import lightsweep

model = torch.nn.Linear(1, 1)

def train_epoch(model):
    if epoch == 3 and not run.resumed:
        os.kill(os.getpid(), signal.SIGKILL)
    return 10.0 - epoch

with lightsweep.init(config={{"epochs": 5}}) as run:
{loop}
"""
    sandbox.write("train.py", script)
    options = {"lightsweep": {"max_retries": 1}, "parameters": {"x": {"values": [1]}}, "metric": {"name": "val_loss"}}
    sweep_id = sandbox.sweep(None, **options)
    done = sandbox.call("agent", sweep_id)
    (run,) = sandbox.runs(sweep_id)
    assert run.state == "finished", done.stdout + done.stderr
    assert list(run.history) == [10.0, 9.0, 8.0, 7.0, 6.0]
