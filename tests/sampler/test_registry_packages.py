"""Samplers of other packages: named by an entry point, used by a sweep file."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sampler_helpers import QUADRATIC, play, quadratic, sweep

from lightsweep import ConfigError, Sweep
from lightsweep.sampler import make_searcher
from lightsweep.schema import json_schema
from lightsweep.schema.sections import SAMPLERS

PACKAGE = """
import optuna

from lightsweep.sampler import BayesSearcher


class Diagonal:
    def __init__(self, task):
        self.space = task.space

    def suggest(self, ticket, known):
        return self.space.at([ticket / 8] * len(self.space.searched))


def nsga2(task):
    return BayesSearcher(task, lambda seed, trials: optuna.samplers.NSGAIISampler(seed=seed, population_size=4))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path with an installed package that has two samplers."""
    folder = tmp_path / "site"
    (folder / "toy_samplers-1.0.dist-info").mkdir(parents=True)
    (folder / "toy_samplers.py").write_text(PACKAGE)
    (folder / "toy_samplers-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_samplers\n")
    (folder / "toy_samplers-1.0.dist-info" / "entry_points.txt").write_text(
        "[lightsweep.samplers]\ndiagonal = toy_samplers:Diagonal\nnsga2 = toy_samplers:nsga2\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield folder
    sys.modules.pop("toy_samplers", None)


def test_a_sweep_file_names_a_sampler_of_another_package(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(package))
    (tmp_path / "train.py").write_text(
        "import lightsweep\n\nwith lightsweep.init() as run:\n    run.log({'loss': run.config.x})\n"
    )
    (tmp_path / "sweep.yaml").write_text(
        "program: train.py\nmethod: bayes\nmetric: {name: loss}\nrun_cap: 3\nlightsweep: {sampler: diagonal}\n"
        "parameters:\n  x: {min: 0.0, max: 8.0}\n"
    )
    storage = f"sqlite:///{tmp_path / 'sweeps.db'}"
    command = [sys.executable, "-m", "lightsweep", "run", "sweep.yaml", "--storage", storage]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = Sweep.all(storage=storage)
    assert [run.config["x"] for run in made.runs] == [0.0, 1.0, 2.0]


@pytest.mark.usefixtures("package")
def test_a_sampler_of_optuna_takes_one_line() -> None:
    searcher = make_searcher(sweep(QUADRATIC, sampler="nsga2"), 1)
    assert len({repr(run.values) for run in play(searcher, 20, quadratic)}) == 20


@pytest.mark.usefixtures("package")
def test_the_names_in_messages_and_in_the_json_schema_are_those_of_the_registry() -> None:
    names = [*SAMPLERS, "diagonal", "nsga2"]
    with pytest.raises(ConfigError) as caught:
        sweep(QUADRATIC, sampler="nsga3")
    assert f"sampler must be one of {', '.join(names)}; got 'nsga3'; did you mean 'nsga2'?" in str(caught.value)
    options = json_schema()["$defs"]["lightsweep"]["properties"]["sampler"]
    assert options["anyOf"][0]["enum"] == names


def test_a_sampler_whose_package_is_gone_is_refused() -> None:
    with pytest.raises(ConfigError, match="sampler must be one of auto, gp, tpe, cmaes, qmc, random; got"):
        sweep(QUADRATIC, sampler="diagonal")
