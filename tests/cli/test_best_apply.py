"""``lightsweep apply``: a command with the best run's parameters in place."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import pytest
from sandboxes import PATIENCE_SECONDS, Sandbox, wait_until

import lightsweep
from lightsweep import Sweep
from lightsweep.cli import main

PARAMETERS: dict[str, Any] = {
    "x": {"values": [1, 2, 3]},
    "model": {
        "parameters": {"text": {"value": "$(touch evil) 'a\nb"}, "flag": {"value": True}, "none": {"value": None}}
    },
}
SHOW = """
    import json, os, sys
    mine = {name: value for name, value in os.environ.items() if name.startswith("LIGHTSWEEP_")}
    print(json.dumps({"arguments": sys.argv[1:], "environment": sorted(mine)}))
"""
INIT = """
    import json
    import lightsweep
    with lightsweep.init(config={"epochs": 3, "x": 0, "model": {"depth": 2}}) as run:
        for epoch in range(run.config.epochs):
            run.log({"loss": 100.0})
        said = {"id": run.id, "sweep": run.sweep_id, "metric": run.metric, "iterations": run.iterations}
        said |= {"active": run.active, "smoke": run.smoke, "stops": run.early_terminate, "dir": str(run.dir)}
        said["x"] = run.config.x
        said["depth"] = run.config.model.depth
        said["flag"] = run.config.model.flag
        print(json.dumps(said))
"""


def swept(sandbox: Sandbox, **keys: Any) -> Sweep:
    """A grid of three whose second run is the best."""
    raw = {
        "program": "train.py",
        "method": "grid",
        "metric": {"name": "loss"},
        "early_terminate": {"type": "hyperband", "min_iter": 1},
        "parameters": PARAMETERS,
        **keys,
    }
    sweep = Sweep.create({key: value for key, value in raw.items() if value is not None}, storage=sandbox.storage)

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": abs(run.config.x - 2)})

    lightsweep.agent(sweep, function=train)
    return sweep


def test_the_parameters_stand_behind_the_command(sandbox: Sandbox) -> None:
    sweep = swept(sandbox)
    sandbox.write("show.py", SHOW)
    done = sandbox.call("apply", sweep.id, "--", sys.executable, "show.py", "--debug", "--data=here")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["arguments"] == [
        "--debug",
        "--data=here",
        "--model.flag=True",
        "--model.none=None",
        "--model.text=$(touch evil) 'a\nb",
        "--x=2",
    ]
    names = ("CHANNEL", "RUN", "RUN_DIR", "RUN_ID", "SWEEP_ID", "TOKEN")
    assert said["environment"] == [f"LIGHTSWEEP_{name}" for name in names]
    assert done.stderr == "run 0002 (finished): loss 0\n"
    assert not (sandbox.directory / "evil").exists()


def test_macros_say_where_the_parameters_stand(sandbox: Sandbox) -> None:
    sweep = swept(sandbox)
    sandbox.write("show.py", SHOW + "    print(open(sys.argv[2]).read())\n")
    done = sandbox.call("apply", sweep.id, "--", "${interpreter}", "show.py", "n=${x}", "${args_json_file}")
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    arguments = json.loads(first)["arguments"]
    assert arguments[0] == "n=2"
    assert json.loads("\n".join(rest)) == sweep.runs[1].config
    assert not os.path.exists(arguments[1])  # noqa: PTH110 - a path as the program got it


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["${program}", "${args_no_hyphens}"], ["x=2"]),
        (["${program}", "${args_append_hydra}"], ["+x=2"]),
        (["${program}"], []),
        (None, ["--x=2"]),
    ],
)
def test_the_form_is_that_of_the_sweeps_own_command(
    sandbox: Sandbox, command: list[str] | None, expected: list[str]
) -> None:
    sweep = swept(sandbox, command=command, parameters={"x": {"values": [1, 2, 3]}})
    sandbox.write("show.py", SHOW)
    done = sandbox.call("apply", sweep.id, "--", sys.executable, "show.py")
    assert json.loads(done.stdout)["arguments"] == expected


def test_the_sweeps_own_command_is_the_default(sandbox: Sandbox) -> None:
    sweep = swept(sandbox, parameters={"x": {"values": [1, 2, 3]}})
    sandbox.write("train.py", SHOW)
    done = sandbox.call("apply", sweep.id, "--run", "0003")
    assert json.loads(done.stdout)["arguments"] == ["--x=3"]
    assert done.stderr == "run 0003 (finished): loss 1\n"


def test_init_gives_them_over_the_scripts_defaults(sandbox: Sandbox) -> None:
    sweep = swept(sandbox)
    sandbox.write("train.py", INIT)
    before = [(run.id, run.best) for run in sweep.runs]
    done = sandbox.call("apply", sweep.id)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    home = said.pop("dir")
    assert said == {
        "id": f"{sweep.id}-0002-applied",
        "sweep": sweep.id,
        "metric": "loss",
        "iterations": 3,
        "active": True,
        "smoke": False,
        "stops": False,
        "x": 2,
        "depth": 2,
        "flag": True,
    }
    assert home.startswith(str(sandbox.directory / "lightsweep_runs" / sweep.id / "0002-applied-"))
    assert [(run.id, run.best) for run in sweep.runs] == before  # nothing of it is recorded


@pytest.mark.parametrize(
    ("code", "expected"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_exit_code_is_passed_through(sandbox: Sandbox, code: str, expected: int) -> None:
    sweep = swept(sandbox)
    sandbox.write("show.py", code)
    assert sandbox.call("apply", sweep.id, "--", sys.executable, "show.py").returncode == expected


def test_signals_reach_the_command(sandbox: Sandbox) -> None:
    sweep = swept(sandbox)
    sandbox.write(
        "wait.py",
        """
        import pathlib, signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        pathlib.Path("ready").touch()
        time.sleep(60)
        """,
    )
    process = sandbox.start("apply", sweep.id, "--", sys.executable, "wait.py")
    wait_until((sandbox.directory / "ready").exists, "the command to start")
    process.send_signal(signal.SIGINT)  # what a terminal sends to the command too is left to the command
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 5


def test_what_cannot_be_applied(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    sweep = swept(sandbox)
    wrong = {
        ("--run", "0009"): "has no run '0009'; its runs are 0001 to 0003",
        ("--", "no-such-program"): "cannot start 'no-such-program'",
        ("--", "${interpretr}"): "did you mean 'interpreter'?",
    }
    for arguments, message in wrong.items():
        capfd.readouterr()
        assert main(["apply", sweep.id, *arguments]) == 2
        assert message in capfd.readouterr().err
    empty = Sweep.create({"method": "random", "parameters": {"x": {"value": 1}}}, storage=sandbox.storage)
    assert main(["apply", empty.id, "--", "true"]) == 1
    assert "; choose a run with --run" in capfd.readouterr().err
