"""Ways in which public scripts use W&B, one small script of ours for each, unchanged under real agents.

Each script trains for four epochs with ``loss = x / epoch``, so of the points 1 and 2 the second is stopped at the band
of two iterations, unless the table says otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from sandboxes import Sandbox

from lightsweep import Sweep

SCRIPTS = Path(__file__).parent / "patterns"
OPTIMIZER = {"optimizer": {"parameters": {"name": {"value": "adam"}, "lr": {"values": [1, 2]}}}}
STOPPED = (("finished", 4), ("pruned", 2))


class Pattern(NamedTuple):
    """What a pattern needs beside its script.

    Attributes:
        outcome: State and number of reports of each run.
        sweep: Keys of the sweep file.
        files: Patterns of files that must be there afterwards, below the working directory.
    """

    outcome: tuple[tuple[str, int], ...] = STOPPED
    sweep: Mapping[str, Any] = MappingProxyType({})
    files: tuple[str, ...] = ()


ONE_EACH = (("finished", 1), ("finished", 1))
MEDIA = "lightsweep_runs/*/*0001/media/"
PATTERNS = {
    "annotations": Pattern(),
    "argparse_config": Pattern(),
    "artifacts": Pattern(files=("lightsweep_runs/**/model.bin",)),
    "click_arguments": Pattern(
        sweep={
            "parameters": {"x": {"values": [1, 2]}, "fast": {"value": True}},
            "command": ["${interpreter}", "${program}", "${args_no_boolean_flags}"],
        }
    ),
    "commit_false": Pattern(),
    "cross_validation_sklearn": Pattern(ONE_EACH),
    "defaults_dict": Pattern(),
    "disabled_while_debugging": Pattern(),
    "early_exit": Pattern(files=("lightsweep_runs/*/*0001/result.json",)),
    "errors_of_wandb": Pattern(),
    "fails": Pattern((("finished", 4), ("failed", 0))),
    "guards": Pattern(),
    "history_by_api": Pattern(),
    "k_fold": Pattern(ONE_EACH),
    "lightning_config": Pattern(),
    "media_after_training": Pattern(files=(MEDIA + "**/*.png", MEDIA + "**/*.csv")),
    "names_in_paths": Pattern(files=("best_*.txt", "checkpoints/*")),
    "namespace_of_config": Pattern(),
    "nested_argument": Pattern(sweep={"parameters": OPTIMIZER}),
    "nested_config": Pattern(
        sweep={"parameters": OPTIMIZER, "command": ["${interpreter}", "${program}"]},
    ),
    "own_sweep": Pattern(),
    "preempted": Pattern(),
    "summary_and_define_metric": Pattern(),
    "swept_key_written": Pattern(),
    "torch_loop": Pattern(files=("lightsweep_runs/*/*0001/model.pt", "lightsweep_runs/*/*0001/again.pt")),
    "transformers_config": Pattern(sweep={"metric": {"name": "eval/score", "goal": "maximize"}}),
    "two_inits": Pattern(),
    "with_block": Pattern(),
}
HEAVY = {"lightning_config", "transformers_config"}


def test_every_script_is_in_the_table_and_there_are_enough() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.py")} == set(PATTERNS)
    assert len(PATTERNS) >= 25


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_a_script_written_for_wandb_needs_no_changed_line(sandbox: Sandbox, name: str) -> None:
    pattern = PATTERNS[name]
    text = (SCRIPTS / f"{name}.py").read_text()
    (sandbox.directory / "train.py").write_text(text)
    if name == "own_sweep":
        done = sandbox.call("exec", "--stand-in", "wandb", "--", sys.executable, "train.py")
    else:
        config = {
            "program": "train.py",
            "method": "grid",
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": {"x": {"values": [1, 2]}},
            "early_terminate": {"type": "hyperband", "min_iter": 2},
            "command": None if "parser" in text else ["${interpreter}", "${program}"],
            "lightsweep": {"stand_in": "wandb"},
            **pattern.sweep,
        }
        created = Sweep.create({key: value for key, value in config.items() if value}, storage=sandbox.storage)
        done = sandbox.call("agent", created.id)
    (sweep,) = Sweep.all(storage=sandbox.storage)
    outcome = tuple((str(run.state), len(run.history)) for run in sweep.runs)
    logs = "".join(path.read_text() for path in sandbox.directory.glob("lightsweep_runs/*/*/output.log"))
    assert outcome == pattern.outcome, done.stdout + done.stderr + logs
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in pattern.files:
        assert list(sandbox.directory.glob(wanted)), wanted
    assert not (sandbox.directory / "wandb").exists()
