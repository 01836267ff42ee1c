"""``run_cap`` is exact, however many agents draw the last runs and whichever of them are killed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from storm import Storm, verify

from lightsweep import Sweep
from lightsweep.controller import SweepRun

CAP = 20
AGENTS = 8


class Killings(Storm):
    """A random sweep with a cap; agents and runs are killed with SIGKILL, and new agents start."""

    def config(self) -> dict[str, object]:
        parameters = {"x": {"min": 0.0, "max": 1.0}}
        return {**super().config(), "method": "random", "run_cap": self.points, "parameters": parameters}

    def check(self, runs: list[SweepRun]) -> None:
        assert [run.id for run in runs] == [f"{number:04d}" for number in range(1, self.points + 1)]
        assert len({run.values["x"] for run in runs}) == self.points
        # A directory is made for each run that was ever started.
        (directories,) = (self.directory / "lightsweep_runs").iterdir()
        assert {path.name for path in directories.iterdir() if path.is_dir()} == {run.id for run in runs}

    def _possible(self, chosen: random.Random, sweep: Sweep) -> list[Callable[[], str]]:
        if not self.processes():
            return [lambda: "nothing"]
        return [lambda: self._kill_agent(chosen), lambda: self._kill_run(chosen)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cap_is_exact_under_kills(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    storm = Killings(f"sqlite:///{tmp_path}/sweeps.db", tmp_path, AGENTS, CAP, seed, calm=0.7, pause=0.3)
    verify(storm, storm.rage(limit=600.0))
    assert storm.blows["agent killed"] + storm.blows["run killed"] > 0, "the storm passed by"
