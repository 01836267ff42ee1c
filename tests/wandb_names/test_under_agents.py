"""Scripts as people write them for W&B, with one line changed, under a real agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sandboxes import Sandbox

import lightsweep
from lightsweep import Sweep

EVERYTHING_AFTER_TRAINING = """
    import numpy as np
    import lightsweep as wandb

    run = wandb.init(project="p", tags=["a"], group="g", config={"epochs": 2})
    config = wandb.config
    for epoch in range(config.epochs):
        wandb.log({"loss": config.x + epoch, "sample": wandb.Image(np.zeros((4, 4)))}, step=epoch * 100)
    table = wandb.Table(columns=["id", "guess"])
    table.add_data(1, wandb.Image(np.zeros((2, 2))))
    wandb.log({"predictions": table, "matrix": wandb.plot.confusion_matrix(y_true=[0, 1], preds=[0, 0])})
    artifact = wandb.Artifact("model", type="model")
    with artifact.new_file("weights.txt") as file:
        file.write(str(config.x))
    run.log_artifact(artifact, aliases=["best"] if config.x == 1 else [])
    wandb.run.summary["note"] = {"x": config.x}
    print(run.url, run.name, run.path, wandb.run.step)
    wandb.finish()
"""

USES_THE_BEST = """
    import lightsweep as wandb

    with wandb.init() as run:
        folder = run.use_artifact("model:best").download()
        run.log({"loss": float(open(folder + "/weights.txt").read())})
"""


def test_media_tables_and_artifacts_of_each_run_are_kept(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(EVERYTHING_AFTER_TRAINING, parameters={"x": {"values": [1, 2]}})
    done = sandbox.call("agent", sweep)
    assert done.returncode == 0, done.stderr
    runs = sandbox.runs(sweep)
    assert [run.state for run in runs] == ["finished"] * 2
    for run in runs:
        home = sandbox.directory / "lightsweep_runs" / sweep / run.id
        index = json.loads((home / "media" / "index.json").read_text())
        assert [(each["name"], each["kind"], each["step"]) for each in index["files"]] == [
            ("sample", "image", 0),
            ("sample", "image", 100),
            ("predictions", "table", 100),
            ("matrix", "table", 100),
        ]
        assert json.loads((home / "summary.json").read_text())["note"] == {"x": run.values["x"]}
    again = sandbox.sweep(USES_THE_BEST, parameters={"x": {"values": [1]}})
    assert sandbox.call("agent", again).returncode == 0
    assert sandbox.runs(again)[0].best == 1.0


def test_a_sweep_may_name_the_largest_value_that_define_metric_keeps(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(
        """
        import lightsweep as wandb

        wandb.init()
        wandb.define_metric("acc", summary="max")
        for acc in (0.5, 0.9, 0.7):
            wandb.log({"acc": acc})
        """,
        parameters={"x": {"values": [1]}},
        metric={"name": "acc.max", "goal": "maximize"},
    )
    assert sandbox.call("agent", sweep).returncode == 0
    (run,) = sandbox.runs(sweep)
    assert (run.best, run.history) == (0.9, (0.5, 0.9, 0.9))


def test_a_metric_that_is_only_written_to_the_summary_counts_once(sandbox: Sandbox) -> None:
    script = """
        import lightsweep as wandb

        wandb.init()
        for loss in (3.0, 1.0, 2.0):
            wandb.log({"loss": loss})
        wandb.run.summary["best_loss"] = 1.0
        wandb.run.summary["loss"] = 0.5
        wandb.summary.update({"test": {"acc": 0.75}})
    """
    sweep = sandbox.sweep(script, parameters={"x": {"values": [1]}}, metric={"name": "best_loss"})
    assert sandbox.call("agent", sweep).returncode == 0
    (run,) = sandbox.runs(sweep)
    assert (run.state, run.best, run.iterations) == ("finished", 1.0, 1)
    assert run.metrics["test.acc"]["last"] == 0.75
    sweep = sandbox.sweep(script, parameters={"x": {"values": [1]}})
    assert sandbox.call("agent", sweep).returncode == 0
    (run,) = sandbox.runs(sweep)
    assert run.history == (3.0, 1.0, 2.0)
    assert run.metrics["best_loss"]["last"] == 1.0


def test_a_run_that_fails_after_mark_preempting_is_retried(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(
        """
        import sys
        from pathlib import Path
        import lightsweep as wandb

        run = wandb.init()
        wandb.mark_preempting()
        wandb.log({"loss": 2.0})
        if not Path("second").exists():
            Path("second").touch()
            sys.exit(3)
        """,
        parameters={"x": {"values": [1]}},
    )
    done = sandbox.call("agent", sweep)
    assert done.returncode == 0, done.stderr
    (run,) = sandbox.runs(sweep)
    assert (run.state, run.attempt) == ("finished", 2)
    assert "marked as preempting, then exit code 3" in done.stdout + done.stderr


LOCKED = """
    import {module} as wandb

    run = wandb.init(config={{"depth": 3}})
    config = wandb.config
    config.x = 7
    config["x"] = 8
    config.new = 1
    wandb.log({{"loss": config.x}})
"""


def test_assigning_a_parameter_of_the_sweep_is_ignored_in_scripts_for_wandb(sandbox: Sandbox) -> None:
    sweep = sandbox.sweep(LOCKED.format(module="lightsweep"), parameters={"x": {"values": [1]}})
    done = sandbox.call("agent", sweep)
    assert sandbox.runs(sweep)[0].best == 1.0
    assert (done.stdout + done.stderr).count("lightsweep: config.x = ... is ignored: the sweep sets it") == 2


def test_other_keys_and_other_scripts_still_refuse(sandbox: Sandbox) -> None:
    ours = """
    import lightsweep

    run = lightsweep.init()
    run.config.x = 7
    """
    sweep = sandbox.sweep(ours, parameters={"x": {"values": [1]}})
    assert "config key 'x' is 1 and cannot become 7" in sandbox.call("agent", sweep).stdout
    theirs = """
    import lightsweep as wandb

    wandb.init(config={"depth": 3})
    wandb.config.depth = 4
    """
    sweep = sandbox.sweep(theirs, parameters={"x": {"values": [1]}})
    assert "config key 'depth' is 3 and cannot become 4" in sandbox.call("agent", sweep).stdout


def test_media_of_a_training_function(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    raw = {"method": "grid", "metric": {"name": "loss"}, "parameters": {"x": {"values": [1]}}}
    sweep = Sweep.create(raw, storage=sandbox.storage)

    def train() -> None:
        lightsweep.init()
        lightsweep.log({"loss": 1.0, "page": lightsweep.Html("<b>bold</b>")})
        lightsweep.run.summary["x"] = [1]

    lightsweep.agent(sweep.id, function=train, storage=sandbox.storage)
    home = Path("lightsweep_runs") / sweep.id / sweep.runs[0].id
    assert (home / "media" / "page" / "0_0.html").read_text() == "<b>bold</b>"
    assert json.loads((home / "summary.json").read_text()) == {"loss": 1.0, "x": [1]}
