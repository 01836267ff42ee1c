"""The summary of a sweep."""

from __future__ import annotations

from controller_helpers import config

from lightsweep.controller import RunState, SweepRun
from lightsweep.controller.summary import Savings, savings
from lightsweep.schema import SweepConfig

BANDS = {"type": "hyperband", "max_iter": 27, "s": 2}


def run(state: str, iterations: int, stage: str | None = None) -> SweepRun:
    return SweepRun("0001", RunState(state), {}, {}, iterations=iterations, stage=stage)


def test_savings_are_counted_by_the_longest_run() -> None:
    given = SweepConfig.load(config(early_terminate=BANDS))
    assert savings([], given) == Savings(0, 0, 0)
    assert savings([run("pruned", 3), run("running", 9)], given) == Savings(1, 24, 36)
    assert savings([run("pruned", 3), run("finished", 10)], given) == Savings(1, 7, 20)


def test_savings_of_stages_are_counted_stage_by_stage() -> None:
    quick = {"parameters": ["x"], "run_cap": 5, "name": "quick", "early_terminate": {**BANDS, "max_iter": 9}}
    slow = {"parameters": ["y"], "run_cap": 5, "name": "slow"}
    space = {name: {"min": 0.0, "max": 1.0} for name in "xy"}
    quick["defaults"] = {"y": 0.5}
    given = SweepConfig.load(config(space, early_terminate=BANDS, lightsweep={"stages": [quick, slow]}))
    one = [run("pruned", 3, "quick"), run("running", 4, "quick")]
    assert savings(one, given) == Savings(1, 6, 13)  # its own max_iter, 9
    other = [run("pruned", 9, "slow"), run("finished", 27, "slow")]
    assert savings([*one, *other], given) == Savings(2, 6 + 18, 13 + 54)
