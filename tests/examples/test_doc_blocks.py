"""Every code block of the pages is right: commands have options that exist, sweep files load, Python runs.

The blocks of trainers.md for one trainer each are run by ``tests/integrations/test_trainers_page.py``, those of
parsers.md by ``tests/parsers``, the guides and the README by `test_guides` and `test_readme`, and the pages about
clusters on real clusters.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from typer.main import get_command

import lightsweep
from lightsweep import Sweep, SweepConfig
from lightsweep.cli.main import COMMANDS, app
from lightsweep.client import serving
from scripted import ScriptedHandler

ROOT = Path(__file__).resolve().parents[2]
PATTERNS = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/**/*.md",
    "examples/*/README.md",
    "benchmarks/README.md",
)


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> Iterator[Block]:
    for pattern in PATTERNS:
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
                if found[1] in languages:
                    line = text[: found.start()].count("\n") + 1
                    yield Block(str(path.relative_to(ROOT)), line, found[1], found[2])


def test_all_languages_are_known() -> None:
    known = {"", "sh", "text", "python", "yaml", "json", "toml", "ini", "dockerfile"}
    used = set()
    for pattern in PATTERNS:
        for path in ROOT.glob(pattern):
            used |= set(re.findall(r"^```(\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert used <= known


# --- commands


def calls(text: str) -> Iterator[list[str]]:
    """The calls of lightsweep in a block: of the lines behind a prompt if it has any, else of all lines."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in prompted or lines:
        yield from calls_of_line(line)


def calls_of_line(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quotation over several lines
        return
    found: list[str] | None = None
    for word in [*words, ";"]:
        if found is None:
            if word == "lightsweep" or word.endswith("/lightsweep"):
                found = []
            elif "lightsweep " in word:  # a command in quotes, as for ssh
                yield from calls_of_line(word)
        elif re.fullmatch(r"[();<>|&]+", word):
            if found and found[0] in COMMANDS:
                yield found
            found = None
        else:
            found.append(word)


def test_calls_are_found_in_lines_of_a_shell() -> None:
    assert list(calls_of_line("ID=$(lightsweep sweep a.yaml) && x  # lightsweep ls")) == [["sweep", "a.yaml"]]
    assert list(calls_of_line('ssh host "cd a && .venv/bin/lightsweep ls --json"')) == [["ls", "--json"]]
    assert list(calls("$ lightsweep ls\nlightsweep rm is output\n")) == [["ls"]]


@pytest.mark.parametrize("block", [each for each in blocks("", "sh") if list(calls(each.text))], ids=str)
def test_commands_have_options_that_exist(block: Block) -> None:
    group: Any = get_command(app)
    with group.make_context("lightsweep", [], resilient_parsing=True) as context:
        for name, *arguments in calls(block.text):
            command = group.get_command(context, name)
            if hasattr(command, "commands"):
                command = command.commands[arguments.pop(0)]
            command.make_context(name, arguments)  # raises what the command line would refuse


# --- files


BASE: dict[str, Any] = {
    "program": "train.py",
    "method": "random",
    "metric": {"name": "val_loss"},
    "run_cap": 5,
    "parameters": {"batch_size": {"value": 1}, "learning_rate": {"min": 0.0, "max": 1.0}},
}
LAUNCH = {"on", "agents", "gpus_per_run", "cpus_per_run", "jobs_per_agent", "agent_options", "options"}


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=str)
def test_sweep_files_load(block: Block, tmp_path: Path) -> None:
    found = yaml.safe_load(block.text)
    if True in found:  # YAML's word for "on"
        assert {"on" if key is True else key for key in found} <= LAUNCH
    elif not {"apiVersion", "resources"} & set(found):
        (tmp_path / "search.py").write_text("import optuna\nsampler = optuna.samplers.RandomSampler\n")
        whole = BASE | found
        if "metrics" in found:
            del whole["metric"]
        (tmp_path / "sweep.yaml").write_text(block.text if {"method", "parameters"} <= set(found) else yaml.dump(whole))
        SweepConfig.load(tmp_path / "sweep.yaml")


@pytest.mark.parametrize("block", list(blocks("json", "toml", "ini")), ids=str)
def test_other_files_are_read(block: Block) -> None:
    if block.language == "json":
        assert json.loads(block.text)
    elif block.language == "toml" and sys.version_info >= (3, 11):
        import tomllib

        assert tomllib.loads(block.text)
    else:
        assert block.text.startswith("[")


# --- Python

PYTHON = list(blocks("python"))


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_is_python_and_its_names_exist(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lightsweep"):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name)


class FakeTrainer:
    """Takes what a trainer takes, and trains in no time."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def fit(self, *_: object, **__: object) -> None: ...

    def train(self, *_: object, **__: object) -> None: ...


def made(*_: object, **__: object) -> SimpleNamespace:
    """A model, or another thing that a page leaves open."""
    return SimpleNamespace(state_dict=dict)


def one(*_: object, **__: object) -> torch.Tensor:
    return torch.tensor(1.0)


OPEN = {
    **dict.fromkeys(["Trainer", "LightningTrainer"], FakeTrainer),
    **dict.fromkeys(["Model", "model_of", "make_model"], made),
    **dict.fromkeys(["train", "train_epoch", "validate"], one),
    **dict.fromkeys(["data", "held_out", "model"], SimpleNamespace(state_dict=dict)),
    "trainer": FakeTrainer(),
    "pl": SimpleNamespace(Trainer=FakeTrainer),
    "torch": SimpleNamespace(save=lambda _, path: path.write_text("saved")),
    **dict.fromkeys(["SweepCallback", "training_arguments"], made),
    "DEFAULTS": {"learning_rate": 0.1},
}
"""What pages leave to the reader."""

OTHER_TESTS = {
    "docs/parsers.md": "parsers/test_parsers.py",
    "docs/guides/": "examples/test_guides.py",
    "README.md": "examples/test_readme.py",
}
TRAINERS = ["keras", "xgboost.train", "lightgbm.train", "SweepTracker", "fabric.launch", "SweepCallbackBase"]
"""Words of the blocks that test_trainers_page.py runs with the real trainers."""


def run_here(block: Block) -> bool:
    if block.page == "README.md" and "Trainer" in block.text:
        return True
    if block.page == "docs/trainers.md":
        return not any(word in block.text for word in TRAINERS)
    return not any(block.page.startswith(page) for page in OTHER_TESTS)


@pytest.fixture
def sweep_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished sweep in ``lightsweep.db`` of the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    sweep = Sweep.create({**BASE, "parameters": {"learning_rate": {"min": 0.1, "max": 1.0}}, "program": None})

    def train() -> None:
        with lightsweep.init() as run:
            (run.dir / "model.pt").write_text("weights")
            run.log({"val_loss": run.config.learning_rate, "accuracy": 0.5, "acc": 0.5})

    lightsweep.agent(sweep.id, function=train)
    return sweep.id


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of trainers
@pytest.mark.parametrize("block", [each for each in PYTHON if run_here(each)], ids=str)
def test_python_runs(block: Block, sweep_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.sub("k3v9x2ab|k3x9q2ab", sweep_id, block.text)
    text = re.sub(r"^from lightning.*(Trainer|WandbLogger)\n", "", text, flags=re.MULTILINE)
    (tmp_path / "sweep.yaml").write_text(yaml.dump(BASE))
    monkeypatch.setitem(sys.modules, "wandb", lightsweep)
    names: dict[str, Any] = {
        **OPEN,
        "__name__": "block",
        "WandbLogger": made,
        "lightsweep": lightsweep,
        "wandb": lightsweep,
    }
    code = compile(text, str(block), "exec")
    if re.search(r"Sweep(Config)?\.load\(|Api\(|lightsweep\.sweep\(|load_study", text):  # of a sweep, not in a run
        exec(code, names)
        return
    handler = ScriptedHandler({"lr": 0.1, "epochs": 2}, metric="eval/loss", dir=str(tmp_path))
    with serving(handler):
        if "run." in text and "as run:" not in text:
            with lightsweep.init() as run:
                exec(code, {**names, "run": run})
        else:
            exec(code, names)
    assert "init(" not in text or handler.finishes
