"""``lightsweep init`` and ``lightsweep demo``: what they write runs as it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from lightsweep import Sweep, SweepConfig
from lightsweep.cli import main
from lightsweep.cli.starters import write_starter
from lightsweep.schema import json_schema

KINDS = ["plain", "lightning", "transformers"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_init_writes_a_script_and_a_valid_sweep_file(here: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", f"--{kind}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote train.py",
        "wrote sweep.yaml",
        "wrote sweep.schema.json, for editors",
        "check it: lightsweep check sweep.yaml --smoke",
        "run it:   lightsweep run sweep.yaml",
    ]
    assert SweepConfig.load(here / "sweep.yaml").program == "train.py"
    compile((here / "train.py").read_text(), "train.py", "exec")
    assert main(["check", "sweep.yaml"]) == 0


def test_the_sweep_file_names_the_schema_beside_it(here: Path) -> None:
    """As yaml-language-server reads it: a comment with a path relative to the file."""
    for kind in KINDS:
        folder = here / kind
        folder.mkdir()
        write_starter(kind, folder)
        named = re.search(
            r"^# yaml-language-server: \$schema=(\S+)$", (folder / "sweep.yaml").read_text(), re.MULTILINE
        )
        assert named is not None
        schema = json.loads((folder / named[1]).read_text())
        assert schema == json_schema(), "python -m lightsweep schema > lightsweep/sweep.schema.json"
        jsonschema.validate(SweepConfig.load(folder / "sweep.yaml").raw, schema)


def test_init_leaves_existing_files_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sweep.yaml").write_text("mine")
    assert main(["init"]) == 2
    assert capsys.readouterr().err.startswith("error: this directory already has sweep.yaml; nothing was written")
    assert [path.name for path in here.iterdir()] == ["sweep.yaml"]
    assert (here / "sweep.yaml").read_text() == "mine"


def test_init_writes_one_kind(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--lightning", "--transformers"]) == 2
    assert "choose one kind of script: --lightning or --transformers" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_init_names_the_package_that_a_script_needs(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightning", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["init", "--lightning"]) == 0
    assert "it needs lightning: pip install 'lightsweep[lightning]'" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_scripts_learn(here: Path, kind: str) -> None:
    write_starter(kind, here)
    text = (here / "sweep.yaml").read_text()
    (here / "sweep.yaml").write_text(re.sub(r"run_cap: \d+", "run_cap: 1", text))
    done = subprocess.run(
        [sys.executable, "-m", "lightsweep", "run", "sweep.yaml", "--storage", "sqlite:///lightsweep.db"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (sweep,) = Sweep.all(storage="sqlite:///lightsweep.db")
    assert sweep.runs[0].state == "finished"
    assert all(run.history for run in sweep.runs)
    assert not any(run.unread for run in sweep.runs)


@pytest.mark.slow
def test_the_demo_ends_with_a_report(here: Path) -> None:
    shown = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "lightsweep", "demo"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        shown.append(done.stdout)
    assert "runs stopped early" in shown[0]
    (page,) = re.findall(r"open the report: (.*)", shown[0])
    assert Path(page).stat().st_size > 100_000
    (sweep,) = Sweep.all(storage=f"sqlite:///{here}/lightsweep-demo/lightsweep.db")
    best = sweep.best_run
    assert best is not None
    assert best.best is not None
    assert best.best < 0.6  # it learns, on any draws: 0.69 is a guess, and most sweeps end near 0.003
    assert sorted(path.name for path in here.iterdir()) == ["lightsweep-demo", "lightsweep-demo-2"]
