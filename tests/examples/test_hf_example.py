"""The Hugging Face example, as its README says to run it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lightsweep import Sweep

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "hf_text_classification"


@pytest.mark.slow
def test_a_tiny_bert_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    shutil.copytree(EXAMPLE, work)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LIGHTSWEEP_STORAGE", f"sqlite:///{tmp_path / 'sweeps.db'}")
    command = [sys.executable, "-m", "lightsweep", "run", "sweep.yaml", "--jobs", "2", "--count", "3"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    (sweep,) = Sweep.all()
    runs = sweep.runs
    assert len(runs) == 3
    assert {run.state for run in runs} <= {"finished", "pruned"}
    # Of two runs side by side either may be ahead at the first band, and the other be stopped there.
    run = next(found for found in runs if found.state == "finished")
    assert run.iterations == 9
    assert not run.unread
    assert "eval_accuracy" in run.metrics
    log = (work / "lightsweep_runs" / sweep.id / run.id / "output.log").read_text()
    assert "left in run.config: model.hidden_size, model.num_layers, model.dropout" in log
    assert (work / "lightsweep_runs" / sweep.id / run.id / "model").is_dir()
