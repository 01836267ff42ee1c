"""Agents whose output pipe closes, and many agents together."""

from __future__ import annotations

import os
from typing import Any

import pytest
from process_scripts import QUICK
from sandboxes import PATIENCE_SECONDS, Sandbox

from lightsweep import Sweep
from lightsweep.cli import main


def unread(sandbox: Sandbox, *arguments: str) -> int:
    """The exit code of a command whose output has lost its reader before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    command = sandbox.start(*arguments, stdout=writing, stderr=writing)
    os.close(writing)
    return command.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("script", "state", "code"), [(QUICK, "finished", 0), ("import sys; sys.exit(3)", "failed", 1)]
)
def test_a_sweep_that_nobody_reads_along_runs_to_its_end(sandbox: Sandbox, script: str, state: str, code: int) -> None:
    sandbox.write("train.py", script)
    sandbox.write(
        "sweep.yaml", "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}}\n"
    )
    assert unread(sandbox, "run", "sweep.yaml") == code
    (sweep,) = Sweep.all(storage=sandbox.storage)
    assert [run.state for run in sweep.runs] == [state] * 2


def test_a_command_that_nobody_reads_ends_as_if_it_were_read(sandbox: Sandbox) -> None:
    sandbox.write("train.py", "print('no channel')")
    sandbox.write(
        "sweep.yaml", "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}}\n"
    )
    sweep_id = sandbox.sweep()
    assert unread(sandbox, "check", "sweep.yaml", "--smoke") == 1
    assert unread(sandbox, "check", "sweep.yaml") == 0
    assert unread(sandbox, "status", sweep_id) == 0
    assert unread(sandbox, "status", "nosuchid") == 2
    assert unread(sandbox, "sweep", sweep_id, "--stop") == 0
    assert Sweep.load(sweep_id, storage=sandbox.storage).state.name == "stopped"


def work_together(sandbox: Sandbox, agents: int, **config: Any) -> list[Any]:
    sweep_id = sandbox.sweep(QUICK, **config)
    started = [sandbox.start("agent", sweep_id) for _ in range(agents)]
    for agent in started:
        out, _ = agent.communicate(timeout=200)
        assert agent.returncode == 0, out
    assert Sweep.load(sweep_id, storage=sandbox.storage).state.name == "finished"
    return sandbox.runs(sweep_id)


SEEDED = """
    import sys
    import lightsweep
    with lightsweep.init() as run:
        assert f"--seed={run.config.seed}" in sys.argv
        run.log({"loss": run.config.seed % 1000})
"""


def test_two_agents_repeat_runs_until_stop_when_holds(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"repeats": 2, "seed": 3, "stop_when": {"epochs": 6}}
    sweep_id = sandbox.sweep(SEEDED, method="random", parameters={"x": {"min": 0.0, "max": 1.0}}, lightsweep=keys)
    for agent in [sandbox.start("agent", sweep_id) for _ in range(2)]:
        out, _ = agent.communicate(timeout=PATIENCE_SECONDS)
        assert agent.returncode == 0, out
    runs = sandbox.runs(sweep_id)
    assert {(run.state, run.iterations) for run in runs} == {("finished", 1)}
    assert 6 <= len(runs) <= 7  # both may have taken a run before the sixth ended
    assert Sweep.load(sweep_id, storage=sandbox.storage).state.reason.startswith("stop_when: all runs together have")
    groups: dict[str, list[Any]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    whole = [found for found in groups.values() if len(found) == 2]
    assert len(whole) >= 2
    assert all(first.values["x"] == second.values["x"] for first, second in whole)
    seeds = {tuple(sorted(run.values["seed"] for run in found)) for found in whole}
    assert len(seeds) == 1
    assert len(set(*seeds)) == 2
    shown = whole[0][1]
    assert main(["show", sweep_id, shown.id, "--storage", sandbox.storage]) == 0
    assert f"\nrepeat 2 of 2, group {shown.group}: loss " in capsys.readouterr().out


@pytest.mark.slow
def test_eight_agents_on_a_grid(sandbox: Sandbox) -> None:
    runs = work_together(sandbox, 8, parameters={"x": {"values": list(range(12))}, "y": {"values": list(range(5))}})
    assert [run.state for run in runs] == ["finished"] * 60
    assert len({(run.config["x"], run.config["y"]) for run in runs}) == 60
    assert len({run.agent for run in runs}) > 1
