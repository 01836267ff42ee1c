"""Warnings about one directory that all runs would write to."""

from __future__ import annotations

from typing import Any

import pytest

from lightsweep.errors import ConfigError
from lightsweep.schema import SweepConfig

BASE: dict[str, Any] = {"method": "grid", "program": "train.py", "parameters": {"x": {"values": [1, 2]}}}


def warnings(**changes: Any) -> list[str]:
    return [str(warning) for warning in SweepConfig.load({**BASE, **changes}).warnings]


def of_command(*items: str) -> list[str]:
    return warnings(command=["python", "train.py", *items, "${args}"])


@pytest.mark.parametrize(
    "items",
    [["--output_dir=out"], ["--training.output_dir=out"], ["hydra.run.dir=out"], ["+trainer.default_root_dir=out"]],
)
def test_an_argument_that_names_one_directory_for_all_runs(items: list[str]) -> None:
    (warning,) = of_command(*items)
    assert "every run writes to 'out', over the files of the runs before; write ${run_dir} for it" in warning


@pytest.mark.parametrize(
    "items",
    [
        ["--output_dir=out/${run_id}"],
        ["--output_dir", "${run_dir}/model"],
        ["--output_dir=out-${x}"],
        ["--output_dir", "--verbose"],
        ["--data_dir=out"],
        ["--out=out"],
    ],
)
def test_other_arguments_are_no_mistake(items: list[str]) -> None:
    assert of_command(*items) == []


def test_a_constant_parameter_is_told_of_with_the_way_to_write_it() -> None:
    parameters = {"x": {"values": [1, 2]}, "output_dir": {"value": "out"}}
    (warning,) = warnings(parameters=parameters)
    assert "leave output_dir out here, and write --output_dir=${run_dir} in command" in warning
    assert warnings(parameters={**parameters, "output_dir": {"values": ["a", "b"]}}) == []


def test_keeping_the_best_checkpoints_needs_a_metric() -> None:
    with pytest.raises(ConfigError, match="keep_checkpoints needs a metric"):
        warnings(lightsweep={"keep_checkpoints": 3})
    assert warnings(lightsweep={"keep_checkpoints": 3}, metric={"name": "loss"}) == []
