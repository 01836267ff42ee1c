"""Code as users of Hugging Face's Trainer write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import PreTrainedModel, Seq2SeqTrainingArguments, Trainer, TrainingArguments

import lightsweep
from lightsweep.integrations.transformers import SweepCallback, run_sweep, training_arguments

if TYPE_CHECKING:
    from lightsweep.client import Run


def arguments(run: Run) -> tuple[TrainingArguments, Seq2SeqTrainingArguments, Seq2SeqTrainingArguments]:
    plain: TrainingArguments = training_arguments(run, {"seed": 1}, use_cpu=True)
    by_class: Seq2SeqTrainingArguments = training_arguments(run, Seq2SeqTrainingArguments)
    over: Seq2SeqTrainingArguments = training_arguments(run, by_class, learning_rate=1e-4)
    return plain, by_class, over


def make_trainer(run: Run) -> Trainer:
    model: PreTrainedModel | None = None
    return Trainer(model=model, args=arguments(run)[0], callbacks=[SweepCallback(on_prune="stop", checkpoint=False)])


def main() -> None:
    with lightsweep.init() as run:
        make_trainer(run).train(resume_from_checkpoint=run.checkpoint)
    sweep = run_sweep(make_trainer, "sweep.yaml", count=3, isolate=True)
    best = sweep.best_run
    if best is not None:
        print(best.config["learning_rate"], sweep.id)
