"""A callback shortens a real trainer in a smoke run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hf_line
import keras
import lightning.pytorch
import lightning.pytorch.loggers
import numpy as np
import pytest
import pytorch_lightning
import torch
from more_trainers import LightGBM, XGBoost
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import Trainer, TrainingArguments

import lightsweep
from lightsweep.agents.findings import findings
from lightsweep.agents.smoke import Observed, SmokeHandler
from lightsweep.client import serving
from lightsweep.client.loaders import BATCH_LOSS, SMOKE_STEPS, STEP_LOSS
from lightsweep.integrations import keras as for_keras
from lightsweep.integrations import lightning as for_lightning
from lightsweep.integrations import transformers as for_transformers
from lightsweep.schema import SweepConfig

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:You requested to overfit but enabled train dataloader shuffling"),
]


QUIET = {
    "accelerator": "cpu",
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "logger": False,
    "max_epochs": 1000,
}


def sweep(metric: str) -> SweepConfig:
    parameters = {"lr": {"values": [0.1, 0.2]}}
    return SweepConfig.load(
        {"program": "train.py", "method": "random", "metric": {"name": metric}, "parameters": parameters}
    )


def wrong(config: SweepConfig, seen: Observed) -> list[str]:
    return [finding.text for finding in findings(config, seen, 1) if finding.right is False]


def module_of(package: Any, batches: list[int], *, validates: bool) -> Any:
    class Module(package.LightningModule):  # type: ignore[misc]  # the package is chosen at run time
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            batches.append(int(batch[0].sum()))
            loss = (self.layer(batch[0] / 64) - batch[1]).pow(2).mean()
            self.log("train_error", loss.detach(), on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=lightsweep.config.lr)

    if validates:

        def validation_step(self: Any, batch: Any, _: int) -> None:
            self.log("val_loss", (self.layer(batch[0] / 64) - batch[1]).pow(2).mean())

        Module.validation_step = validation_step
    return Module()


@pytest.mark.parametrize(("package", "validates"), [(lightning.pytorch, True), (pytorch_lightning, False)])
def test_lightning_overfits_one_batch(tmp_path: Path, package: Any, validates: bool) -> None:
    metric = "val_loss" if validates else "train_error"
    config = sweep(metric)
    handler = SmokeHandler(config, {"lr": 0.1}, tmp_path)
    batches: list[int] = []
    points = torch.arange(64.0)[:, None]
    data = TensorDataset(points, 2 * points / 64)
    loaders = [DataLoader(data, batch_size=4, shuffle=True)] + [DataLoader(data, batch_size=4)] * validates
    with serving(handler), lightsweep.init() as run:
        assert run.smoke
        trainer = package.Trainer(
            val_check_interval=4 if validates else 1.0,
            accumulate_grad_batches=2,
            callbacks=[for_lightning.SweepCallback()],
            **QUIET,
        )
        trainer.fit(module_of(package, batches, validates=validates), *loaders)
    seen = handler.observed
    assert batches == [batches[0]] * SMOKE_STEPS
    assert trainer.global_step == SMOKE_STEPS
    assert len(seen.logged[metric]) == len(seen.logged[BATCH_LOSS]) == SMOKE_STEPS
    assert wrong(config, seen) == []
    assert seen.logged[BATCH_LOSS][-1] < seen.logged[BATCH_LOSS][0]


def contents(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_lightning_writes_nowhere_but_in_the_directory_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, run = tmp_path / "here", tmp_path / "run"
    (here / "models").mkdir(parents=True)
    (here / "models" / "last.ckpt").write_text("weeks of training")
    monkeypatch.chdir(here)
    handler = SmokeHandler(sweep("val_loss"), {"lr": 0.1}, run)
    data = DataLoader(TensorDataset(torch.arange(8.0)[:, None], torch.arange(8.0)[:, None]), batch_size=4)

    class Service(lightning.pytorch.loggers.CSVLogger):
        def log_metrics(self, *_: Any, **__: Any) -> None:
            raise AssertionError("a smoke run counts nowhere")

    with serving(handler), lightsweep.init():
        trainer = lightning.pytorch.Trainer(
            max_epochs=3,
            accelerator="cpu",
            default_root_dir="named",
            callbacks=[
                for_lightning.SweepCallback(),
                lightning.pytorch.callbacks.ModelCheckpoint("models", save_last=True, monitor="val_loss"),
            ],
            logger=[
                lightning.pytorch.loggers.CSVLogger("logs", name="mine"),
                lightning.pytorch.loggers.TensorBoardLogger("boards"),
                Service("service"),
            ],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module_of(lightning.pytorch, [], validates=True), data, data)
    assert contents(here) == {"models/last.ckpt": "weeks of training"}
    assert sorted(path.name for path in here.iterdir()) == ["models", "service"]  # its class made the latter
    assert list(run.rglob("last.ckpt"))
    assert list(run.rglob("events.out.tfevents*"))


class Line(hf_line.Line):
    """So many points of a line."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        x = torch.tensor([index / self.size])
        return {"x": x, "labels": 2 * x}


class Model(hf_line.Model):
    def __init__(self) -> None:
        super().__init__()
        self.batches: set[tuple[float, ...]] = set()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.training:
            self.batches.add(tuple(sorted(x.flatten().tolist())))
        return super().forward(x, labels)


@pytest.mark.parametrize(
    ("size", "epochs", "metric", "workers"),
    [(400, 1000, "eval/loss", 0), (4, 1, "train/loss", 0), (4, 1000, "eval/loss", 1)],
)
def test_hugging_face_overfits_one_batch(tmp_path: Path, size: int, epochs: int, metric: str, workers: int) -> None:
    model = Model()
    config = sweep(metric)
    handler = SmokeHandler(config, {"lr": 0.1}, tmp_path)
    torch.manual_seed(1)
    with serving(handler), lightsweep.init() as run:
        arguments = TrainingArguments(
            output_dir=str(tmp_path / "out"),
            num_train_epochs=epochs,
            learning_rate=run.config.lr,
            per_device_train_batch_size=4,
            eval_strategy="epoch" if metric == "eval/loss" else "no",
            logging_strategy="epoch",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_num_workers=workers,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Line(size),
            eval_dataset=Line(8),
            callbacks=[for_transformers.SweepCallback()],
        )
        trainer.train()
    seen = handler.observed
    assert trainer.state.global_step == SMOKE_STEPS
    assert len(seen.logged[BATCH_LOSS]) == SMOKE_STEPS
    assert len(model.batches) == 1
    assert len(seen.logged[metric]) >= 2
    assert wrong(config, seen) == []


@pytest.mark.parametrize(("begun", "added"), [(True, False), (False, True)])
def test_hugging_face_writes_nowhere_but_in_the_directory_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool, added: bool
) -> None:
    here, run = tmp_path / "here", tmp_path / "run"
    (here / "models").mkdir(parents=True)
    (here / "models" / "model.safetensors").write_text("weeks of training")
    monkeypatch.chdir(here)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(run / "runs"))  # as smoke_run does
    for output in ("models", "new/model"):
        handler = SmokeHandler(sweep("eval/loss"), {"lr": 0.1}, run)
        with serving(handler):
            if begun:
                lightsweep.init()
            arguments = TrainingArguments(
                output_dir=output,
                eval_strategy="epoch",
                save_strategy="epoch",
                load_best_model_at_end=True,
                report_to="tensorboard",
                disable_tqdm=True,
                use_cpu=True,
            )
            trainer = Trainer(
                model=Model(),
                args=arguments,
                train_dataset=Line(8),
                eval_dataset=Line(8),
                callbacks=[] if added else [for_transformers.SweepCallback()],
            )
            if added:
                trainer.add_callback(for_transformers.SweepCallback())
            trainer.train()
            trainer.save_model()
        assert handler.observed.said["state"] == "finished"
        assert contents(here) == {"models/model.safetensors": "weeks of training"}
        assert [path.name for path in here.iterdir()] == ["models"]
        assert (run / "model.safetensors").exists()
        assert list(run.rglob("events.out.tfevents*"))


@pytest.mark.parametrize("batch", [1, 16])
def test_keras_takes_few_steps(tmp_path: Path, batch: int) -> None:
    config = sweep("val_loss")
    handler = SmokeHandler(config, {"lr": 0.1}, tmp_path)
    evaluated: list[int] = []

    class Count(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            evaluated.append(batch)

    x = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
    with serving(handler), lightsweep.init() as run:
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(run.config.lr), "mse")
        callbacks = [for_keras.SweepCallback(), Count()]
        model.fit(x, 3 * x, validation_data=(x, x), batch_size=batch, epochs=1000, verbose=0, callbacks=callbacks)
    seen = handler.observed
    assert len(seen.logged[STEP_LOSS]) == SMOKE_STEPS
    assert len(seen.logged["val_loss"]) == len(evaluated) == (1 if batch == 1 else 5)
    assert wrong(config, seen) == []


@pytest.mark.parametrize(("trainer", "rounds"), [(XGBoost, 5), (LightGBM, 5)])
def test_rounds_and_epochs_of_other_trainers_are_few(tmp_path: Path, trainer: Any, rounds: int) -> None:
    config = sweep(trainer.metric)
    handler = SmokeHandler(config, {"lr": 0.1}, tmp_path)
    with serving(handler), lightsweep.init() as run:
        assert run.config.lr
        values = [1 / (1 + number) for number in range(1000)]
        trainer().train(values, hook=lambda _: None, on_prune="raise", log=True)
    assert len(handler.observed.logged[trainer.metric]) == rounds
    assert wrong(config, handler.observed) == []
