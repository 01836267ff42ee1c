"""The command line of a run, from its macros."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsweep.errors import CommandError
from lightsweep.schema import SweepConfig
from lightsweep.schema.command import build_command

VALUES: dict[str, Any] = {"lr": 0.001, "name": "a b", "amp": True, "bias": False, "model.hidden": 64, "drop": None}
NESTED: dict[str, Any] = {"lr": 0.001, "name": "a b", "amp": True, "bias": False, "model": {"hidden": 64}, "drop": None}
NOWHERE = Path("/nonexistent/never-written.json")

ECHO = "import json, sys; sys.stdout.write(json.dumps(sys.argv[1:]))"


def build(command: list[str] | None, values: dict[str, Any] | None = None, **options: Any) -> list[str]:
    values = VALUES if values is None else values
    nested = options.pop("nested", NESTED if values is VALUES else values)
    options.setdefault("program", "train.py")
    options.setdefault("json_path", NOWHERE)
    return build_command(options.pop("program"), command, values, nested, **options)


def test_the_default_command_is_env_interpreter_program_args_in_the_order_of_the_values() -> None:
    arguments = ["--lr=0.001", "--name=a b", "--amp=True", "--bias=False", "--model.hidden=64", "--drop=None"]
    assert build(None) == ["/usr/bin/env", sys.executable, "train.py", *arguments]


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("${args}", ["--n=1", "--amp=True", "--off=False", "--drop=None"]),
        ("${args_no_hyphens}", ["n=1", "amp=True", "off=False", "drop=None"]),
        ("${args_no_equals}", ["--n", "1", "--amp", "True", "--off", "False", "--drop", "None"]),
        ("${args_no_boolean_flags}", ["--n=1", "--amp", "--drop=None"]),
        ("${args_append_hydra}", ["+n=1", "+amp=True", "+off=False", "+drop=null"]),
        ("${args_override_hydra}", ["++n=1", "++amp=True", "++off=False", "++drop=null"]),
    ],
)
def test_a_macro_of_several_arguments_replaces_its_item(macro: str, expected: list[str]) -> None:
    values = {"n": 1, "amp": True, "off": False, "drop": None}
    assert build(["run", macro, "end"], values) == ["run", *expected, "end"]


def test_a_macro_of_several_arguments_inside_an_item_is_refused() -> None:
    with pytest.raises(CommandError, match="a separate item"):
        build(["bash", "-c", "python train.py ${args}"])


def test_macros_inside_items() -> None:
    command = ["${env}", "--python=${interpreter}", "--script=${program}", "${model.hidden}/${lr}", "--model=${model}"]
    expected = ["/usr/bin/env", f"--python={sys.executable}", "--script=train.py", "64/0.001", '--model={"hidden": 64}']
    assert build(command) == expected


def test_args_json_is_one_argument_with_the_nested_config() -> None:
    (whole, part) = build(["${args_json}", "--config=${args_json}"])
    assert json.loads(whole) == NESTED
    assert json.loads(part.removeprefix("--config=")) == NESTED
    (argument,) = build(["${args_json}"], {"x": math.inf, "y": "\0"})
    assert json.loads(argument) == {"x": math.inf, "y": "\0"}


def test_args_json_file_writes_the_nested_config_and_gives_its_path(tmp_path: Path) -> None:
    path = tmp_path / "run" / "args.json"
    build(["run", "${args_json}"], json_path=path)
    assert not path.exists()
    assert build(["${args_json_file}", "--config=${args_json_file}"], json_path=path) == [str(path), f"--config={path}"]
    assert json.loads(path.read_text()) == NESTED


def test_a_json_file_that_cannot_be_written_is_a_command_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="args_json_file"):
        build(["${args_json_file}"], json_path=tmp_path / "file" / "args.json")


def test_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_DATA_DIR", "/data")
    assert build(["${envvar:SWEEP_DATA_DIR}"]) == ["/data"]
    environ = {"DATA": "/data/${lr}", "EMPTY": ""}
    assert build(["${envvar:DATA}/x", "${envvar:EMPTY}"], environ=environ) == ["/data/${lr}/x", ""]


def test_an_unset_environment_variable_is_an_error_with_the_closest_name() -> None:
    with pytest.raises(CommandError, match=r"'DATA_DIRR' is not set; did you mean 'DATA_DIR'\?"):
        build(["${envvar:DATA_DIRR}"], environ={"DATA_DIR": "x"})


@pytest.mark.parametrize(
    ("item", "match"),
    [
        ("${arg}", "args"),
        ("--name=${nmae}", "name"),
        ("--h=${model.hiden}", "model.hidden"),
        ("${env_var:HOME}", "envvar:HOME"),
    ],
)
def test_a_misspelt_macro_is_an_error_with_the_closest_match(item: str, match: str) -> None:
    with pytest.raises(CommandError) as caught:
        build(["run", item])
    assert f"did you mean {match!r}?" in str(caught.value)
    assert item in str(caught.value)


@pytest.mark.parametrize("item", ["${lrs}", "${names_of_all}", "${hydra:runtime.cwd}/x", "$${x}", "${}", "{lr}", "${a"])
def test_what_resembles_nothing_is_left_to_the_program(item: str) -> None:
    assert build(["run", item]) == ["run", item]
    config = {"method": "random", "parameters": {name: {"value": 1} for name in VALUES}, "command": ["run", item]}
    assert SweepConfig.load(config).command == ("run", item)  # the sweep file goes by the same rule


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (None, "set `program` .* or `command`"),
        (["${program}"], "no `program`"),
        ([], "empty command line"),
        (["${args}"], "empty command line"),
    ],
)
def test_nothing_to_execute(command: list[str] | None, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        build(command, {}, program=None)


@pytest.mark.parametrize("item", ["${args}", "${args_no_equals}", "--x=${token}"])
def test_what_no_command_line_can_carry_names_the_parameter(item: str) -> None:
    for bad in ("a\0b", "\ud800"):
        with pytest.raises(CommandError, match="parameter 'token'"):
            build(["run", item], {"token": bad})
    with pytest.raises(CommandError, match="parameter name"):
        build(["run", "${args}"], {"a\0": 1})


def test_replacements_are_not_searched_for_macros_again() -> None:
    values = {"a": "${b}", "b": "${args}", "c": r"\1 \g<0>"}
    command = ["${a}", "${program}", "${args}"]
    expected = ["${b}", "${b}.py", "--a=${b}", "--b=${args}", r"--c=\1 \g<0>"]
    assert build(command, values, program="${b}.py") == expected


@given(st.floats(allow_nan=False))
def test_floats_come_back_as_they_were(value: float) -> None:
    (argument,) = build(["${x}"], {"x": value})
    assert float(argument) == value
    assert math.copysign(1, float(argument)) == math.copysign(1, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(JSON, max_size=3) | st.dictionaries(st.text(), JSON, max_size=3))
def test_lists_and_dicts_are_json(value: Any) -> None:
    (argument,) = build(["${x}"], {"x": value})
    assert json.loads(argument) == value


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=15, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=8))
def test_a_program_receives_arbitrary_strings_as_they_are(texts: list[str]) -> None:
    nasty = ["", " ", "a b", '"', "'", "a\nb", "$(touch x)", "`id`", "--help", "*", "~", "${args}", "%s", "é\u2028"]
    texts = [*texts, *nasty]
    values = {f"p{number}": text for number, text in enumerate(texts)}
    command = ["${interpreter}", "-c", ECHO, "${args_no_equals}", "${p0}", "${args}"]
    argv = build(command, values)
    done = subprocess.run(argv, capture_output=True, check=True, text=True, encoding="utf-8")
    expected = [part for name, text in values.items() for part in (f"--{name}", text)]
    assert json.loads(done.stdout) == [*expected, texts[0], *(f"--{name}={text}" for name, text in values.items())]
