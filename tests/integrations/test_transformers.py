"""Real Hugging Face Trainers on a tiny model, with an agent whose answers are scripted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hf_line import Line, Model
from transformers import Trainer, TrainerCallback, TrainingArguments

import lightsweep
from lightsweep import client
from lightsweep.errors import InputError, UsageError
from lightsweep.integrations.transformers import MetricMissingError, SweepCallback
from scripted import ScriptedHandler

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")


MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    def make(
        *callbacks: TrainerCallback, datasets: Any = None, compute_metrics: Any = None, **arguments: Any
    ) -> Trainer:
        fields: dict[str, Any] = {
            "output_dir": str(tmp_path / "out"),
            "num_train_epochs": 5,
            "per_device_train_batch_size": 4,
            "eval_strategy": "epoch",
            "logging_strategy": "epoch",
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
            "learning_rate": 1e-3,
        }
        return Trainer(
            model=Model(),
            args=TrainingArguments(**{**fields, **arguments}),
            train_dataset=Line(),
            eval_dataset=datasets or Line(),
            compute_metrics=compute_metrics,
            callbacks=list(callbacks),
        )

    return make


def reported(handler: ScriptedHandler, metric: str) -> list[float]:
    return [log["metrics"][metric] for log in handler.logs if metric in log["metrics"]]


@pytest.mark.parametrize(
    ("metric", "name", "callback"),
    [
        ("eval_loss", "eval_loss", {}),
        ("eval/loss", "eval_loss", {}),
        ("loss", "loss", {}),
        ("train/loss", "loss", {}),
        ("score", "eval_loss", {"metric": "eval_loss"}),
    ],
)
def test_each_value_is_reported_under_the_name_of_the_sweep(
    make_trainer: MakeTrainer, metric: str, name: str, callback: dict[str, str]
) -> None:
    handler = ScriptedHandler(metric=metric)
    with client.serving(handler), lightsweep.init():
        trainer = make_trainer(SweepCallback(**callback), eval_strategy="no" if name == "loss" else "epoch")
        trainer.train()
    logged = [log for log in trainer.state.log_history if name in log]
    assert [log["step"] for log in logged] == [2, 4, 6, 8, 10]
    assert reported(handler, metric) == [log[name] for log in logged]
    assert handler.finishes[0]["state"] == "finished"


@pytest.mark.parametrize(
    ("metric", "arguments", "words", "step"),
    [
        ("accuracy", {"compute_metrics": lambda _: {"accuracy": 0.5}}, "did you mean 'eval_accuracy'", 2),
        ("val_loss", {}, "did you mean 'eval_loss'", 2),
        ("perplexity", {"eval_strategy": "no"}, r"'perplexity'.*'loss'", 10),
    ],
)
def test_a_missing_metric_is_an_error_at_the_first_evaluation_or_at_the_end(
    make_trainer: MakeTrainer, metric: str, arguments: dict[str, Any], words: str, step: int
) -> None:
    with (
        client.serving(ScriptedHandler(metric=metric)),
        pytest.raises(MetricMissingError, match=words),
        lightsweep.init(),
    ):
        trainer = make_trainer(SweepCallback(), **arguments)
        trainer.train()
    assert trainer.state.global_step == step


def test_with_several_datasets_the_one_with_the_metric_counts(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="eval_b_loss")
    with client.serving(handler), lightsweep.init():
        make_trainer(SweepCallback(), datasets={"a": Line(), "b": Line(), "c": Line()}).train()
    assert len(reported(handler, "eval_b_loss")) == 5


@pytest.mark.parametrize(
    ("metric", "arguments", "words"),
    [
        ("eval/loss", {"eval_strategy": "no"}, "eval_strategy='epoch'"),
        ("train/loss", {"logging_strategy": "no", "eval_strategy": "no"}, "logging_strategy='epoch'"),
        (
            "eval_loss",
            {"eval_strategy": "steps", "eval_steps": 50, "eval_delay": 20, "max_steps": 9},
            "every 50 steps, from step eval_delay=20 on, but training ends after 9; set eval_steps to 9 or less",
        ),
        ("train/loss", {"logging_strategy": "steps"}, "logged every 500 steps, but training ends after 10; set log"),
        ("eval_loss", {"eval_delay": 9}, "from epoch eval_delay=9 on, but training ends after 5"),
    ],
)
def test_arguments_that_never_give_the_metric_are_an_error_before_training(
    make_trainer: MakeTrainer, metric: str, arguments: dict[str, Any], words: str
) -> None:
    handler = ScriptedHandler(metric=metric)
    with client.serving(handler), pytest.raises(InputError, match=words), lightsweep.init():
        trainer = make_trainer(SweepCallback(), **arguments)
        trainer.train()
    assert trainer.state.global_step == 0


def test_two_callbacks_are_an_error(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="eval_loss")
    with client.serving(handler), pytest.raises(UsageError, match="two SweepCallbacks"), lightsweep.init():
        make_trainer(SweepCallback(), SweepCallback()).train()
    assert not handler.logs
