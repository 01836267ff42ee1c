"""TrainingArguments from the config of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

import lightsweep
from lightsweep import client
from lightsweep.errors import InputError, UsageError
from lightsweep.integrations.transformers import training_arguments
from scripted import ScriptedHandler

"""Before, some of the aliases were fields, which come first."""
CPU = {"use_cpu": True, "report_to": "none"}


def arguments(values: dict[str, Any], base: Any = None, *, metric: str | None = None, **overrides: Any) -> Any:
    with client.serving(ScriptedHandler(values, metric=metric)), lightsweep.init() as run:
        return training_arguments(run, base, **{**CPU, **overrides})


def test_exact_names_aliases_and_nested_names_go_into_their_fields() -> None:
    made = arguments({"learning_rate": 0.01, "batch_size": 16, "epochs": 3, "optimizer": {"wd": 0.1}})
    assert made.learning_rate == 0.01
    assert made.per_device_train_batch_size == 16
    assert made.num_train_epochs == 3
    assert made.weight_decay == 0.1


def test_values_take_the_type_of_the_field() -> None:
    made = arguments({"batch_size": 16.0, "learning_rate": 1, "bf16_full_eval": "False", "eval_batch_size": "4"})
    assert (made.per_device_train_batch_size, type(made.per_device_train_batch_size)) == (16, int)
    assert (made.learning_rate, type(made.learning_rate)) == (1.0, float)
    assert made.bf16_full_eval is False
    assert made.per_device_eval_batch_size == 4


@pytest.mark.parametrize("value", [1.5, "many", True, [1]])
def test_a_value_of_another_type_is_an_error(value: Any) -> None:
    with pytest.raises(UsageError, match=r"'batch_size'.*'per_device_train_batch_size' takes int"):
        arguments({"batch_size": value})


def test_what_is_no_field_is_left_and_listed_once(capsys: pytest.CaptureFixture[str]) -> None:
    arguments(
        {"learning_rate": 0.1, "dropout": 0.5, "model": {"hidden_size": 8, "num_layers": 2, "activation": "relu"}}
    )
    said = capsys.readouterr().err
    assert said.count("left in run.config: dropout, model.hidden_size, model.num_layers, model.activation") == 1


@pytest.mark.parametrize(
    ("name", "meant"),
    [("learnin_rate", "learning_rate"), ("weigth_decay", "weight_decay"), ("bach_size", "batch_size")],
)
def test_a_misspelt_field_is_an_error(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"{name}.*resembles '{meant}'"):
        arguments({name: 1})


def test_two_parameters_for_one_field_are_an_error() -> None:
    with pytest.raises(UsageError, match=r"'lr' and 'optim.learning_rate' both mean the field 'learning_rate'"):
        arguments({"lr": 1, "optim": {"learning_rate": 2}})


def test_overrides_go_over_a_base(tmp_path: Path) -> None:
    base = TrainingArguments(output_dir=str(tmp_path), max_steps=7, seed=3, **CPU)
    made = arguments({"lr": 0.2}, base, seed=4)
    assert (made.max_steps, made.seed, made.learning_rate) == (7, 4, 0.2)
    assert arguments({"lr": 0.2}, {"max_steps": 9}).max_steps == 9


def test_the_output_goes_to_the_directory_of_the_run(tmp_path: Path) -> None:
    with client.serving(ScriptedHandler({}, metric=None, dir=str(tmp_path / "0007"))), lightsweep.init() as run:
        assert training_arguments(run, **CPU).output_dir == str(tmp_path / "0007")
        base = TrainingArguments(output_dir="elsewhere", **CPU)
        assert training_arguments(run, base).output_dir == str(tmp_path / "0007")
        assert training_arguments(run, output_dir="here", **CPU).output_dir == "here"


def test_an_evaluated_metric_is_evaluated_after_each_epoch_unless_said_otherwise() -> None:
    assert arguments({}, metric="eval/loss").eval_strategy == "epoch"
    assert arguments({}, metric="loss").eval_strategy == "no"
    assert arguments({}, metric="eval_loss", eval_strategy="steps", eval_steps=5).eval_strategy == "steps"
    with pytest.raises(InputError, match="never is evaluated with eval_strategy='no'"):
        arguments({}, metric="eval/loss", eval_strategy="no")


def test_a_dict_goes_into_its_field_as_a_whole() -> None:
    made = arguments({"lr_scheduler_kwargs": {"num_cycles": 2}, "lr_scheduler": "cosine_with_restarts"})
    assert made.lr_scheduler_kwargs == {"num_cycles": 2}
    assert type(made.lr_scheduler_kwargs) is dict
