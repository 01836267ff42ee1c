"""XGBoost's callback: names, ends, checkpoints and several workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
import xgboost.tracker

import lightsweep
from lightsweep.client import serving
from lightsweep.errors import RunPruned
from lightsweep.integrations.xgboost import SweepCallback
from scripted import ScriptedHandler

X = np.linspace(-1, 1, 64).reshape(-1, 1)
Y = 3 * X[:, 0] + 0.5
QUIET: dict[str, Any] = {"nthread": 1, "max_depth": 2, "eta": 0.1}


def train(rounds: int = 4, callbacks: Any = None, **options: Any) -> xgboost.Booster:
    data = xgboost.DMatrix(X, Y)
    return xgboost.train(
        QUIET,
        data,
        rounds,
        evals=[(data, "train"), (xgboost.DMatrix(X[::2], Y[::2]), "eval")],
        callbacks=[SweepCallback()] if callbacks is None else callbacks,
        verbose_eval=False,
        **options,
    )


def reported(handler: ScriptedHandler, name: str) -> list[float]:
    return [log["metrics"][name] for log in handler.logs if name in log["metrics"]]


def test_every_number_of_a_round_is_logged_by_xgboosts_name() -> None:
    handler = ScriptedHandler(metric="eval-rmse")
    results: dict[str, Any] = {}
    with serving(handler), lightsweep.init():
        train(evals_result=results)
    assert reported(handler, "eval-rmse") == results["eval"]["rmse"]
    assert reported(handler, "train-rmse") == results["train"]["rmse"]
    assert [log.get("last", False) for log in handler.logs] == [False, False, False, True]


def test_cross_validation_reports_means() -> None:
    handler = ScriptedHandler(metric="test-rmse-mean", stop_at=3)
    with serving(handler), lightsweep.init(), pytest.raises(RunPruned):
        xgboost.cv(QUIET, xgboost.DMatrix(X, Y), 9, nfold=2, callbacks=[SweepCallback()])
    assert len(reported(handler, "test-rmse-mean")) == len(reported(handler, "test-rmse-std")) == 3


class Killed(xgboost.callback.TrainingCallback):  # type: ignore[misc, unused-ignore]
    """Ends the training after some rounds, without the report of the last one."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return epoch >= self.rounds


WORKER = """
import sys
sys.path[:0] = sys.argv[3:]
import xgboost
import lightsweep
from lightsweep.client import serving
from lightsweep.integrations.xgboost import SweepCallback
from scripted import ScriptedHandler
from test_xgboost import train

handler = ScriptedHandler(metric="eval-rmse", stop_at=3)
arguments = {"dmlc_communicator": "rabit", "dmlc_tracker_uri": "127.0.0.1", "dmlc_tracker_port": int(sys.argv[2])}
with xgboost.collective.CommunicatorContext(**arguments, dmlc_task_id=sys.argv[1]):
    with serving(handler), lightsweep.init():
        model = train(9, callbacks=[SweepCallback(on_prune="stop")])
        print("rank", xgboost.collective.get_rank(), model.num_boosted_rounds(), len(handler.logs))
"""


@pytest.mark.slow
def test_two_workers_leave_at_the_same_round(tmp_path: Path) -> None:
    """Rank 0 alone has what the agent says."""
    tracker = xgboost.tracker.RabitTracker(host_ip="127.0.0.1", n_workers=2)
    tracker.start()
    port = str(tracker.worker_args()["dmlc_tracker_port"])
    here = Path(__file__).parent
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), port, str(here), str(here.parent)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    texts = [worker.communicate(timeout=240)[0] for worker in workers]
    tracker.wait_for()
    assert sorted(line for text in texts for line in text.splitlines() if line.startswith("rank")) == [
        "rank 0 3 3",
        "rank 1 3 0",
    ]
