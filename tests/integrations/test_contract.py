"""Each integration against the contract that all share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hf_line
import lightning.pytorch
import pytest
import pytorch_lightning
import torch
import transformers
from contract import CASES, Integration, play
from more_trainers import Accelerate, Keras, LightGBM, XGBoost
from torch.utils.data import DataLoader, TensorDataset

import lightsweep
from lightsweep.integrations import lightning as lightning_integration
from lightsweep.integrations import transformers as transformers_integration

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The number of training batches.*is smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*"),
]


class Lightning:
    """A Lightning Trainer of either package."""

    metric = "val_loss"

    def __init__(self, package: Any) -> None:
        self.package = package

    def train(self, values: Sequence[float], *, hook: Callable[[int], None], on_prune: Any, log: bool) -> None:
        package = self.package

        class Model(package.LightningModule):  # type: ignore[misc, name-defined, unused-ignore]
            def __init__(self) -> None:
                super().__init__()
                self.layer = torch.nn.Linear(2, 1)

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), lr=0.01)

            def training_step(self, batch: Any, *_: Any) -> Any:
                return self.layer(batch[0]).square().mean()

            def validation_step(self, *_: Any) -> None:
                if log:
                    self.log("val_loss", float(values[self.current_epoch]))

        class Hook(package.Callback):  # type: ignore[misc, name-defined, unused-ignore]
            def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
                hook(trainer.current_epoch)

        data = DataLoader(TensorDataset(torch.ones(2, 2)), batch_size=2)
        trainer = package.Trainer(
            accelerator="cpu",
            callbacks=[lightning_integration.SweepCallback(on_prune=on_prune), Hook()],
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
            max_epochs=len(values),
        )
        trainer.fit(Model(), data, data)


class HuggingFace:
    """A Hugging Face Trainer."""

    metric = "eval_score"

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def train(self, values: Sequence[float], *, hook: Callable[[int], None], on_prune: Any, log: bool) -> None:
        remaining = list(values)

        class Hook(transformers.TrainerCallback):  # type: ignore[misc, unused-ignore]
            def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                hook(round(state.epoch) - 1)

        def compute_metrics(_: Any) -> dict[str, float]:
            return {"score": remaining.pop(0)} if log else {"other": 0.0}

        arguments = transformers.TrainingArguments(
            output_dir=str(self.directory),
            num_train_epochs=len(values),
            eval_strategy="epoch",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        transformers.Trainer(
            model=hf_line.Model(),
            args=arguments,
            train_dataset=hf_line.Line(),
            eval_dataset=hf_line.Line(),
            compute_metrics=compute_metrics,
            callbacks=[Hook(), transformers_integration.SweepCallback(on_prune=on_prune)],
        ).train()


class Plain:
    """A loop of the user's own, with ``run.log``."""

    metric = "val_loss"

    def train(self, values: Sequence[float], *, hook: Callable[[int], None], on_prune: Any, log: bool) -> None:
        run = lightsweep.init()
        for epoch, value in enumerate(values):
            hook(epoch)
            metrics = {"val_loss" if log else "other": value}
            if on_prune == "raise":
                run.log(metrics)
            elif run.report(metrics).stop:
                break


INTEGRATIONS: Mapping[str, Callable[[Path], Integration]] = {
    "lightning.pytorch": lambda _: Lightning(lightning.pytorch),
    "pytorch_lightning": lambda _: Lightning(pytorch_lightning),
    "transformers": HuggingFace,
    "accelerate": lambda _: Accelerate(),
    "keras": lambda _: Keras(),
    "xgboost": lambda _: XGBoost(),
    "lightgbm": lambda _: LightGBM(),
    "plain": lambda _: Plain(),
}
# A loop of the user's own says itself what it logs, where it begins and where it ends: a metric that is missing is for
# the agent to find at the end, and only its author knows what it has reported before and which report is the last.
OWN_LOOPS = {"accelerate", "plain"}
PAIRS = [
    (name, case)
    for name in INTEGRATIONS
    for case, expected in CASES.items()
    if name not in OWN_LOOPS or not (expected.counted or case in {"no metric", "a verdict that comes with the end"})
    if name != "accelerate" or case != "stopped by the flag"  # a tracker has none
    if name != "pytorch_lightning" or case in {"to its end", "stopped in the middle", "no agent"}  # the same code
]


@pytest.mark.parametrize(("name", "case"), PAIRS)
def test_contract(name: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = CASES[case]
    ended = play(INTEGRATIONS[name](tmp_path / "trainer"), expected, tmp_path / "run")
    assert repr([float(value) for value in ended.reported]) == repr([float(value) for value in expected.reported])
    assert (ended.state, ended.raised) == (expected.state, expected.raises)
    assert ended.epochs == list(expected.epochs)
    assert ended.exit_code == (1 if expected.state == "failed" else 0)
