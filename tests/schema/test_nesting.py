"""The form of nested groups on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightsweep.schema import SweepConfig
from lightsweep.schema.command import build_command
from lightsweep.schema.nesting import arguments, passed_groups

PARAMETERS: dict[str, Any] = {
    "lr": {"value": 0.1},
    "model": {
        "parameters": {
            "hidden": {"value": 64},
            "head": {"parameters": {"bias": {"value": None}, "act": {"value": "a b"}}},
        }
    },
    "optim.momentum": {"value": 0.9},
}
DOTTED = ["--lr=0.1", "--model.head.act=a b", "--model.head.bias=None", "--model.hidden=64", "--optim.momentum=0.9"]
JSON = ["--lr=0.1", '--model={"head": {"act": "a b", "bias": null}, "hidden": 64}', "--optim.momentum=0.9"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def passed(script: str, command: list[str] | None = None, **options: Any) -> list[str]:
    """The arguments that the script gets after its own name."""
    Path("train.py").write_text(script)
    raw = {"program": "train.py", "method": "grid", "parameters": PARAMETERS, "lightsweep": options}
    config = SweepConfig.load({**raw, **({"command": command} if command else {})})
    values = config.space.at([])
    given = arguments(config, values, "train.py", config.command)
    argv = build_command(
        "train.py", config.command, values, config.space.nest(values), json_path=Path("p.json"), passed=given
    )
    return argv[argv.index("train.py") + 1 :]


@pytest.mark.parametrize(
    "script",
    [
        "p.add_argument('--model', type=json.loads)",
        "p.add_argument('-m', '--model', default={})",
        "@click.option('--model/--no-model')\ndef main(model): ...",
        "def main(model: str = typer.Option('{}', '--model')): ...",
        "from absl import flags\nflags.DEFINE_string('model', '{}', 'the model')",
    ],
)
def test_a_script_that_declares_the_group_gets_it_as_json(script: str) -> None:
    assert passed(script) == JSON


@pytest.mark.parametrize(
    "script",
    [
        "",
        "p.add_argument('--model.hidden'); p.add_argument('--model.head.act')",
        "p.add_argument('--model'); p.add_argument('--model.hidden')",
        "p.add_argument('--mod')",
        "import jsonargparse\np.add_argument('--model')",
        "from lightning.pytorch.cli import LightningCLI\np.add_argument('--model')",
        "from ml_collections import config_flags\nconfig_flags.DEFINE_config_file('model')",
        "for name in names: p.add_argument(f'--{name}')",
        "def not python",
    ],
)
def test_every_other_script_gets_dotted_names(script: str) -> None:
    assert passed(script) == DOTTED


def test_a_group_in_a_group_can_be_the_one_that_is_declared() -> None:
    found = passed("p.add_argument('--model.head'); p.add_argument('--model.hidden')")
    assert found[1:3] == ['--model.head={"act": "a b", "bias": null}', "--model.hidden=64"]


def test_the_parser_may_be_in_a_module_beside_the_script() -> None:
    Path("options.py").write_text("p.add_argument('--model')")
    assert passed("from options import p") == JSON


@pytest.mark.parametrize("script", ["", "p.add_argument('--model')", "p.add_argument('--model.hidden')"])
def test_the_key_sets_the_form(script: str) -> None:
    assert passed(script, nested="json") == JSON
    assert passed(script, nested="dotted") == DOTTED


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("${args_no_hyphens}", [item.removeprefix("--") for item in JSON]),
        ("${args_no_equals}", [part for item in JSON for part in item.split("=", 1)]),
        ("${args_no_boolean_flags}", JSON),
        ("${args_override_hydra}", ["++" + item.removeprefix("--") for item in DOTTED]),
    ],
)
def test_every_macro_but_those_of_hydra_has_the_form(macro: str, expected: list[str]) -> None:
    found = passed("p.add_argument('--model')", ["python", "${program}", macro])
    assert [item.replace("'a b'", "a b").replace("null", "None") for item in found] == [
        item.replace("null", "None") for item in expected
    ]


def test_each_form_has_its_reason() -> None:
    Path("train.py").write_text("import argparse\np.add_argument('--model')\np.add_argument('--other.x')\n")
    group = {"parameters": {"x": {"value": 1}}}
    raw = {"program": "train.py", "method": "grid", "parameters": {"model": group, "other": group, "third": group}}

    def forms(program: str | None = "train.py", **keys: Any) -> list[tuple[str, bool, str]]:
        config = SweepConfig.load({**raw, "program": program, **keys})
        return [(form.name, form.as_json, form.reason) for form in passed_groups(config, program, config.command)]

    assert forms() == [
        ("model", True, "train.py:2 declares --model and not --model.x"),
        ("other", False, "train.py:3 declares --other.x"),
        ("third", False, "the default, since the source declares no --third"),
    ]
    assert {reason for *_, reason in forms(lightsweep={"nested": "json"})} == {"lightsweep.nested is json"}
    assert forms("gone.py")[0] == ("model", False, "the default, since the command names no Python file that is here")
    assert forms(command=["python", "train.py", "${args_json}"]) == []
    assert forms(None) == []
    assert forms(parameters={"model.x": {"value": 1}}) == []
