"""A cross-validation under an agent: folds in processes of their own, and the mean as the value of the run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sandboxes import Sandbox

FOLDS = """
    import multiprocessing, lightsweep as wandb

    def fold(number, inbox, outbox):
        given = inbox.get()
        run = wandb.init(group=given["sweep"], job_type=given["name"], name=f"fold-{number}", config=given["config"])
        for epoch in range(4):
            run.log({"loss": given["config"]["x"] + number})
        run.finish()
        outbox.put(given["config"]["x"] + number)

    if __name__ == "__main__":
        context = multiprocessing.get_context("METHOD")
        outbox, inbox = context.Queue(), context.Queue()
        workers = [context.Process(target=fold, args=(n, inbox, outbox)) for n in range(3)]
        for worker in workers:
            worker.start()
        parent = wandb.init()
        BEFORE
        for _ in workers:
            inbox.put({"sweep": parent.sweep_id, "name": parent.name, "config": dict(parent.config)})
        parent.log({"loss": sum(outbox.get() for _ in workers) / 3})
        for worker in workers:
            worker.join()
        parent.finish()
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_runs_are_compared_by_what_the_parents_log(sandbox: Sandbox, method: str) -> None:
    sweep = sandbox.sweep(FOLDS.replace("METHOD", method).replace("BEFORE", "pass"))
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = sandbox.runs(sweep)
    assert [(run.state, run.best, run.iterations) for run in runs] == [
        ("finished", 2.0, 1),
        ("finished", 3.0, 1),
        ("finished", 4.0, 1),
    ]
    assert "never read" not in done.stdout
    shown = sandbox.ask("status", f"{sweep}/0002", "--storage", sandbox.storage)
    assert shown.returncode == 0, shown.stderr
    for number in range(3):
        assert f"fold-{number}" in shown.stdout
    assert "history.jsonl: 1 step of loss (1)" in shown.stdout
    assert "parts, which the sweep does not compare:" in shown.stdout
    document = json.loads(sandbox.ask("status", f"{sweep}-0002", "--json", "--storage", sandbox.storage).stdout)
    assert document["history"] == {"steps": 1, "metrics": {"loss": 1}}
    assert sorted(part["metrics"]["loss"]["last"] for part in document["parts"]) == [2, 3, 4]
    assert [part["state"] for part in document["parts"]] == ["finished"] * 3
    assert document["directories"] == [str(sandbox.directory / "lightsweep_runs" / sweep / "0002")]


def test_a_parent_that_fails_beside_its_workers_ends_the_run_with_the_reason(sandbox: Sandbox) -> None:
    began = time.monotonic()
    script = FOLDS.replace("METHOD", "fork").replace("BEFORE", "raise ValueError('no data')")
    sweep = sandbox.sweep(script, parameters={"x": {"values": [1]}})
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    assert time.monotonic() - began < 60
    assert done.returncode == 1
    (run,) = sandbox.runs(sweep)
    assert (run.state, run.reason) == ("failed", "exit code 1: ValueError: no data (train.py:19)")


def test_a_run_whose_parts_alone_log_the_metric_says_so(sandbox: Sandbox) -> None:
    script = FOLDS.replace("METHOD", "fork").replace("BEFORE", "pass").replace("parent.log(", "print(")
    sweep = sandbox.sweep(script, parameters={"x": {"values": [1]}})
    sandbox.call("agent", sweep, "--storage", sandbox.storage)
    (run,) = sandbox.runs(sweep)
    assert run.state == "failed"
    assert run.reason.startswith(
        "it ended without logging the metric 'loss'; what its parts have logged does not count"
    )


def test_workers_that_log_into_the_run_itself_are_told_of(sandbox: Sandbox) -> None:
    script = FOLDS.replace("METHOD", "fork").replace("BEFORE", "pass")
    script = script.replace('group=given["sweep"], job_type=given["name"], ', "")
    sweep = sandbox.sweep(script, parameters={"x": {"values": [1]}})
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    assert "run 0001: 4 of its processes have logged the metric, and each value counts" in done.stdout
    assert not Path(sandbox.directory, "lightsweep_runs", sweep, "0001", "parts").exists()


def test_a_function_that_fails_beside_its_workers_does_not_keep_its_agent(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(parameters={"x": {"values": [1]}})
    script = sandbox.write(
        "work.py",
        f"""
        import multiprocessing, lightsweep

        def fold(inbox):
            inbox.get()

        def train():
            context = multiprocessing.get_context("fork")
            context.Process(target=fold, args=(context.Queue(),)).start()
            lightsweep.init()
            raise ValueError("no data")

        lightsweep.agent({sweep!r}, function=train, storage={sandbox.storage!r})
        """,
    )
    subprocess.run([sys.executable, str(script)], cwd=sandbox.directory, timeout=60, check=False)
    (run,) = sandbox.runs(sweep)
    assert (run.state, run.reason.partition(" (")[0]) == ("failed", "exit code 1: ValueError: no data")


IN_TURN = """
    import os, wandb

    def train(number, sweep_id, name, config):
        for variable in [name for name in os.environ if name.startswith("WANDB_")]:
            del os.environ[variable]
        run = wandb.init(group=sweep_id, job_type=name, name=f"fold-{number}", config=config, reinit=True)
        run.log({"loss": config["x"] + number})
        run.finish()
        return config["x"] + number

    parent = wandb.init()
    name, config = parent.name, dict(parent.config)
    results = [train(number, parent.sweep_id, name, config) for number in range(3)]
    parent = wandb.init(id=parent.id, resume="must")
    parent.log({"loss": sum(results) / 3})
    parent.finish()
"""


@pytest.mark.parametrize("recipe", ["processes", "in turn"])
def test_both_recipes_run_without_a_changed_line(sandbox: Sandbox, recipe: str) -> None:
    script = FOLDS.replace("METHOD", "fork").replace("BEFORE", "pass")
    script = script.replace("multiprocessing, lightsweep as wandb", "multiprocessing, wandb")
    sweep = sandbox.sweep(IN_TURN if recipe == "in turn" else script, lightsweep={"stand_in": "wandb"})
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(run.best, run.iterations) for run in sandbox.runs(sweep)] == [(2.0, 1), (3.0, 1), (4.0, 1)]


LONE = """
    import wandb
    for fold in range(3):
        run = wandb.init(reinit=True, name=f"fold-{fold}")
        for epoch in range(4):
            run.log({"loss": [run.config.x / 10, 5, run.config.x + epoch / 4][fold]})
        run.finish()
"""


def test_of_folds_without_a_parent_the_last_one_counts(sandbox: Sandbox) -> None:
    """The first one would be the best: the run is what W&B would have, the last fold."""
    sweep = sandbox.sweep(LONE, lightsweep={"stand_in": "wandb"})
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = sandbox.runs(sweep)
    assert [(run.best, run.last, run.iterations) for run in runs] == [(1, 1.75, 4), (2, 2.75, 4), (3, 3.75, 4)]
    assert runs[0].history == (1.0, 1.25, 1.5, 1.75)

    shown = sandbox.ask("status", f"{sweep}/0002", "--storage", sandbox.storage).stdout
    assert "4 iterations, best loss 2" in shown
    assert "fold-2" in shown
    assert "parts, of which the sweep compares part 2 only, as the values of the run:" in shown
    document = json.loads(sandbox.ask("status", f"{sweep}/0002", "--json", "--storage", sandbox.storage).stdout)
    assert document["metrics"]["loss"] == {"min": 2, "max": 2.75, "last": 2.75}
    assert [part.get("counts") for part in document["parts"]] == [None, True]
