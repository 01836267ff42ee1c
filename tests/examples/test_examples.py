"""Every example does what its README says, with fewer runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lightsweep import Sweep, SweepConfig

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.slow


def run(arguments: list[str], directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{arguments} exited {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def copy(example: str, tmp_path: Path, *, runs: int, epochs: int | None = None) -> Path:
    """Copy an example to another directory, with a few runs only."""
    work = tmp_path / example
    shutil.copytree(EXAMPLES / example, work)
    config = yaml.safe_load((work / "sweep.yaml").read_text())
    config["run_cap"] = runs
    if epochs is not None:
        config["parameters"]["epochs"] = {"value": epochs}
    (work / "sweep.yaml").write_text(yaml.safe_dump(config))
    return work


def only_sweep(work: Path, database: str = "lightsweep.db") -> Sweep:
    (sweep,) = Sweep.all(storage=f"sqlite:///{work / database}")
    return sweep


def test_plain_pytorch(tmp_path: Path) -> None:
    work = copy("plain_pytorch", tmp_path, runs=3)
    run(["-m", "lightsweep", "run", "sweep.yaml"], work)
    sweep = only_sweep(work)
    assert len(sweep.runs) == 3
    assert {found.state for found in sweep.runs} <= {"finished", "pruned"}
    assert set(sweep.runs[0].config["model"]) == {"width", "activation"}
    assert not any(found.unread for found in sweep.runs)
    finished = [found for found in sweep.runs if found.state == "finished"]
    assert finished
    assert len(list(work.rglob("model.pt"))) == len(finished)
    assert all(found.iterations == 27 for found in finished)


def test_notebook_style(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "notebook_style", tmp_path, dirs_exist_ok=True)
    done = run(["sweep.py"], tmp_path, COUNT="3")
    sweep = only_sweep(tmp_path)
    assert len(sweep.runs) == 3
    assert {found.state for found in sweep.runs} <= {"finished", "pruned"}
    accuracy = re.search(r"best accuracy (\d\.\d+) with \{.*'alpha'", done.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.8


def test_lightning_digits(tmp_path: Path) -> None:
    work = copy("lightning_digits", tmp_path, runs=3, epochs=4)
    run(["-m", "lightsweep", "run", "sweep.yaml", "--jobs", "2"], work)
    sweep = only_sweep(work)
    assert len(sweep.runs) == 3
    assert {found.state for found in sweep.runs} <= {"finished", "pruned"}
    assert {found.iterations for found in sweep.runs} <= {3, 4}
    assert set(sweep.runs[0].metrics) >= {"val_acc", "val_loss", "train_loss"}
    assert not any(found.unread for found in sweep.runs)
    assert len({path.parent for path in work.rglob("*.ckpt")}) == 3


@pytest.mark.parametrize("example", ["lightning_digits", "plain_pytorch"])
def test_a_script_on_its_own_trains_with_its_defaults(example: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / example, tmp_path, dirs_exist_ok=True)
    run(["train.py"], tmp_path)
    assert not list(tmp_path.glob("*.db"))


@pytest.mark.parametrize("config", sorted(EXAMPLES.glob("*/sweep.yaml")), ids=lambda path: path.parent.name)
def test_the_sweep_files_are_accepted_without_a_warning(config: Path) -> None:
    loaded = SweepConfig.load(config)
    assert loaded.warnings == ()
    assert loaded.run_cap is not None
    assert loaded.rule is not None
    assert len(loaded.rule.bands(upto=27)) == 2


def test_every_example_has_a_readme() -> None:
    folders = [folder for folder in EXAMPLES.iterdir() if folder.is_dir() and not folder.name.startswith("__")]
    assert len(folders) >= 3
    assert all((folder / "README.md").read_text().startswith("# ") for folder in folders)
