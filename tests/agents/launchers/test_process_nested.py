"""Real agents on scripts whose parsers take a nested group in the one form or in the other."""

from __future__ import annotations

import sys
from pathlib import Path

from sandboxes import Sandbox

from lightsweep import Sweep
from lightsweep.cli import main

AS_JSON = """
    import argparse, json, lightsweep
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=json.loads)
    model = parser.parse_args().model
    with lightsweep.init() as run:
        assert run.config.model.hidden == model["hidden"]
        run.log({"loss": model["hidden"] + model["head"]["dim"]})
"""
DOTTED = """
    import argparse, lightsweep
    parser = argparse.ArgumentParser()
    parser.add_argument("--model.hidden", type=int, dest="hidden")
    parser.add_argument("--model.head.dim", type=int, dest="dim")
    args = parser.parse_args()
    with lightsweep.init() as run:
        run.log({"loss": args.hidden + args.dim})
"""
COMPUTED = """
    import argparse, json, lightsweep
    parser = argparse.ArgumentParser()
    for name in ["model"]:
        parser.add_argument(f"--{name}", type=json.loads)
    with lightsweep.init() as run:
        model = parser.parse_args().model
        run.log({"loss": model["hidden"] + model["head"]["dim"]})
"""
PARAMETERS = {
    "model": {
        "parameters": {"hidden": {"values": [64, 128]}, "head": {"parameters": {"dim": {"value": 3}}}},
    }
}


def losses(sandbox: Sandbox, sweep_id: str, *options: str) -> list[float | None]:
    assert main(["agent", sweep_id, *options]) == 0
    return [run.best for run in Sweep.load(sweep_id, storage=sandbox.storage).runs]


def test_the_form_follows_a_script_that_is_edited_between_two_runs(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(AS_JSON, parameters=PARAMETERS)
    assert losses(sandbox, sweep_id, "--count", "1") == [67]
    sandbox.write("train.py", DOTTED)
    assert losses(sandbox, sweep_id) == [67, 131]


def test_a_script_that_is_only_where_the_agent_works(sandbox: Sandbox) -> None:
    """The sweep is created from a dict, before there is any script."""
    sweep_id = sandbox.sweep(parameters=PARAMETERS)
    assert not Path("train.py").exists()
    sandbox.write("train.py", AS_JSON)
    assert losses(sandbox, sweep_id) == [67, 131]


def test_the_key_is_for_options_that_the_script_computes(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(COMPUTED, parameters=PARAMETERS, lightsweep={"nested": "json"})
    assert losses(sandbox, sweep_id) == [67, 131]


def test_best_and_apply_pass_what_the_agent_passed(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep(AS_JSON, parameters=PARAMETERS)
    losses(sandbox, sweep_id)
    done = sandbox.ask("best", sweep_id, "--format", "args")
    assert done.stdout == """'--model={"head": {"dim": 3}, "hidden": 64}'\n"""
    assert sandbox.call("apply", sweep_id).returncode == 0
    assert sandbox.call("apply", sweep_id, "--", sys.executable, "train.py").returncode == 0
