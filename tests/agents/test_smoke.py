"""Smoke runs of real processes, and their findings."""

from __future__ import annotations

import math
import os
import signal
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Sandbox

from lightsweep.agents import smoke
from lightsweep.agents.active_run import merge_config
from lightsweep.agents.findings import Finding, findings
from lightsweep.agents.launchers.process import RunProcess
from lightsweep.agents.smoke import ENOUGH_REPORTS, Observed, SmokeHandler, smoke_run
from lightsweep.client.loaders import BATCH_LOSS, SMOKE_STEPS, STEP_LOSS
from lightsweep.errors import CommandError, NotFoundError
from lightsweep.schema import SweepConfig

VALUES = {"lr": 0.5, "model.hidden": 8}


def config(**changes: Any) -> SweepConfig:
    return SweepConfig.load(
        {
            "program": "train.py",
            "method": "random",
            "metric": {"name": "val_loss", "goal": "minimize"},
            "parameters": {"lr": {"min": 0.1, "max": 1.0}, "model": {"parameters": {"hidden": {"values": [8, 16]}}}},
            **changes,
        }
    )


def run(sandbox: Sandbox, script: str, timeout: float = 30.0, **changes: Any) -> Observed:
    sandbox.write("train.py", textwrap.dedent(script))
    return smoke_run(config(**changes), VALUES, timeout=timeout)


def test_a_plain_loop_is_stopped_once_it_has_reported_enough(sandbox: Sandbox) -> None:
    seen = run(
        sandbox,
        """
        import lightsweep
        with lightsweep.init(config={"lr": 9, "epochs": 10**9, "model": {"depth": 2}}) as run:
            assert run.smoke and run.active and not run.early_terminate
            assert (run.config.lr, run.config.model.hidden, run.config.model.depth) == (0.5, 8, 2)
            for epoch in range(run.config.epochs):
                run.log({"val_loss": 1 / (1 + epoch)})
        print("after the block", run.dir)
        """,
    )
    assert seen.logged == {"val_loss": [1 / (1 + epoch) for epoch in range(ENOUGH_REPORTS)]}
    assert (seen.connected, seen.stopped, seen.timed_out, seen.exit_code) == (True, True, False, 0)
    assert seen.said == {"state": "pruned", "error": None, "unread": []}
    assert seen.output[0].startswith("after the block ")
    home = Path(seen.output[0].split()[-1])
    assert not home.exists()
    assert sorted(path.name for path in sandbox.directory.iterdir()) == ["train.py"]


def test_a_metric_that_is_no_number_is_named(sandbox: Sandbox) -> None:
    seen = run(
        sandbox,
        """
        import lightsweep
        with lightsweep.init() as run:
            run.config.as_dict()
            run.log({"val_loss": "0.5", "epoch": 1})
        """,
    )
    found = Finding(False, "it logged the metric 'val_loss' as text ('0.5'): log one number")
    assert found in findings(config(), seen, 30.0)


def test_a_parameter_under_another_name_is_told_by_what_the_script_reads(sandbox: Sandbox) -> None:
    seen = run(
        sandbox,
        """
        import lightsweep
        with lightsweep.init(config={"depth": 2}) as run:
            run.config.model.hidden, run.config.depth
            rate = run.config.get("lrate", 1e-3)
            run.log({"val_loss": 1.0})
        """,
    )
    assert seen.said["unread"] == ["lr"]
    assert seen.said["read"] == ["depth", "lrate", "model"]


def test_passes_over_a_loader_are_short(sandbox: Sandbox) -> None:
    script = """
        import lightsweep
        with lightsweep.init() as run:
            from torch.utils.data import DataLoader
            loader = DataLoader(list(range(1000)))
            for epoch in range(100):
                run.log({"val_loss": sum(1 for _ in loader), "length": len(loader)})
            assert False, "it was not stopped"
    """
    sandbox.write("train.py", textwrap.dedent(script))
    seen = smoke_run(config(), VALUES, timeout=60)
    # torch was imported after init(), which the first log sees
    assert seen.logged["val_loss"] == [1000, *[SMOKE_STEPS] * (ENOUGH_REPORTS - 1)]
    assert seen.logged["length"][-1] == SMOKE_STEPS
    sandbox.write("train.py", textwrap.dedent(script).replace("import lightsweep", "import torch, lightsweep"))
    seen = smoke_run(config(), VALUES, timeout=60, steps=3)
    assert seen.logged["val_loss"] == [3, 3, 3]


def test_a_failure_with_cut_loaders_says_so(sandbox: Sandbox) -> None:
    seen = run(
        sandbox,
        """
        import lightsweep
        from torch.utils.data import DataLoader
        with lightsweep.init() as run:
            assert len(list(DataLoader(list(range(100))))) == 100
        """,
    )
    (text,) = [found.text for found in findings(config(), seen, 7) if found.right is False]
    assert text == (
        "it failed (exit code 1): AssertionError:  (train.py:5); its passes over a DataLoader were cut short: "
        "raise the number of steps"
    )


def test_a_misspelt_metric_is_enough_too(sandbox: Sandbox) -> None:
    seen = run(
        sandbox,
        """
        import lightsweep
        with lightsweep.init() as run:
            while True:
                run.log({"val_los": 1.0, "unlike": 2})
        """,
    )
    assert seen.stopped
    assert len(seen.logged["val_los"]) == ENOUGH_REPORTS


def test_steps_of_training_do_not_stop_it_before_the_metric_came(sandbox: Sandbox) -> None:
    seen = run(
        sandbox,
        """
        import lightsweep
        with lightsweep.init() as run:
            for _ in range(100):
                for step in range(3 * 5):
                    run.log({"train_error": step})
                run.log({"val_loss": 1.0})
        """,
    )
    assert len(seen.logged["val_loss"]) == ENOUGH_REPORTS
    assert len(seen.logged["train_error"]) == ENOUGH_REPORTS * 15


def test_a_callback_limits_its_trainer_by_itself(sandbox: Sandbox) -> None:
    seen = run(
        sandbox,
        f"""
        import lightsweep
        with lightsweep.init() as run:
            for epoch in range(20):
                run.log({{{BATCH_LOSS!r}: 1.0 - epoch / 20, "val_loss": 1.0}})
        """,
    )
    assert not seen.stopped
    assert len(seen.logged["val_loss"]) == 20


@pytest.mark.slow
def test_a_hanging_script_is_ended_with_all_that_it_started(sandbox: Sandbox) -> None:
    began = time.monotonic()
    seen = run(
        sandbox,
        """
        import os, subprocess, time
        child = subprocess.Popen(["sleep", "600"])
        print(child.pid, flush=True)
        time.sleep(600)
        """,
        timeout=8.0,
    )
    assert seen.timed_out
    assert not seen.connected
    assert time.monotonic() - began < 60
    (line,) = seen.output
    status = Path(f"/proc/{line}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_ctrl_c_while_it_starts_ends_it(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[RunProcess] = []

    class Interrupted(RunProcess):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            started.append(self)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(smoke, "RunProcess", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(sandbox, "import time; time.sleep(600)")
    with pytest.raises(ProcessLookupError):
        os.kill(started[0].pid, 0)


def test_what_the_script_itself_changes_is_said(sandbox: Sandbox) -> None:
    (sandbox.directory / "models" / ".cache").mkdir(parents=True)
    for name in ("models/best.pt", "models/old.pt", "models/other.pt"):
        (sandbox.directory / name).write_text("weeks of training")
    seen = run(
        sandbox,
        """
        import os
        from pathlib import Path
        import lightsweep
        with lightsweep.init() as run:
            (run.dir / "mine").write_text("nowhere else")
            if not run.smoke:
                Path("models/other.pt").write_text("in runs that count")
            Path("models/best.pt").write_text("a trial")
            Path("models/old.pt").unlink()
            Path("models/new.pt").write_text("a trial")
            Path("models/.cache/x").write_text("hidden")
            print(os.environ["WANDB_MODE"], Path(os.environ["TENSORBOARD_LOGGING_DIR"]).parent == run.dir)
        """,
    )
    assert seen.changed == ["overwrote 'models/best.pt'", "removed 'models/old.pt'", "made 'models/new.pt'"]
    assert seen.output == ["disabled True"]
    text = (
        "it wrote outside of the smoke run's directory: overwrote 'models/best.pt', removed 'models/old.pt', made "
        "'models/new.pt'; save below run.dir, or only `if not run.smoke`"
    )
    assert findings(config(), seen, 30.0)[-1] == Finding(None, text)


def test_too_many_files_to_look_at_are_said(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "_MOST_FILES", 0)
    seen = run(sandbox, "import lightsweep; lightsweep.init()")
    assert findings(config(), seen, 30.0)[-1] == Finding(
        None, "cannot tell which files it changed: there are too many here"
    )


def test_the_storage_is_kept_from_it(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSWEEP_STORAGE", "postgresql://me:secret@nowhere/db")
    seen = run(sandbox, "import os; print(os.environ.get('LIGHTSWEEP_STORAGE'))")
    assert seen.output == ["None"]


def test_what_cannot_be_started(sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundError, match=r"'train\.py' is neither in"):
        smoke_run(config(), VALUES, timeout=1)
    with pytest.raises(CommandError, match="does not say what to run"):
        smoke_run(config(program=None), VALUES, timeout=1)


def test_a_failure_is_not_overwritten_by_another_process_of_the_run(tmp_path: Path) -> None:
    handler = SmokeHandler(config(), VALUES, tmp_path)
    handler.finish({"state": "failed", "error": "rank 1: no memory", "unread": None})
    handler.finish({"state": "finished", "error": None, "unread": []})
    assert handler.observed.said["error"] == "rank 1: no memory"


def test_configs_merge_group_by_group() -> None:
    assert merge_config({"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"b": 3}, "d": {"e": 1}}) == {
        "a": {"b": 3, "c": 2},
        "d": {"e": 1},
    }


# What is said of a run.


def observed(
    logged: dict[str, list[float]] | None = None, *, unread: list[str] | None = None, **changes: Any
) -> Observed:
    said = {"state": "finished", "error": None, "unread": [] if unread is None else unread}
    made = Observed(connected=True, logged={"val_loss": [2.0, 1.0]} if logged is None else logged, said=said)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def wrong(seen: Observed, **changes: Any) -> list[str]:
    return [finding.text for finding in findings(config(**changes), seen, 7) if finding.right is False]


def test_nothing_is_wrong_with_a_good_run() -> None:
    assert findings(config(), observed(seconds=1.26, stopped=True), 300) == [
        Finding(True, "it stopped on request after enough reports (1.3 s)"),
        Finding(True, "it connected: lightsweep.init() was called"),
        Finding(True, "it read every parameter that is searched: 'lr', 'model.hidden'"),
        Finding(True, "it logged the metric 'val_loss', 2 times"),
        Finding(True, "'val_loss' fell from 2 to 1 in 2 reports"),
    ]


def test_a_script_that_never_connects() -> None:
    assert wrong(Observed()) == [
        "it never connected: call lightsweep.init() in the script, or give its trainer SweepCallback()"
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"timed_out": True, "exit_code": -15},
            "it did not end within 7 s and was ended; raise the smoke timeout",
        ),
        ({"exit_code": 3}, "it failed (exit code 3)"),
        ({"exit_code": -9, "said": {}}, "it failed (ended by signal 9)"),
        ({"said": {"state": "failed", "error": "boom", "unread": []}, "exit_code": 1}, "it failed (exit code 1): boom"),
        ({"said": {"state": "failed", "error": "rank 1: boom", "unread": []}}, "it failed (exit code 0): rank 1: boom"),
    ],
)
def test_bad_ends(changes: dict[str, Any], text: str) -> None:
    assert wrong(observed(**changes)) == [text]


def test_a_parameter_that_is_never_read() -> None:
    text = "it never read 'model.hidden', so varying that has no effect"
    assert wrong(observed(unread=["model.hidden"])) == [f"{text}; it read 'lr'"]
    assert wrong(observed(unread=["lr", "model.hidden"])) == [
        "it never read 'lr', 'model.hidden', so varying that has no effect"
    ]


def test_a_parameter_that_the_script_reads_under_another_name() -> None:
    said = {"state": "finished", "error": None, "unread": ["lr"], "read": ["learnin_rate", "lrs", "depth"]}
    assert wrong(observed(said=said)) == [
        "it never read 'lr', so varying that has no effect ('lr'; did you mean 'lrs'?); it read 'model.hidden'"
    ]


@pytest.mark.parametrize("code", [1, 3, -15])
def test_a_script_that_was_asked_to_stop_has_stopped_whatever_its_exit_code(code: int) -> None:
    said = {"state": "failed", "error": "RunPruned", "unread": []}
    assert wrong(observed(stopped=True, exit_code=code)) == []
    assert wrong(observed(stopped=True, exit_code=code, said=said)) == []


def test_a_script_that_finished_and_was_ended_by_a_signal_then_has_finished() -> None:
    assert wrong(observed(exit_code=-15)) == []
    assert wrong(observed(exit_code=143)) == []


def test_one_crash_is_one_fault() -> None:
    failed = {"state": "failed", "error": "ValueError: no data", "unread": ["lr", "model.hidden"]}
    assert wrong(Observed(exit_code=1, output=["Traceback", "ModuleNotFoundError: no torch"])) == [
        "it failed (exit code 1): ModuleNotFoundError: no torch"
    ]
    crash = observed({}, said=failed, exit_code=1)
    assert wrong(crash) == ["it failed (exit code 1): ValueError: no data"]
    texts = [finding.text for finding in findings(config(), crash, 7)]
    assert "it had not read 'lr', 'model.hidden'" in texts
    assert "it had not logged the metric 'val_loss'; it logged nothing" in texts
    assert wrong(observed({"val_los": [1.0]}, said=failed, exit_code=1)) == [
        "it failed (exit code 1): ValueError: no data",
        "it had not logged the metric 'val_loss'; it logged 'val_los'; did you mean 'val_los'?",
    ]
    assert wrong(Observed(timed_out=True)) == ["it did not end within 7 s and was ended; raise the smoke timeout"]


def test_reading_that_cannot_be_seen_is_not_wrong() -> None:
    by_arguments = {"state": "finished", "error": None, "unread": None}
    assert wrong(observed(said=by_arguments)) == []
    texts = [finding.text for finding in findings(config(), observed(said=by_arguments), 1)]
    text = "it read nothing from run.config: right only if it takes 'lr', 'model.hidden' from its command line"
    assert text in texts
    assert wrong(observed(said={}, exit_code=1)) == ["it failed (exit code 1)"]
    assert wrong(observed(), parameters={"lr": {"value": 1}}) == []


def test_another_metric() -> None:
    assert wrong(observed({"val_los": [2.0, 1.0]})) == [
        "it never logged the metric 'val_loss'; it logged 'val_los'; did you mean 'val_los'?"
    ]
    assert wrong(observed({BATCH_LOSS: [2.0, 1.0]})) == ["it never logged the metric 'val_loss'; it logged nothing"]
    assert wrong(observed({"val_loss": [math.nan]})) == [
        "it logged the metric 'val_loss', but never with a finite number"
    ]


def test_several_metrics_and_none() -> None:
    both = [{"name": "val_loss", "goal": "minimize"}, {"name": "size", "goal": "minimize"}]
    assert wrong(observed(), metric=None, metrics=both) == ["it never logged the metric 'size'; it logged 'val_loss'"]
    assert wrong(observed(), metric=None) == []


@pytest.mark.parametrize(
    ("logged", "goal", "right", "text"),
    [
        (
            {BATCH_LOSS: [3, 4, 1], "val_loss": [1, 2]},
            "minimize",
            True,
            "the loss on one batch fell from 3 to 1 in 3 steps",
        ),
        (
            {STEP_LOSS: [1, 5, 5, 5, 1, 1, 1, 2]},  # by single values it would rise
            "minimize",
            True,
            "the training loss fell from 3 to 1.5 in 8 steps",
        ),
        ({BATCH_LOSS: [3, 4, 3]}, "minimize", False, "the loss on one batch did not fall: from 3 to 3 in 3 steps"),
        (
            {BATCH_LOSS: [3, math.nan]},
            "minimize",
            False,
            "the loss on one batch went from 3 to nan in 2 steps: it diverges with these parameters",
        ),
        ({"train_loss": [3, 1], "val_loss": [1, 2]}, "minimize", True, "'train_loss' fell from 3 to 1 in 2 reports"),
        (
            {"loss": [1, 3], "val_loss": [2, 1]},
            "minimize",
            None,
            "'loss' did not fall: from 1 to 3 in 2 reports, which may be due to these parameters",
        ),
        (
            {STEP_LOSS: [1, 5]},
            "minimize",
            None,
            "the training loss did not fall: from 1 to 5 in 2 steps, which may be due to these parameters",
        ),
        (
            {"val_loss": [1, math.nan]},
            "minimize",
            None,
            "'val_loss' went from 1 to nan in 2 reports: it diverges with these parameters",
        ),
        ({"val_los": [3, 2, 1]}, "minimize", True, "'val_los' fell from 3 to 1 in 3 reports"),
        ({"val_loss": [1, 3]}, "maximize", True, "'val_loss' rose from 1 to 3 in 2 reports"),
        (
            {"val_loss": [3, 3]},
            "maximize",
            None,
            "'val_loss' did not rise: from 3 to 3 in 2 reports, which may be due to these parameters",
        ),
        (
            {"val_loss": [3]},
            "minimize",
            None,
            "cannot tell whether it learns: it logged neither a loss nor the metric twice",
        ),
    ],
)
def test_whether_it_learns(logged: dict[str, list[float]], goal: str, right: bool | None, text: str) -> None:
    given = config(metric={"name": "val_loss", "goal": goal})
    assert findings(given, observed(logged), 1)[-1] == Finding(right, text)


def test_a_script_need_not_read_what_does_not_exist_in_its_run(tmp_path: Path) -> None:
    parameters = {
        "lr": {"min": 0.1, "max": 1.0},
        "optimizer": {"values": ["adam", "sgd"]},
        "momentum": {"min": 0.0, "max": 0.9},
    }
    loaded = config(parameters=parameters, lightsweep={"when": {"momentum": {"optimizer": "sgd"}}})
    swept = []
    for values in ({"lr": 0.5, "optimizer": "adam"}, {"lr": 0.5, "optimizer": "sgd", "momentum": 0.5}):
        handler = SmokeHandler(loaded, values, tmp_path)
        swept.append(handler.start({}).swept)
        handler.observed.said = {"state": "finished", "unread": []}
        names = ", ".join(map(repr, sorted(values)))
        read = Finding(True, f"it read every parameter that is searched: {names}")
        assert read in findings(loaded, handler.observed, 30.0)
    assert swept == [["lr", "optimizer"], ["lr", "momentum", "optimizer"]]
