"""Loops without a trainer that log by ``on_every_rank``; test_ranks.py has ranks that are stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from launches import Launch

import lightsweep
from lightsweep.channel.messages import LogReply
from lightsweep.errors import LightsweepError
from lightsweep.integrations.distributed import on_every_rank
from scripted import ScriptedHandler


class Refusing(ScriptedHandler):
    """Answers the second report with an error."""

    def log(self, message: Any) -> LogReply:
        answer = super().log(message)
        if len(self.logs) == 2:
            raise LightsweepError("the storage is full")
        return answer


def test_without_an_agent_a_wrapped_run_logs_to_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with lightsweep.init(config={"lr": 0.1}) as run:
        shared = on_every_rank(run)
        shared.log({"val_loss": 1.0})
        assert not shared.report({"val_loss": 1.0}).stop
        assert shared.config.lr == 0.1
        assert shared.dir == run.dir


@pytest.mark.slow
def test_what_rank_0_meets_is_raised_on_every_rank(tmp_path: Path) -> None:
    with Launch(tmp_path / "run", "plain-torchrun", handler_class=Refusing) as launch:
        assert launch.wait() == 1, launch.text
    assert launch.notes() == [["batch 0", "validation 1", "batch 1", "validation 2"]] * 2
    assert "LightsweepError: the storage is full" in launch.text
    assert launch.handler.finishes[0]["state"] == "failed"
