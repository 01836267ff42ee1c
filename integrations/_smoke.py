"""A smoke run, see ``Run.smoke``: trainers take a few steps, on one batch where they allow it, and tell their loss."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightsweep.client.run import BATCH_LOSS, STEP_LOSS

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from lightsweep.client import Run

__all__ = ["limit_to_one_batch", "one_more_step", "repeat_first_batch", "report_loss"]

_EVALUATIONS = 2


def limit_to_one_batch(trainer: Any, steps: int) -> None:
    """Let a Lightning trainer train on its first batch, an epoch for each step, with a validation after each."""
    trainer.overfit_batches = trainer.limit_train_batches = 1
    trainer.limit_val_batches = 1 if trainer.limit_val_batches else 0
    trainer.num_sanity_val_steps = 0
    trainer.check_val_every_n_epoch = 1
    trainer.val_check_interval = 1.0
    trainer.accumulate_grad_batches = trainer.log_every_n_steps = 1
    trainer.fit_loop.max_epochs = steps


def repeat_first_batch(loader: Any) -> bool:
    """Let a data loader that has not begun give its first batch again and again; False where it cannot be told so.

    Each worker process of a loader that has some repeats a first batch of its own.
    """
    # accelerate, which Hugging Face's Trainer uses, wraps the loader that collates.
    parts: list[Any] = [getattr(loader, "base_dataloader", None), loader]
    told = [part for part in parts if hasattr(part, "collate_fn")]
    for part in told:
        part.collate_fn = _FirstBatch(part.collate_fn)
    return bool(told)


class _FirstBatch:
    """Collates once, and gives that again whatever the samples are; a class, so that worker processes can have it."""

    def __init__(self, collate: Any) -> None:
        self._collate = collate
        self._batch: Any = None

    def __call__(self, samples: Any) -> Any:
        if self._batch is None:
            self._batch = self._collate(samples)
        return copy.copy(self._batch)


def one_more_step(args: TrainingArguments, state: TrainerState, control: TrainerControl, steps: int) -> None:
    """Let a Hugging Face trainer log each step, evaluate twice and then end."""
    control.should_log = True
    evaluates = str(getattr(args.eval_strategy, "value", args.eval_strategy)) != "no"
    if evaluates and state.global_step % max(1, steps // _EVALUATIONS) == 0:
        control.should_evaluate = True
    if state.global_step >= steps:
        control.should_training_stop = True


def report_loss(run: Run, outputs: Any, *, one_batch: bool) -> None:
    """Report the training loss of one step, if there is one.

    Args:
        run: The run.
        outputs: The loss, or a mapping with it under ``"loss"``.
        one_batch: Whether every step is on the same batch.
    """
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
    if loss is not None:
        run.report({BATCH_LOSS if one_batch else STEP_LOSS: loss})
