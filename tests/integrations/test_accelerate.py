"""accelerate's tracker; two real processes are in test_ranks.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate import Accelerator

import lightsweep
from lightsweep.client import serving
from lightsweep.errors import RunPruned
from lightsweep.integrations.accelerate import SweepTracker
from scripted import ScriptedHandler


def test_the_config_of_the_project_keeps_the_values_of_the_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    handler = ScriptedHandler({"lr": 0.1}, swept=("lr",))
    with serving(handler), lightsweep.init() as run:
        accelerator = Accelerator(cpu=True, log_with=SweepTracker())
        accelerator.init_trackers("project", {"lr": 0.3, "epochs": 3})
        assert run.config.as_dict() == {"lr": 0.1, "epochs": 3}
    assert "the sweep's values stay: lr" in capsys.readouterr().err


def test_the_tracker_starts_the_run_if_the_script_has_not() -> None:
    handler = ScriptedHandler(stop_at=1)
    with serving(handler):
        accelerator = Accelerator(cpu=True, log_with=SweepTracker())
        accelerator.init_trackers("project")
        run = lightsweep.run
        with pytest.raises(RunPruned):
            accelerator.log({"val_loss": 1.0})
        assert run is not None
        run.finish()
    assert [finish["state"] for finish in handler.finishes] == ["pruned"]


def test_check_raises_after_a_report_that_was_answered_with_stop(tmp_path: Path) -> None:
    tracker = SweepTracker()
    tracker.check()
    with serving(ScriptedHandler(stop_at=1)), pytest.raises(RunPruned, match="band 3"):
        with lightsweep.init() as run:
            tracker.start()
            with pytest.raises(RunPruned):
                tracker.log({"val_loss": 1.0})
            assert tracker.tracker is run
        tracker.check()
