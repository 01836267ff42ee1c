"""The Lightning callback adds one collective a validation to the traffic between two real gloo processes."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from launches import torchrun

from lightsweep.channel.server import ChannelServer
from scripted import ScriptedHandler

VALIDATIONS = 6


@pytest.mark.slow
def test_one_broadcast_a_validation_and_nothing_else(tmp_path: Path) -> None:
    handler = ScriptedHandler(metric="val_loss", dir=str(tmp_path), id="counted")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP_")}
    with ChannelServer() as server:
        done = subprocess.run(
            # The first training also sets up the process group.
            torchrun("counted_collectives.py", "none", "none", "ours", "keeping"),
            cwd=tmp_path,
            env={
                **inherited,
                **server.register("counted", handler),
                "OMP_NUM_THREADS": "1",
                "CUDA_VISIBLE_DEVICES": "",
            },
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(handler.logs) == 2 * VALIDATIONS
    first, second = (json.loads((tmp_path / f"counts-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert all(len(training) == VALIDATIONS + 2 for training in first)
    _, without, ours, keeping = ([Counter(section) for section in training] for training in first)
    assert all(section["all_reduce"] for section in without[1:-1]), "the wrappers count nothing"
    added = [after - before for before, after in zip(without, ours, strict=True)]
    assert added == [Counter(), *[Counter(broadcast_object_list=1)] * VALIDATIONS, Counter()]
    assert not any(before - after for before, after in zip(without, ours, strict=True))
    assert sum(sum(section.values()) for section in keeping) > sum(sum(section.values()) for section in ours)
