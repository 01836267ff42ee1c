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


@pytest.mark.parametrize("metric", ["eval_loss", "eval/loss"])
def test_each_evaluation_is_reported_under_the_name_of_the_sweep(make_trainer: MakeTrainer, metric: str) -> None:
    handler = ScriptedHandler(metric=metric)
    with client.serving(handler), lightsweep.init():
        trainer = make_trainer(SweepCallback())
        trainer.train()
    losses = [log["eval_loss"] for log in trainer.state.log_history if "eval_loss" in log]
    assert len(losses) == 5
    assert reported(handler, metric) == losses
    assert [log["step"] for log in trainer.state.log_history if "eval_loss" in log] == [2, 4, 6, 8, 10]
    assert handler.finishes[0]["state"] == "finished"


@pytest.mark.parametrize("metric", ["loss", "train/loss"])
def test_a_metric_of_the_training_loop_is_reported_when_it_is_logged(make_trainer: MakeTrainer, metric: str) -> None:
    handler = ScriptedHandler(metric=metric)
    with client.serving(handler), lightsweep.init():
        trainer = make_trainer(SweepCallback(), eval_strategy="no")
        trainer.train()
    losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    assert len(losses) == 5
    assert reported(handler, metric) == losses


def test_an_evaluation_outside_of_training_reports_nothing(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="eval_loss")
    with client.serving(handler), lightsweep.init():
        trainer = make_trainer(SweepCallback(), eval_on_start=True)
        trainer.evaluate()
        assert not handler.logs
        trainer.train()
        assert len(handler.logs) == 5
        trainer.evaluate()
        assert len(handler.logs) == 5


def test_a_metric_without_its_prefix_is_an_error_that_names_it(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="accuracy")
    with (
        client.serving(handler),
        pytest.raises(MetricMissingError, match="did you mean 'eval_accuracy'"),
        lightsweep.init(),
    ):
        make_trainer(SweepCallback(), compute_metrics=lambda _: {"accuracy": 0.5}).train()


def test_a_metric_that_never_comes_is_an_error_at_the_end(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="perplexity")
    with client.serving(handler), pytest.raises(MetricMissingError, match=r"'perplexity'.*'loss'"), lightsweep.init():
        make_trainer(SweepCallback(), eval_strategy="no").train()


def test_with_several_datasets_the_one_with_the_metric_counts(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="eval_b_loss")
    with client.serving(handler), lightsweep.init():
        make_trainer(SweepCallback(), datasets={"a": Line(), "b": Line(), "c": Line()}).train()
    assert len(reported(handler, "eval_b_loss")) == 5


def test_another_name_of_the_metric(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="score")
    with client.serving(handler), lightsweep.init():
        make_trainer(SweepCallback(metric="eval_loss")).train()
    assert len(reported(handler, "score")) == 5


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


def test_a_misspelt_metric_of_an_evaluation_is_an_error_at_the_first_one(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="val_loss")
    with (
        client.serving(handler),
        pytest.raises(MetricMissingError, match="did you mean 'eval_loss'"),
        lightsweep.init(),
    ):
        trainer = make_trainer(SweepCallback())
        trainer.train()
    assert trainer.state.global_step == 2


def test_what_the_user_logs_may_come_late(make_trainer: MakeTrainer) -> None:
    class Translates(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_epoch_end(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
            if state.epoch >= 3:
                trainer.log({"bleu": state.epoch})

    handler = ScriptedHandler(metric="bleu")
    with client.serving(handler), lightsweep.init():
        trainer = make_trainer(SweepCallback(), Translates(), logging_strategy="steps")
        trainer.train()
    assert reported(handler, "bleu") == [3, 4, 5]


def test_two_callbacks_are_an_error(make_trainer: MakeTrainer) -> None:
    handler = ScriptedHandler(metric="eval_loss")
    with client.serving(handler), pytest.raises(UsageError, match="two SweepCallbacks"), lightsweep.init():
        make_trainer(SweepCallback(), SweepCallback()).train()
    assert not handler.logs
