"""Make the old storage of ``tests/storage/test_old_storage.py``, and a file that says what is in it.

Usage, in a checkout of commit 887819d, makes ``887819d.db`` and ``887819d.json``::

    python make.py DIRECTORY

Every sweep is worked on by real agents and left as it is told below. Sweeps get readable ids. Never make the two files
anew with later code: they show that what users already have keeps working.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna

import lightsweep
from lightsweep import Sweep

MIXED: dict[str, Any] = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
    "dropout": {"distribution": "q_uniform", "min": 0.0, "max": 0.5, "q": 0.1},
    "noise": {"distribution": "normal", "mu": 0.0, "sigma": 1.0},
    "flag": {"values": [True, 1, "1", None, 0.5]},
    "model": {"parameters": {"width": {"values": [8, 16, 32]}, "depth": {"min": 1, "max": 4}}},
    "epochs": {"value": 4},
}
BANDS = {"type": "hyperband", "min_iter": 1, "eta": 2}
PLACE = Path(sys.argv[1]).resolve()
FILE = PLACE / "sweeps.db"


def sweep(name: str, *, prior_runs: tuple[str, ...] = (), **config: Any) -> None:
    """Create a sweep and call it ``name``."""
    raw = {"program": "train.py", "metric": {"name": "loss"}, "parameters": MIXED, **config}
    raw["lightsweep"] = {"seed": 1, "lease": 5, **config.get("lightsweep", {})}
    made = Sweep.create(raw, prior_runs=prior_runs, storage=f"sqlite:///{FILE}")
    made.storage.close()
    with sqlite3.connect(FILE) as connection:
        connection.execute("UPDATE studies SET study_name = ? WHERE study_name = ?", (name, made.id))
    connection.close()


def train() -> None:
    """Log four losses that follow from the parameters; end by accident where the run's id says so."""
    with lightsweep.init() as run:
        config = run.config
        start = abs(math.log10(config["lr"]) + 3)
        if run.sweep_id == "bayes":
            fail(run)
        if run.sweep_id == "objectives":
            run.log({"loss": start, "accuracy": 1 / (1 + start)})
            return
        for iteration in range(4):
            run.log({"loss": start + 1 / (iteration + 1), "other": iteration})


def fail(run: lightsweep.Run) -> None:
    if run.id == "0003":
        raise ValueError("no such layer")
    if run.id == "0005":
        raise KeyboardInterrupt
    if run.id == "0006":
        for value in (math.nan, 9.0, math.inf):
            run.log({"loss": value})
        sys.exit(0)
    if run.id == "0007" and not run.resumed:
        run.log({"loss": 0.25})
        sys.exit(75)
    if run.id == "0010":
        run.log({"loss": 0.5})
        time.sleep(1)  # until that is written
        os.kill(os.getpid(), signal.SIGKILL)
    if run.id == "0011":
        run.log({"loss": 0.75})
        sys.exit(75)


def points() -> None:
    """Log one loss of a sweep with two flat parameters."""
    with lightsweep.init() as run:
        run.log({"loss": run.config.a + len(run.config.b)})


def work(name: str, count: int | None = None, function: Any = train) -> None:
    lightsweep.agent(name, function=function, count=count, storage=f"sqlite:///{FILE}")


def load(name: str) -> Sweep:
    return Sweep.load(name, storage=f"sqlite:///{FILE}")


def make() -> None:
    sweep("random", method="random", run_cap=6, early_terminate=BANDS)
    work("random")

    sweep("bayes", method="bayes", run_cap=14, early_terminate=BANDS)
    with suppress(KeyboardInterrupt):
        work("bayes", 5)
    work("bayes", 5)  # runs 0006 to 0009, one of them in two attempts
    command = [sys.executable, __file__, str(PLACE), "die"]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL  # run 0010 and its agent
    work("bayes", 1)  # run 0011 is preempted
    load("bayes").retry("0003")

    grid = {"a": {"values": [1, 2, 3]}, "b": {"values": ["x", "yy"]}}
    sweep("grid", method="grid", parameters=grid)
    work("grid", 3, points)
    config = load("grid").config.raw
    load("grid").update({**config, "parameters": {**grid, "a": {"values": [1, 2, 3, 4]}}, "description": "more of it"})
    work("grid", 2, points)
    load("grid").pause()

    stages = [
        {"name": "rate", "parameters": ["lr"], "run_cap": 3, "early_terminate": None},
        {"name": "shape", "parameters": ["model"], "method": "grid"},
        {"parameters": ["dropout"], "run_cap": 2},
    ]
    defaults = {"model.width": 8, "model.depth": 2, "dropout": 0.1, "noise": 0.0, "flag": None}
    stages[0]["defaults"] = defaults
    sweep("stages", method="random", early_terminate=BANDS, lightsweep={"stages": stages})
    work("stages", 6)

    sweep("prior", method="bayes", run_cap=5, prior_runs=("random", "bayes/0001"))
    work("prior", 3)

    scheduler = {"engine": "optuna", "source": "space.py", "search_space": "define"}
    parameters = {"train": {"parameters": {"epochs": {"value": [3, None]}}}}
    sweep("byrun", method="custom", run_cap=5, parameters=parameters, scheduler=scheduler)
    work("byrun", 3)

    both = [{"name": "loss", "goal": "minimize"}, {"name": "accuracy", "goal": "maximize"}]
    sweep("objectives", method="bayes", run_cap=4, metric=None, metrics=both)
    work("objectives", 2)

    sweep("new", method="random", run_cap=2)
    optuna.create_study(storage=f"sqlite:///{FILE}", study_name="foreign").optimize(lambda _: 0.0, n_trials=1)


def contents() -> dict[str, Any]:
    """State and runs of every sweep, as that commit's Python interface shows them."""
    shown = {}
    for found in Sweep.all(storage=f"sqlite:///{FILE}"):
        runs = [dataclasses.asdict(run) for run in found.runs]
        best = found.best_run
        shown[found.id] = {"state": found.state.name, "best": best and best.id, "runs": runs}
        found.storage.close()
    return shown


if __name__ == "__main__":
    socket.gethostname = lambda: "example"  # the host in each agent's name
    if sys.argv[2:] == ["die"]:
        work("bayes", 1)
    FILE.unlink(missing_ok=True)
    os.chdir(Path(__file__).parent)  # where space.py is
    make()
    (PLACE / "887819d.json").write_text(json.dumps(contents(), indent=1, default=str) + "\n")
    kept = PLACE / "887819d.db"
    kept.unlink(missing_ok=True)
    with sqlite3.connect(FILE) as connection:
        connection.execute("VACUUM INTO ?", (str(kept),))
    connection.close()
