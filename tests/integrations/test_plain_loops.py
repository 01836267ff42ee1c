"""Loops without a trainer: PyTorch, accelerate, and torch.distributed, with real processes and a scripted agent."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import lightsweep
from lightsweep.channel.messages import LogReply
from lightsweep.channel.server import ChannelServer
from lightsweep.client import serving
from lightsweep.errors import AgentLostError, LightsweepError
from lightsweep.integrations.distributed import on_every_rank
from scripted import ScriptedHandler

DISTRIBUTED = """
    import json, os, sys
    from pathlib import Path
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel
    import lightsweep
    from lightsweep.errors import LightsweepError
    from lightsweep.integrations.distributed import on_every_rank

    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(rank)
    model = DistributedDataParallel(torch.nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    done, how = 0, "finished"
    try:
        with lightsweep.init(config={"epochs": 6}) as run:
            shared = on_every_rank(run)
            assert run.rank == rank
            for epoch in range(shared.config.epochs):
                optimizer.zero_grad()
                loss = model(torch.randn(4, 2)).pow(2).mean()
                loss.backward()
                optimizer.step()
                how = "left"
                shared.log({"val_loss": 10.0 * (rank + 1) + epoch}, step=epoch)   # each rank sees another value
                done += 1
            how = "finished"
    except LightsweepError as error:
        how = str(error)
    weights = [round(float(value), 6) for value in model.module.weight.flatten()]
    Path(sys.argv[1], f"rank-{rank}.json").write_text(
        json.dumps({"done": done, "how": how, "counted": run.iterations, "weights": weights})
    )
    dist.destroy_process_group()
"""

ACCELERATE = """
    import json, sys
    from pathlib import Path
    import torch
    from accelerate import Accelerator
    from torch.utils.data import DataLoader, TensorDataset
    import lightsweep
    from lightsweep.integrations.distributed import on_every_rank

    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True)
    model = torch.nn.Linear(2, 1)
    data = DataLoader(TensorDataset(torch.randn(16, 2), torch.randn(16, 1)), batch_size=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    model, optimizer, data = accelerator.prepare(model, optimizer, data)
    done, losses = 0, []
    with lightsweep.init(config={"epochs": 6}) as run:
        shared = on_every_rank(run)
        for epoch in range(run.config.epochs):
            total = torch.zeros(())
            for inputs, targets in data:
                optimizer.zero_grad()
                loss = (model(inputs) - targets).pow(2).mean()
                accelerator.backward(loss)
                optimizer.step()
                total += loss.detach()
            losses.append(float(accelerator.reduce(total, "mean")))
            shared.log({"val_loss": losses[-1]}, step=epoch)
            done += 1
    Path(sys.argv[1], f"rank-{accelerator.process_index}.json").write_text(
        json.dumps({"done": done, "losses": losses, "ranks": accelerator.num_processes})
    )
    accelerator.end_training()
"""


class Refusing(ScriptedHandler):
    """Answers the second report with an error."""

    def log(self, message: Any) -> LogReply:
        answer = super().log(message)
        if len(self.logs) == 2:
            raise LightsweepError("the storage is full")
        return answer


def launch(tmp_path: Path, handler: ScriptedHandler, script: str, launcher: list[str]) -> list[dict[str, Any]]:
    """Return the notes of each rank of the script, in the order of the ranks."""
    program = tmp_path / "train.py"
    program.write_text(textwrap.dedent(script))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP")}
    with ChannelServer() as server:
        address = server.register("0007", handler)
        done = subprocess.run(
            [sys.executable, *launcher, str(program), str(tmp_path)],
            cwd=tmp_path,
            env={**environment, **address, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(path.read_text()) for path in sorted(tmp_path.glob("rank-*.json"))]


def two_ranks() -> list[str]:
    """torchrun, which accelerate on CPUs is launched by too; on a free port, since other tests may launch some now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        str(port),
    ]


def train(run: Any, epochs: int, losses: list[float]) -> None:
    """A plain PyTorch loop; its losses go into the list until it is left."""
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs, targets = torch.randn(16, 2), torch.randn(16, 1)
    for epoch in range(epochs):
        optimizer.zero_grad()
        loss = (model(inputs) - targets).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        run.log({"val_loss": loss, "epoch": epoch}, step=epoch)  # a tensor, as loops have it


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("stop_at", [3, None])
def test_a_pytorch_loop(tmp_path: Path, wrapped: bool, stop_at: int | None) -> None:
    handler = ScriptedHandler({"lr": 0.1}, stop_at=stop_at, dir=str(tmp_path))
    losses: list[float] = []
    with serving(handler), lightsweep.init(config={"epochs": 5}) as run:
        train(on_every_rank(run) if wrapped else run, run.config.epochs, losses)
    assert len(losses) == (stop_at or 5)
    assert [log["metrics"]["val_loss"] for log in handler.logs] == losses
    assert [finish["state"] for finish in handler.finishes] == ["pruned" if stop_at else "finished"]


def test_without_an_agent_a_wrapped_run_logs_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with lightsweep.init(config={"lr": 0.1}) as run:
        shared = on_every_rank(run)
        shared.log({"val_loss": 1.0})
        assert not shared.report({"val_loss": 1.0}).stop
        assert shared.config.lr == 0.1
        assert shared.dir == run.dir


def test_what_the_agent_refuses_is_raised(tmp_path: Path) -> None:
    handler = Refusing(dir=str(tmp_path))
    with serving(handler), lightsweep.init() as run:
        shared = on_every_rank(run)
        shared.log({"val_loss": 1.0})
        with pytest.raises(LightsweepError, match="the storage is full") as caught:
            shared.log({"val_loss": 1.0})
    assert not isinstance(caught.value, AgentLostError)


@pytest.mark.slow
def test_two_gloo_ranks_leave_at_the_same_report(tmp_path: Path) -> None:
    handler = ScriptedHandler(stop_at=4, dir=str(tmp_path))
    first, second = launch(tmp_path, handler, DISTRIBUTED, two_ranks())
    assert (first["done"], first["how"]) == (second["done"], second["how"]) == (3, "left")
    assert first["weights"] == second["weights"]
    assert [log["metrics"]["val_loss"] for log in handler.logs] == [10.0, 11.0, 12.0, 13.0]  # rank 0's, and no other
    assert len(handler.starts) == 2
    assert [finish["state"] for finish in handler.finishes] == ["pruned"]


@pytest.mark.slow
def test_what_rank_0_meets_is_raised_on_every_rank(tmp_path: Path) -> None:
    handler = Refusing(dir=str(tmp_path))
    first, second = launch(tmp_path, handler, DISTRIBUTED, two_ranks())
    assert first["how"] == second["how"] == "the storage is full"
    assert first["done"] == second["done"] == 1
    assert {finish["state"] for finish in handler.finishes} == {"failed"}


@pytest.mark.slow
def test_an_accelerate_loop_in_one_process(tmp_path: Path) -> None:
    handler = ScriptedHandler(stop_at=3, dir=str(tmp_path))
    (only,) = launch(tmp_path, handler, ACCELERATE, [])
    assert (only["ranks"], only["done"]) == (1, 2)
    assert [log["metrics"]["val_loss"] for log in handler.logs] == only["losses"]
    assert [finish["state"] for finish in handler.finishes] == ["pruned"]


@pytest.mark.slow
def test_an_accelerate_loop_in_two_processes(tmp_path: Path) -> None:
    handler = ScriptedHandler(stop_at=3, dir=str(tmp_path))
    first, second = launch(tmp_path, handler, ACCELERATE, two_ranks())
    assert first == second
    assert (first["ranks"], first["done"]) == (2, 2)
    assert [log["metrics"]["val_loss"] for log in handler.logs] == first["losses"]
    assert [finish["state"] for finish in handler.finishes] == ["pruned"]
