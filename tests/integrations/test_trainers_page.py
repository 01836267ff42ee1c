"""The snippets and claims of docs/trainers.md hold."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from sandboxes import Sandbox

import lightsweep
from lightsweep import Sweep
from lightsweep.client import serving
from lightsweep.integrations.transformers import ALIASES
from scripted import ScriptedHandler

PAGE = (Path(__file__).parent.parent.parent / "docs" / "trainers.md").read_text()


def block(language: str, word: str) -> str:
    """The one code block with that word in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if word in text]
    return str(found)


def test_the_table_of_aliases_is_the_one_in_use() -> None:
    table = PAGE.split("| parameter | field |\n")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n")  # every line but the one of dashes is a row
    assert dict(rows) == dict(ALIASES)
    assert len(rows) == len(ALIASES)


def test_the_class_for_another_trainer_reports_and_stops() -> None:
    names: dict[str, Any] = {"keras": SimpleNamespace(callbacks=SimpleNamespace(Callback=object))}
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


@pytest.mark.slow
def test_a_plain_loop_goes_on_from_what_it_kept(sandbox: Sandbox) -> None:
    loop = textwrap.indent(block("python", "resume.new"), "    ")
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


@pytest.mark.slow
def test_torchrun_by_the_command_of_the_page(sandbox: Sandbox) -> None:
    sandbox.write(
        "train.py",
        """
        import torch.distributed
        import lightsweep
        from lightsweep.integrations.distributed import on_every_rank

        torch.distributed.init_process_group("gloo")
        rank = torch.distributed.get_rank()
        with lightsweep.init() as run:
            shared = on_every_rank(run)
            for epoch in range(9):
                shared.log({"loss": run.config.x + 100 * rank})
        (run.dir / f"rank-{rank}").write_text(str(epoch))
        torch.distributed.destroy_process_group()
        """,
    )
    sweep_id = sandbox.sweep(
        None,
        command=yaml.safe_load(block("yaml", "torch.distributed.run"))["command"],
        parameters={"x": {"values": [1, 2]}},
        early_terminate={"type": "hyperband", "min_iter": 3},
    )
    done = sandbox.call("agent", sweep_id)
    first, second = sandbox.runs(sweep_id)
    assert (first.state, second.state) == ("finished", "pruned"), done.stdout + done.stderr
    assert list(second.history) == [2.0] * 3
    homes = [sandbox.directory / "lightsweep_runs" / sweep_id / name for name in ("0001", "0002")]
    left = [[(home / f"rank-{rank}").read_text() for rank in (0, 1)] for home in homes]
    assert left == [["8", "8"], ["2", "2"]]
    assert not Sweep.load(sweep_id, storage=sandbox.storage).runs[0].unread
