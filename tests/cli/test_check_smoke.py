"""``lightsweep check --smoke`` on tiny scripts with the mistakes that scripts have."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sandboxes import PATIENCE_SECONDS, Sandbox, wait_until

from lightsweep.cli import main

SWEEP = """
    program: train.py
    method: random
    run_cap: 5
    metric: {name: val_loss, goal: minimize}
    parameters:
      lr: {min: 0.1, max: 1.0}
      width: {values: [8, 16]}
"""
Capture = pytest.CaptureFixture[str]


def smoke(sandbox: Sandbox, capsys: Capture, script: str, *options: str) -> tuple[int, str]:
    """Exit code, and the report of the smoke run."""
    sandbox.write("sweep.yaml", SWEEP)
    sandbox.write("train.py", script)
    code = main(["check", "sweep.yaml", "--smoke", *options])
    out = capsys.readouterr().out
    assert "sample commands:" in out
    assert sorted(path.name for path in sandbox.directory.iterdir()) == ["sweep.yaml", "train.py"]
    return code, " ".join(out.split("smoke run outside of any sweep, with ")[1].split())


def test_a_script_that_is_ready(sandbox: Sandbox, capsys: Capture) -> None:
    code, report = smoke(
        sandbox,
        capsys,
        """
        import lightsweep
        with lightsweep.init() as run:
            for epoch in range(1000):
                run.log({"val_loss": run.config.lr * run.config.width / (1 + epoch)})
        """,
    )
    assert code == 0
    assert "ok it connected" in report
    assert "ok it read every parameter that is searched: 'lr', 'width'" in report
    assert "ok it logged the metric 'val_loss', 5 times" in report
    assert "ok 'val_loss' fell from" in report
    assert report.endswith("the script is ready for the sweep")
    assert "WRONG" not in report


def test_a_wrong_name_and_an_unread_parameter(sandbox: Sandbox, capsys: Capture) -> None:
    code, report = smoke(
        sandbox,
        capsys,
        """
        import lightsweep
        with lightsweep.init() as run:
            for epoch in range(1000):
                run.log({"valid_loss": run.config.lr / (1 + epoch)})
        """,
    )
    assert code == 1
    assert "WRONG it never read 'width', so varying that has no effect; it read 'lr'" in report
    assert "WRONG it never logged the metric 'val_loss'; it logged 'valid_loss'; did you mean 'valid_loss'?" in report
    assert report.endswith("2 things to correct before a sweep")


def test_a_script_that_crashes(sandbox: Sandbox, capsys: Capture) -> None:
    code, report = smoke(
        sandbox,
        capsys,
        """
        import lightsweep
        with lightsweep.init() as run:
            run.log({"val_loss": 1.0})
            raise ValueError("no such file: data.csv\\x1b[2J")
        """,
    )
    assert code == 1
    assert "WRONG it failed (exit code 1): ValueError: no such file: data.csv [2J (train.py:5)" in report
    assert "| Traceback (most recent call last):" in report
    assert "\x1b" not in report


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_from_outside_leaves_nothing(sandbox: Sandbox, number: int, code: int) -> None:
    sandbox.write("sweep.yaml", SWEEP)
    sandbox.write(
        "train.py",
        """
        import os, signal, time
        from pathlib import Path
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path("pid.new").write_text(str(os.getpid()))
        os.replace("pid.new", "pid")
        time.sleep(600)
        """,
    )
    process = sandbox.start("check", "sweep.yaml", "--smoke")
    wait_until((sandbox.directory / "pid").exists, "the script to begin")
    process.send_signal(number)
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == code, out
    assert "Traceback" not in out
    pid = int((sandbox.directory / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("example", "metric"), [("lightning_digits", "'val_acc', 20 times"), ("hf_text_classification", "'eval/loss', ")]
)
def test_an_example_with_a_trainer(sandbox: Sandbox, example: str, metric: str) -> None:
    home = Path(__file__).parent.parent.parent / "examples" / example
    for name in ("train.py", "sweep.yaml"):
        sandbox.write(name, (home / name).read_text())
    sandbox.environment["COLUMNS"] = "400"
    done = subprocess.run(
        [sys.executable, "-m", "lightsweep", "check", "sweep.yaml", "--smoke"],
        cwd=sandbox.directory,
        env=sandbox.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    it read every parameter that is searched" in done.stdout
    assert f"ok    it logged the metric {metric}" in done.stdout
    assert "ok    the loss on one batch fell from" in done.stdout
    assert sorted(path.name for path in sandbox.directory.iterdir()) == ["sweep.yaml", "train.py"]
