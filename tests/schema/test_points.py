"""``first`` and ``when`` of the ``lightsweep`` block: what is read, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightsweep.controller.plan import check_update
from lightsweep.errors import ConfigError, UsageError
from lightsweep.schema import SweepConfig, explain

BEGIN = """\
method: random
run_cap: 9
program: train.py
metric: {name: loss}
parameters:
  optimizer: {values: [adam, adamw, sgd]}
  momentum: {min: 0.0, max: 0.99}
  nesterov: {values: [true, false]}
  model: {parameters: {layers: {min: 1, max: 4}, norm: {values: [none, batch]}}}
  epochs: {value: 27}
lightsweep:
"""


def config(tmp_path: Path, block: str, begin: str = BEGIN) -> SweepConfig:
    path = tmp_path / "sweep.yaml"
    path.write_text(begin + block, encoding="utf-8")
    return SweepConfig.load(path)


def faults(tmp_path: Path, block: str, begin: str = BEGIN) -> list[tuple[int | None, str]]:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, block, begin)
    return [(fault.line, f"{fault.where}: {fault.message}") for fault in caught.value.faults]


def test_conditions_are_read_and_explained(tmp_path: Path) -> None:
    found = config(
        tmp_path, "  when: {momentum: {optimizer: sgd}, nesterov: {optimizer: [sgd, adamw], model.norm: batch}}\n"
    )
    assert found.space.when == {
        "momentum": {"optimizer": ("sgd",)},
        "nesterov": {"optimizer": ("sgd", "adamw"), "model.norm": ("batch",)},
    }
    text = " ".join(explain(found).split())
    assert "when optimizer is sgd: momentum" in text
    assert "when optimizer is sgd or adamw, and model.norm is batch: nesterov" in text
    assert SweepConfig.load(found.raw) == found


def test_the_condition_of_a_group_is_that_of_each_parameter_in_it(tmp_path: Path) -> None:
    found = config(tmp_path, "  when: {model: {optimizer: sgd}}\n")
    assert found.space.when.keys() == {"model.layers", "model.norm"}
    assert found.space.existing({"optimizer": "adam", "model.layers": 1}) == {"optimizer": "adam"}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("momentun: {optimizer: sgd}", "there is no parameter 'momentun'; did you mean 'momentum'?"),
        ("momentum: {optimizer: sdg}", "'optimizer' is never 'sdg'; it has adam, adamw, sgd; choose one of these"),
        ("momentum: {optimizer: []}", "give a value of 'optimizer', or a list of some"),
        ("nesterov: {momentum: '> 0.5'}", "'momentum' is a range of numbers, and only a parameter with a list of"),
        ("momentum: {optimizer: '!= adam'}", "list the values instead of comparing"),
        ("momentum: sgd", "the conditions of 'momentum' must be a mapping of its parents to their values"),
        ("optimizer: {nesterov: true}, nesterov: {optimizer: sgd}", "'optimizer' on 'nesterov' on 'optimizer'"),
        ("model: {optimizer: sgd}, model.norm: {optimizer: adam}", "'model.norm' has two conditions; write"),
    ],
)
def test_a_wrong_condition_names_its_line_and_the_remedy(tmp_path: Path, block: str, message: str) -> None:
    ((line, text),) = faults(tmp_path, f"  when: {{{block}}}\n")
    assert line == 12
    assert message in text


def test_when_is_a_mapping(tmp_path: Path) -> None:
    ((_, text),) = faults(tmp_path, "  when: [momentum]\n")
    assert "when must be a mapping of parameters to conditions" in text


def test_a_condition_that_always_holds_is_warned_of(tmp_path: Path) -> None:
    found = config(tmp_path, "  when: {momentum: {optimizer: [sgd, adam, adamw]}}\n")
    assert "always has one of these values" in found.warnings[0].message


def test_a_conditional_parameter_is_no_part_of_the_command(tmp_path: Path) -> None:
    command = "command: [python, train.py, '--m=${momentum}']\n"
    ((line, text),) = faults(tmp_path, "  when: {momentum: {optimizer: sgd}}\n", command + BEGIN)
    assert (line, "pass it by ${args}" in text) == (1, True)
    assert config(tmp_path, "  when: {momentum: {optimizer: sgd}}\n", command.replace("momentum", "optimizer") + BEGIN)


def test_neither_key_goes_with_stages(tmp_path: Path) -> None:
    stages = "  stages: [{parameters: [optimizer, momentum, nesterov, model]}]\n"
    found = faults(tmp_path, "  when: {momentum: {optimizer: sgd}}\n  first: [{momentum: 0.9}]\n" + stages)
    assert [text for _, text in found] == [
        "lightsweep.when: `when` cannot be combined with `stages`; remove one of them",
        "lightsweep.first: `first` cannot be combined with `stages`; remove one of them",
    ]


def test_neither_key_goes_with_a_space_that_a_function_defines(tmp_path: Path) -> None:
    scheduler = "scheduler: {engine: optuna, source: a.py, search_space: space}\n"
    begin = scheduler + BEGIN.replace("random", "custom")
    found = faults(tmp_path, "  when: {momentum: {optimizer: sgd}}\n  first: [{momentum: 0.9}]\n", begin)
    assert ["`search_space`" in text for _, text in found] == [True, True]


def test_configurations_are_read_flat_and_in_the_types_of_the_sweep(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        "  first:\n  - {model: {layers: 2.0}, model.norm: none, epochs: 27}\n  - {momentum: 0, optimizer: sgd}\n",
    )
    assert found.options.first == (
        {"model.layers": 2, "model.norm": "none", "epochs": 27},
        {"momentum": 0.0, "optimizer": "sgd"},
    )
    assert [type(each) for each in found.options.first[1].values()] == [float, str]
    text = " ".join(explain(found).split())
    assert "run 1 model.layers=2, model.norm=none, epochs=27; the others as the method chooses them" in text
    assert SweepConfig.load(found.raw) == found


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("[{momentum: 1.5}]", "the sweep never gives 'momentum' this value: "),
        ("[{epochs: 3}]", "the sweep never gives 'epochs' this value: "),
        ("[{momemtum: 0.5}]", "there is no parameter 'momemtum'; did you mean 'momentum'?"),
        ("[{model: 3}]", "'model' is a group of parameters"),
        ("[0.5]", "a configuration of first must be a mapping of parameters to values, got 0.5"),
        ("[{}]", "a configuration of first needs a value of one parameter at least, got {}"),
        ("{momentum: 0.5}", "first must be a list of configurations, such as first: [{'momentum': 0.5}]"),
    ],
)
def test_a_wrong_configuration_names_its_line_and_the_remedy(tmp_path: Path, entries: str, message: str) -> None:
    ((line, text),) = faults(tmp_path, f"  first: {entries}\n")
    assert line == 12
    assert message in text


def test_a_whole_configuration_is_given_once(tmp_path: Path) -> None:
    entry = "{optimizer: sgd, momentum: 0.5, nesterov: true, epochs: 27, model: {layers: 1, norm: none}}"
    ((line, text),) = faults(tmp_path, f"  first:\n  - {entry}\n  - {entry}\n")
    assert (line, "the configuration of first[0] again" in text) == (14, True)


def test_a_configuration_follows_the_conditions(tmp_path: Path) -> None:
    when = "  when: {momentum: {optimizer: sgd}}\n  first:\n"
    ((line, text),) = faults(tmp_path, f"{when}  - {{momentum: 0.5}}\n")
    assert (line, "'momentum' exists only if optimizer is sgd; give 'optimizer' here too" in text) == (14, True)
    ((_, text),) = faults(tmp_path, f"{when}  - {{momentum: 0.5, optimizer: adam}}\n")
    assert "'momentum' exists only if optimizer is sgd; remove it here, or change that" in text
    assert config(tmp_path, f"{when}  - {{momentum: 0.5, optimizer: sgd}}\n").options.first


def test_a_cap_below_the_number_of_configurations_is_warned_of(tmp_path: Path) -> None:
    found = config(tmp_path, "  first: [{momentum: 0.1}, {momentum: 0.2}]\n", BEGIN.replace("run_cap: 9", "run_cap: 1"))
    assert "run_cap 1 ends the sweep before all 2 configurations of first" in found.warnings[0].message


@pytest.mark.parametrize("block", ["  first: [{momentum: 0.2}]\n", "  when: {momentum: {optimizer: sgd}}\n"])
def test_an_update_changes_neither(tmp_path: Path, block: str) -> None:
    before, after = config(tmp_path, "  seed: 1\n"), config(tmp_path, f"  seed: 1\n{block}")
    with pytest.raises(UsageError, match=f"cannot change lightsweep.{block.strip().partition(':')[0]} in an update"):
        check_update("s", before, after)
