"""The commands and scripts of docs/parsers.md, run with the real parsers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from parser_helpers import VALUES, blocks, receive
from sandboxes import Sandbox

FLAT = {"lr": 1e-05, "amp": False, "clip": None, "layers": [16, 32], "title": "two words"}
NESTED = {**FLAT, "optim": {"momentum": 0.9}, "model": {"hidden": 64, "dropout": 0.25}}
ENV = ["${env}", "${interpreter}", "${program}"]


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in VALUES.items() if name not in names}


def test_argparse(tmp_path: Path) -> None:
    command, script = blocks("argparse")
    received = receive(tmp_path, script, command)
    assert received == {**FLAT, "optim.momentum": 0.9, "model.hidden": 64, "dropout": 0.25}


@pytest.mark.parametrize("value", [True, False])
def test_argparse_with_flags(tmp_path: Path, value: bool) -> None:
    script = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--model.amp", action="store_true")
parser.add_argument("--lr", type=float)
train(parser.parse_args())
"""
    values = {"model": {"amp": value}, "lr": 0.5}
    received = receive(tmp_path, script, [*ENV, "${args_no_boolean_flags}"], values)
    assert received == {"model.amp": value, "lr": 0.5}


def test_argparse_with_values_apart(tmp_path: Path) -> None:
    _, script = blocks("argparse")
    received = receive(tmp_path, script, [*ENV, "${args_no_equals}"])
    assert received == {**FLAT, "optim.momentum": 0.9, "model.hidden": 64, "dropout": 0.25}


def test_argparse_in_a_real_sweep(sandbox: Sandbox) -> None:
    command, script = blocks("argparse")
    sandbox.write(
        "train.py",
        f"""\
import json, lightsweep

def train(arguments):
    with lightsweep.init() as run:
        (run.dir / "received.json").write_text(json.dumps(vars(arguments)))
        run.log({{"loss": getattr(arguments, "model.hidden")}})

{script}""",
    )
    sandbox.write(
        "sweep.yaml",
        f"""\
program: train.py
method: grid
metric: {{name: loss}}
command: {json.dumps(command)}
parameters:
  lr: {{value: 1e-5}}
  amp: {{values: [true, false]}}
  clip: {{values: [null, 1.0]}}
  layers: {{values: [[16, 32], [64]]}}
  title: {{value: two words}}
  optim.momentum: {{value: 0.9}}
  model:
    parameters:
      hidden: {{value: 64}}
      dropout: {{value: 0.25}}
""",
    )
    done = sandbox.call("run", "sweep.yaml", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    received = [json.loads(path.read_text()) for path in sandbox.directory.rglob("received.json")]
    assert len(received) == 8
    points = {(one["amp"], one["clip"], tuple(one["layers"])) for one in received}
    assert points == {
        (amp, clip, layers) for amp in (True, False) for clip in (None, 1.0) for layers in ((16, 32), (64,))
    }
    rest = {"lr": 1e-05, "title": "two words", "optim.momentum": 0.9, "model.hidden": 64, "dropout": 0.25}
    assert all({name: one[name] for name in rest} == rest for one in received)


def test_jsonargparse_from_the_file(tmp_path: Path) -> None:
    command, script = blocks("jsonargparse")
    assert receive(tmp_path, script, command) == NESTED


def test_jsonargparse_from_arguments(tmp_path: Path) -> None:
    _, script = blocks("jsonargparse")
    received = receive(tmp_path, script, [*ENV, "${args}"], {**VALUES, "clip": 1.5, "amp": True})
    assert received == {**NESTED, "clip": 1.5, "amp": True}


def test_hydra(tmp_path: Path) -> None:
    command, script = blocks("Hydra")
    assert receive(tmp_path, script, command) == NESTED


def test_hydra_with_values_that_its_grammar_would_read_otherwise(tmp_path: Path) -> None:
    command, script = blocks("Hydra")
    values = {"title": "one, two=(3)", "path": 'C:\\it\'s "here"\\', "word": "null", "on": "true"}
    lists = {"names": ["a, b", None, True, "1e3", {"k": "x: y"}], "empty": []}
    assert receive(tmp_path, script, command, {**values, **lists}) == {**values, **lists, "on": True}


def test_hydra_without_its_macros_takes_none_for_text(tmp_path: Path) -> None:
    _, script = blocks("Hydra")
    received = receive(tmp_path, script, [*ENV, "+seed=1", "+clip=${clip}"], {"clip": None})
    assert received == {"seed": 1, "clip": "None"}


@pytest.mark.parametrize(
    ("macro", "null", "prefilled"),
    [
        ("${args_no_hyphens}", "null", True),
        ("${args_override_hydra}", None, True),
        ("${args_override_hydra}", None, False),
    ],
)
def test_hydra_over_a_config_of_its_own(tmp_path: Path, macro: str, null: str | None, prefilled: bool) -> None:
    own = {"lr": 1, "amp": True, "clip": 3, "layers": [], "title": "", "optim": {"momentum": 0}, "model": {}}
    model = {"hidden": 1, "dropout": 0.0}
    (tmp_path / "own.yaml").write_text(json.dumps({**own, "model": model} if prefilled else {"seed": 1}))
    script = """
import hydra

@hydra.main(version_base=None, config_path=".", config_name="own")
def main(config):
    train(config)

main()
"""
    received = receive(tmp_path, script, [*ENV, macro], {**VALUES, "clip": null})
    assert received == (NESTED if prefilled else {**NESTED, "seed": 1})


def test_tyro(tmp_path: Path) -> None:
    command, script = blocks("tyro")
    assert receive(tmp_path, script, command) == NESTED


@pytest.mark.parametrize("value", [True, False])
def test_tyro_with_flags(tmp_path: Path, value: bool) -> None:
    script = """
from dataclasses import dataclass
import tyro

@dataclass
class Config:
    lr: float
    amp: bool = False

train(tyro.cli(Config))
"""
    received = receive(tmp_path, script, [*ENV, "${args_no_boolean_flags}"], {"lr": 0.1, "amp": value})
    assert received == {"lr": 0.1, "amp": value}


@pytest.mark.slow
def test_hf_argument_parser_from_the_file(tmp_path: Path) -> None:
    command, script = blocks("HfArgumentParser")
    assert receive(tmp_path, script, command) == {**FLAT, "model": {"hidden": 64, "dropout": 0.25}}


@pytest.mark.slow
def test_hf_argument_parser_from_arguments(tmp_path: Path) -> None:
    script = """
from dataclasses import dataclass
from transformers import HfArgumentParser

@dataclass
class Arguments:
    lr: float = 0.1
    title: str = ""
    amp: bool = True
    fast: bool = False

train(HfArgumentParser(Arguments).parse_args_into_dataclasses()[0])
"""
    values = {"lr": 1e-05, "title": "two words", "amp": False, "fast": True}
    assert receive(tmp_path, script, [*ENV, "${args}"], values) == values


CLI = """
import sys
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.demos.boring_classes import BoringDataModule, BoringModel

class Model(BoringModel):
    def __init__(
        self, hidden: int = 1, clip: float | None = 3, layers: list[int] = [1], title: str = "", amp: bool = True
    ):
        super().__init__()
        self.received = {"hidden": hidden, "clip": clip, "layers": layers, "title": title, "amp": amp}

quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
cli = LightningCLI(
    Model, BoringDataModule, save_config_callback=None,
    trainer_defaults={**quiet, "accelerator": "cpu", "limit_val_batches": 1},
)
trainer = cli.trainer
names = [type(callback).__name__ for callback in trainer.callbacks]
train({**cli.model.received, "epochs": trainer.current_epoch, "batches": trainer.limit_train_batches,
       "sweep callbacks": names.count("SweepCallback")})
"""
CLI_VALUES: dict[str, Any] = {
    "model": {"hidden": 64, "clip": None, "layers": [16, 32], "title": "two words", "amp": False},
    "trainer.max_epochs": 1,
    "trainer": {"limit_train_batches": 2},
}


@pytest.mark.slow
def test_lightning_cli_from_the_file(tmp_path: Path) -> None:
    command, _ = blocks("LightningCLI")
    received = receive(tmp_path, CLI, command, CLI_VALUES)
    assert received == {**CLI_VALUES["model"], "epochs": 1, "batches": 2, "sweep callbacks": 0}


@pytest.mark.slow
def test_lightning_cli_from_arguments_with_the_callback_among_them(tmp_path: Path) -> None:
    command = [*ENV, "fit", "${args}", "--trainer.callbacks+=lightsweep.integrations.lightning.SweepCallback"]
    values = {**CLI_VALUES, "model": {**CLI_VALUES["model"], "clip": 1.5}}
    received = receive(tmp_path, CLI, command, values)
    assert received == {**values["model"], "epochs": 1, "batches": 2, "sweep callbacks": 1}


@pytest.mark.parametrize("block", ["with lightsweep.init():", "if lightsweep.init():"])
def test_the_reason_of_a_hydra_script_is_its_exception_at_the_users_line(sandbox: Sandbox, block: str) -> None:
    script = f"""
        import hydra, lightsweep

        def load(path):
            raise FileNotFoundError(f"no data in {{path}}")

        @hydra.main(version_base=None)
        def main(config):
            {block}
                load("here")

        main()
    """
    sweep_id = sandbox.sweep(
        script, command=["${interpreter}", "${program}", "+x=1"], parameters={"x": {"values": [1]}}
    )
    sandbox.call("agent", sweep_id, "--storage", sandbox.storage)
    (run,) = sandbox.runs(sweep_id)
    assert (run.state, run.reason) == ("failed", "exit code 1: FileNotFoundError: no data in here (train.py:5)")
