"""The examples of the guides and of the quickstart run as they are, with fewer runs; the tables show what loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sandboxes import Sandbox

from lightsweep import Sweep, SweepConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"


def files(page: str) -> dict[str, str]:
    """The files of a page: the blocks that begin with a comment with their name."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return dict(re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.slow
@pytest.mark.parametrize("page", ["quickstart.md", "guides/plain-loop.md", "moving-from-wandb.md"])
def test_the_example_runs(page: str, sandbox: Sandbox) -> None:
    found = files(page)
    assert set(found) == {"train.py", "sweep.yaml"}
    sandbox.write("train.py", found["train.py"])
    sandbox.write("sweep.yaml", re.sub(r"run_cap: \d+", "run_cap: 4", found["sweep.yaml"]))
    stand_in = ["--stand-in", "wandb"] if "wandb" in page else []
    for arguments in (["run", "sweep.yaml", *stand_in], ["best", "latest"]):
        done = sandbox.call(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    (sweep,) = Sweep.all(storage=sandbox.storage)
    assert len(sweep.runs) == 4
    assert {run.state for run in sweep.runs} <= {"finished", "pruned"}
    assert not any(run.unread for run in sweep.runs)


@pytest.mark.parametrize("page", ["from-optuna", "from-ray-tune"])
def test_the_parameters_in_the_table_load(page: str, tmp_path: Path) -> None:
    text = (DOCS / "guides" / f"{page}.md").read_text(encoding="utf-8")
    table = text.split("| you wrote | you write |")[1].split("\n\n")[0]
    found = re.findall(r"\| `(?:(\w+): )?(\{(?:distribution|min|values).*?\})`", table)
    assert len(found) >= 5
    names = [name or f"parameter{number}" for number, (name, _) in enumerate(found)]
    lines = [f"  {name}: {value}" for name, (_, value) in zip(names, found, strict=True)]
    sweep_file = tmp_path / "sweep.yaml"
    sweep_file.write_text("\n".join(["method: random", "program: a.py", "run_cap: 1", "parameters:", *lines]))
    config = SweepConfig.load(sweep_file)
    assert config.warnings == ()
    assert set(config.searched()) == set(names)
