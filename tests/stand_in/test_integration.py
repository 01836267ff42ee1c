"""Scripts with W&B's callbacks for trainers, or accelerate's tracker of W&B, under the real agent."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandboxes import Sandbox

from lightsweep import Sweep

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "metric"),
    [
        ("keras_callbacks.py", "epoch/val_loss"),
        ("keras_older.py", "val_loss"),
        ("xgboost_callback.py", "validation_0-rmse"),
        ("lightgbm_callback.py", "valid_0_l2"),
    ],
)
def test_each_reports_and_is_stopped_at_a_band(sandbox: Sandbox, script: str, metric: str) -> None:
    assert "Traceback" not in swept(sandbox, metric, str(SCRIPTS / script))


@pytest.mark.slow
def test_two_ranks_with_accelerates_tracker_end_as_pruned(sandbox: Sandbox) -> None:
    """accelerate calls trackers on rank 0 only, so the agent ends the other rank before it misses rank 0."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    text = swept(sandbox, "val_loss", *launcher, str(SCRIPTS / "accelerate_ranks.py"))
    assert "Traceback" not in text
    assert text.count("stopped at band 2") == 1
    assert text.count("printed at the end") == 2, "by both ranks of the first run"


def swept(sandbox: Sandbox, metric: str, *command: str) -> str:
    """Run a sweep of two points, the second of which is stopped at band 2; return what was printed."""
    config = {
        "command": ["${interpreter}", *command, "${args}"],
        "method": "grid",
        "metric": {"name": metric},
        "parameters": {"lr": {"values": [0.3, 0.01]}},
        "early_terminate": {"type": "hyperband", "min_iter": 2},
        "lightsweep": {"stand_in": "wandb"},
    }
    sweep = Sweep.create(config, storage=sandbox.storage)
    done = sandbox.call("agent", sweep.id)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = sandbox.runs(sweep.id)
    assert (first.state, second.state) == ("finished", "pruned"), done.stdout
    assert (first.iterations, second.iterations) == (5, 2)
    assert not (sandbox.directory / "wandb").exists()
    return done.stdout
