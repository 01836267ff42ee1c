"""A tiny Hugging Face training in which every rank sees another value: to be launched by torchrun or accelerate.

The n-th evaluation has the score n + rank + x of the config. Each rank notes in ``run.dir`` where it has come to. What
the environment may ask for: EPOCHS, SLEEP (seconds a step), CHECKPOINT.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainerCallback

import lightsweep
from lightsweep.integrations.transformers import SweepCallback, training_arguments

sys.path.insert(0, str(Path(__file__).parent.parent))

from hf_line import Line, Model


class Slow(Model):
    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        time.sleep(float(os.environ.get("SLEEP", "0")))
        return super().forward(x, labels)


class Note(TrainerCallback):
    """Stands before the callback of the sweep: sets this rank's value, and notes what it did last."""

    def __init__(self, run: Any) -> None:
        self.run = run

    def note(self, what: str, state: Any) -> None:
        with (self.run.dir / f"rank{self.run.rank}.txt").open("a") as file:
            file.write(f"{what} {state.global_step}\n")

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.note("batch", state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        self.note("validation", state)
        metrics["eval_score"] = round(state.epoch) - 1 + self.run.rank + self.run.config.get("x", 0)


def main() -> None:
    torch.set_num_threads(1)
    with lightsweep.init() as run:
        arguments = training_arguments(
            run,
            use_cpu=True,
            ddp_backend="gloo",
            num_train_epochs=int(os.environ.get("EPOCHS", "6")),
            per_device_train_batch_size=2,
            eval_strategy="epoch",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        checkpoint = {"0": False, "1": True}.get(os.environ.get("CHECKPOINT", ""))
        trainer = Trainer(
            model=Slow(),
            args=arguments,
            train_dataset=Line(),
            eval_dataset=Line(),
            callbacks=[Note(run), SweepCallback(checkpoint=checkpoint)],
        )
        trainer.train(resume_from_checkpoint=run.checkpoint)
    print("end of the script", flush=True)


if __name__ == "__main__":
    main()
    time.sleep(0.5)  # torch may abort a process whose last collective is not put away when Python ends
