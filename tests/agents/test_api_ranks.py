"""`agent(function=...)` in the ranks of a distributed training, and the parameters that a run gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sandboxes import Sandbox

import lightsweep
from lightsweep import UsageError
from lightsweep.agents.apply import AppliedHandler
from lightsweep.agents.smoke import SmokeHandler
from lightsweep.controller import Sweep

CONFIG: dict[str, Any] = {
    "method": "grid",
    "metric": {"name": "loss"},
    "parameters": {"x": {"values": [1, 2]}, "model": {"parameters": {"depth": {"value": 3}}}},
}


@pytest.mark.parametrize("variables", [{"RANK": "1", "LOCAL_RANK": "0"}, {"LOCAL_RANK": "2"}])
def test_a_rank_above_0_takes_no_runs(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    sweep = Sweep.create(CONFIG, storage=sandbox.storage)
    with monkeypatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        number = variables.get("RANK", variables["LOCAL_RANK"])
        with pytest.raises(UsageError, match=rf"rank {number} .*give the sweep a `program`.*isolate=True"):
            lightsweep.agent(sweep.id, function=lightsweep.init, storage=sandbox.storage)
    assert sandbox.runs(sweep.id) == []


def test_an_update_after_init_keeps_what_the_sweep_sets(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def train() -> None:
        with lightsweep.init(config={"epochs": 5}) as run:
            run.config.update({"x": 9, "model": {"depth": 9}, "seed": 1})
            with pytest.raises(UsageError, match="'epochs' is 5"):
                run.config.update({"x": 9, "epochs": 9})
            run.config.update({"epochs": 7}, allow_val_change=True)
            seen.append(run.config.as_dict())
            run.log({"loss": 1})

    sweep = Sweep.create(CONFIG, storage=sandbox.storage)
    lightsweep.agent(sweep.id, function=train, count=1, storage=sandbox.storage)
    assert seen == [{"x": 1, "model": {"depth": 3}, "epochs": 7, "seed": 1}]
    lines = [line for line in capsys.readouterr().err.splitlines() if "update" in line]
    assert lines == ["lightsweep: config.update(): the sweep's values stay: x, model.depth"]


def test_every_handler_names_all_parameters(sandbox: Sandbox, tmp_path: Path) -> None:
    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": 1})

    sweep = Sweep.create(CONFIG, storage=sandbox.storage)
    lightsweep.agent(sweep.id, function=train, count=1, storage=sandbox.storage)
    (run,) = sandbox.runs(sweep.id)
    for handler in (
        SmokeHandler(sweep.config, {"x": 1, "model.depth": 3}, tmp_path),
        AppliedHandler(sweep, run, tmp_path),
    ):
        answer = handler.start({})
        assert (answer.swept, answer.set) == (["x"], ["model.depth", "x"])
