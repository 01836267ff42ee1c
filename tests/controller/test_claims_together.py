"""Many agents at once: no point is repeated or skipped, no cap overrun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from controller_helpers import GRID, config, finished, work, work_together

from lightsweep.controller import Sweep


def points(runs: list[dict[str, Any]]) -> set[str]:
    return {json.dumps(values, sort_keys=True) for values in runs}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sweeps.db"


def test_eight_agents_share_a_grid(url: str) -> None:
    sweep = Sweep.create(config(GRID, method="grid"), storage=url)
    done = work_together(sweep, 8)
    assert sum(map(len, done)) == 60
    runs = sweep.runs
    assert [run.state for run in runs] == ["finished"] * 60
    assert len(points([run.values for run in runs])) == 60
    assert [run.id for run in runs] == [f"{number:04d}" for number in range(1, 61)]
    assert str(sweep.state) == "finished (all 60 points of the grid)"
    assert sum(bool(mine) for mine in done) > 1  # they did work at once


def test_eight_agents_keep_to_the_cap(url: str) -> None:
    sweep = Sweep.create(config(run_cap=25), storage=url)
    assert sum(map(len, work_together(sweep, 8))) == 25
    assert [run.state for run in sweep.runs] == ["finished"] * 25
    assert str(sweep.state) == "finished (run_cap 25)"


@pytest.mark.parametrize("sampler", ["auto", "qmc"])
def test_a_seeded_sweep_is_the_same_with_one_agent_and_with_eight(url: str, sampler: str) -> None:
    parameters = {"x": {"min": 0.0, "max": 1.0}, "n": {"distribution": "normal"}}
    keys = {"run_cap": 20, "lightsweep": {"seed": 3, "sampler": sampler}}
    alone, together = (Sweep.create(config(parameters, **keys), storage=url) for _ in range(2))
    work(alone, finished)
    work_together(together, 8 if sampler == "auto" else 3)
    assert len(points([run.values for run in alone.runs])) == 20
    assert {run.id: run.values for run in alone.runs} == {run.id: run.values for run in together.runs}


def test_agents_of_bayes_share_a_finite_space(url: str) -> None:
    parameters = {"a": {"values": [1, 2, 3]}, "b": {"values": ["u", "v", "w", "z"]}, "c": {"value": [1, None]}}
    sweep = Sweep.create(config(parameters, method="bayes", lightsweep={"sampler": "tpe"}), storage=url)
    work_together(sweep, 4)
    assert len(points([run.values for run in sweep.runs])) == 12
    assert [run.state for run in sweep.runs] == ["finished"] * 12
    assert sweep.state.reason == "all 12 points of the space"
