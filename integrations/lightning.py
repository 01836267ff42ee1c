"""A callback that makes a Lightning Trainer part of a sweep: ``Trainer(callbacks=[SweepCallback()])``.

Works with ``lightning.pytorch`` and with ``pytorch_lightning``, from version 2.2, on one process or many.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightsweep.integrations._checkpoints import PREFIX, keep, position_of, remove_empty
from lightsweep.integrations.base import MetricMissingError, SweepCallbackBase, two_callbacks

if TYPE_CHECKING:
    import lightning.pytorch
    import pytorch_lightning

    from lightsweep.client import Run

    # The two packages declare the same hooks, each with its own Trainer.
    class LightningCallback(  # type: ignore[misc]
        SweepCallbackBase, lightning.pytorch.Callback, pytorch_lightning.Callback
    ):
        """A callback that the Trainer of either package accepts."""

else:
    _installed = [name for name in ("lightning.pytorch", "pytorch_lightning") if find_spec(name.partition(".")[0])]
    if not _installed:
        raise ModuleNotFoundError("lightsweep.integrations.lightning needs Lightning: pip install lightning")
    # `lightning` installs both, and the one that the script does not use takes a second to import.
    _loaded = [name for name in _installed if name in sys.modules]
    _callbacks = (import_module(name).Callback for name in _loaded or _installed)
    LightningCallback = type("LightningCallback", (SweepCallbackBase, *_callbacks), {})

__all__ = ["MetricMissingError", "SweepCallback"]

_STATE = "lightsweep"
_TERMINATED = 128 + signal.SIGTERM
_EMPTY_EVENTS_BYTES = 256


class SweepCallback(LightningCallback):
    """Reports each validation to the sweep, and ends the training loop when the run is stopped.

    Every validation of ``fit`` outside the sanity check is a report and counts as one iteration, also if an epoch has
    several. Without a validation loop each training epoch is one. All numbers in ``trainer.callback_metrics`` are
    logged along with the metric of the sweep; NaN is reported too and ranks worst. ``trainer.validate`` and
    ``trainer.test`` report nothing.

    With several processes only rank 0 reports. The verdict is broadcast, one broadcast for each report, so that all
    ranks leave at the same point.

    The config of the run is logged to the trainer's loggers as hyperparameters. If neither ``default_root_dir`` nor
    directories of their own are given, checkpoints and the default logger write below ``run.dir``.

    A run that may be retried keeps a checkpoint in ``run.dir``, replaced after each validation. The next attempt
    resumes from it with ``fit(..., ckpt_path=run.checkpoint)``. What was reported before is not reported again, also
    if training begins from the start.

    Without an agent the trainer trains as if the callback were absent, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which the callback starts if the script has not.
        metric: The name under which the trainer logs the metric of the sweep, if it differs from the sweep's name.
        on_prune: How a stopped training ends. ``"raise"``: ``fit`` raises `RunPruned`. ``"stop"``: the trainer's own
            stop flag is set and ``fit`` returns as after early stopping, no earlier than ``min_epochs`` and
            ``min_steps``.
        checkpoint: Whether to keep a checkpoint to resume from. By default if the run may be retried: the sweep has
            ``max_retries``, a scheduler may end the job, or this is not the run's first attempt.

    Raises:
        UsageError: ``on_prune`` is something else.

    ``fit`` raises:
        RunPruned: The verdict is to stop; on every rank.
        MetricMissingError: At the first report, if the trainer has not logged the metric.
        UsageError: The trainer has two of these callbacks.
        AgentLostError: The agent is gone.
    """

    def _forget(self) -> None:
        super()._forget()
        self._epoch_ended = False
        self._unsaved = False
        self._unused: list[Path] = []

    # The hooks, in the order in which a fit calls them.

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if stage != "fit":
            self._reporting = False
            return
        if sum(isinstance(callback, SweepCallback) for callback in trainer.callbacks) > 1:
            raise two_callbacks("validation")
        for_wandb = any(type(logger).__name__ == "WandbLogger" for logger in trainer.loggers)
        run = self._begin_training(first=trainer.is_global_zero, logged_too=for_wandb)
        if run is not None:
            self._unused = _write_below(run, trainer)
            if run.smoke:
                run.leave_loaders_whole()
                _limit_to_one_batch(trainer, run.smoke_steps)

    def on_fit_start(self, trainer: Any, *_: Any) -> None:
        if self._run is not None and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_hyperparams(_plain(self._run.config))

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        self._report_late_epoch(trainer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        self._report_loss(outputs, one_batch=True)
        if self._pruned:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            self._report_validation(trainer)
            trainer.should_stop |= self._pruned
            if not trainer.is_last_batch:
                self._keep(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if not _validates(trainer):
            # The module's own hook runs after the callbacks and may log the metric.
            self._epoch_ended = _has_own_epoch_end(pl_module)
            self._unsaved |= self._epoch_ended
            if not self._epoch_ended:
                self._report_validation(trainer)
                trainer.should_stop |= self._pruned
        self._keep(trainer)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Put the position in the sweep into every checkpoint."""
        if self._run is not None:
            state = position_of(self._run).state(self._run)
            state["iterations"] += self._epoch_ended  # reported after the hooks of this epoch
            checkpoint[_STATE] = state

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Resume at the position of a checkpoint."""
        if self._run is not None and self._reporting:
            position_of(self._run).restore(self._run, checkpoint.get(_STATE) or {})

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        self._report_late_epoch(trainer, last=True)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Raise the error that ended the run, if it is another than ``exception``."""
        self._remove_unused()
        if self._run is None:
            return
        if isinstance(exception, SystemExit) and exception.code is None and trainer.received_sigterm:
            # Lightning would end with exit code 0, as if training had finished.
            exception.code = _TERMINATED
        ended_by = self._run.cause(exception)
        if ended_by is not exception:
            raise ended_by from None

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self._remove_unused()

    # Reports and checkpoints.

    def _report_late_epoch(self, trainer: Any, *, last: bool = False) -> None:
        """Report the epoch before, now that the module's own hooks have run.

        Its stop waits for the end of the next batch, since Lightning does not expect an epoch without any.
        """
        if self._epoch_ended:
            self._epoch_ended = False
            self._report_validation(trainer, last=last)

    def _report_validation(self, trainer: Any, *, last: bool = False) -> None:
        """Report; every rank calls this at the same point."""
        if not self._reporting:
            return
        self._report(
            dict(trainer.callback_metrics),  # on every rank, since reading a metric may reduce it over the ranks
            trainer.global_step,
            last=last or _is_at_end(trainer),
            first=trainer.is_global_zero,
            send=trainer.strategy.broadcast,
        )
        self._unsaved = self._reporting

    def _remedy(self) -> str:
        return f"Log it with self.log({self._metric!r}, ...) before validation ends (an epoch's mean comes later)"

    def _keep(self, trainer: Any) -> None:
        """Save a checkpoint for the next attempt; every rank calls this at the same point."""
        due, self._unsaved = self._unsaved and not self._pruned, False
        if self._run is None or not due or not self._keeps_checkpoints:
            return
        path = self._run.dir / f"{PREFIX}{trainer.global_step}.ckpt"
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            keep(self._run, path)

    def _remove_unused(self) -> None:
        """Remove the directories that loggers made before anything was logged, with events files without content."""
        for made in self._unused:
            with suppress(OSError):
                for file in made.glob("events.out.tfevents*"):
                    if file.stat().st_size <= _EMPTY_EVENTS_BYTES:
                        file.unlink()
            remove_empty(made)
        self._unused = []


# What Lightning's own objects say and do.


def _is_at_end(trainer: Any) -> bool:
    """Tell whether ``fit`` ends after this batch anyway; ``max_epochs`` and ``max_steps`` are -1 for no limit."""
    last_epoch = trainer.max_epochs not in (None, -1) and trainer.current_epoch + 1 >= trainer.max_epochs
    return bool((last_epoch and trainer.is_last_batch) or 0 <= trainer.max_steps <= trainer.global_step)


def _validates(trainer: Any) -> bool:
    """Tell whether a fit has a validation loop that is not empty; its batches are counted when it first runs."""
    return bool(trainer.enable_validation) and (not trainer.num_val_batches or sum(trainer.num_val_batches) > 0)


def _has_own_epoch_end(pl_module: Any) -> bool:
    defined_in: str = type(pl_module).on_train_epoch_end.__module__
    return defined_in.partition(".")[0] not in ("lightning", "pytorch_lightning")


def _plain(config: Any) -> Any:
    """Return a nested config as plain dicts, which every logger can write.

    ``dict.items`` leaves no mark: a parameter that is only logged counts as unread.
    """
    return {key: _plain(value) for key, value in dict.items(config)} if isinstance(config, dict) else config


def _limit_to_one_batch(trainer: Any, steps: int) -> None:
    """Let a smoke run train on its first batch, an epoch for each step, with a validation after each."""
    trainer.overfit_batches = trainer.limit_train_batches = 1
    trainer.limit_val_batches = 1 if trainer.limit_val_batches else 0
    trainer.num_sanity_val_steps = 0
    trainer.check_val_every_n_epoch = 1
    trainer.val_check_interval = 1.0
    trainer.accumulate_grad_batches = trainer.log_every_n_steps = 1
    trainer.fit_loop.max_epochs = steps


def _write_below(run: Run, trainer: Any) -> list[Path]:
    """Send to ``run.dir`` what would go to the working directory only because nobody named another one.

    In a smoke run, which leaves nothing behind, all that the trainer writes goes there, whatever was named.

    Returns:
        Directories that loggers had made before, to remove at the end of the fit: not at once, so that a run that
        begins meanwhile takes another number.
    """
    here = os.path.normpath(Path.cwd())
    if trainer.default_root_dir != here and not run.smoke:
        return []
    # Private, as a trainer that exists offers no other way; a test checks the default_root_dir that follows.
    trainer._default_root_dir = str(run.dir)
    before = trainer.loggers
    trainer.loggers = [_moved(logger, here, run) for logger in before]
    if run.smoke:
        for number, part in enumerate([*trainer.callbacks, trainer.profiler]):  # checkpoints, above all
            if getattr(part, "dirpath", None) is not None:
                part.dirpath = str(run.dir / f"written-{number}")
    if not trainer.is_global_zero:
        return []
    pairs = zip(before, trainer.loggers, strict=True)
    return [Path(logger.log_dir) for logger, now in pairs if now is not logger and type(now) is type(logger)]


def _moved(logger: Any, here: str, run: Run) -> Any:
    """Return a logger below ``run.dir`` for the one that a Trainer makes by default; other loggers unchanged.

    In a smoke run this holds for every logger that writes files; those that talk to services are silenced.
    """
    kind = type(logger)
    if kind.__name__ not in ("TensorBoardLogger", "CSVLogger"):
        return _silent(logger) if run.smoke else logger
    if not run.smoke and (logger.save_dir != here or logger.name != "lightning_logs"):
        return logger
    if kind.__name__ == "TensorBoardLogger":
        logger.finalize("aborted")  # closes its file; any other word than "success" lets it write nothing more
    return kind(save_dir=str(run.dir), name=logger.name)


def _silent(logger: Any) -> Any:
    """Return the logger by which Lightning itself replaces others in a ``fast_dev_run``: its calls do nothing."""
    kinds = [kind for kind in type(logger).__mro__ if kind.__name__ == "Logger" and kind.__module__.endswith(".logger")]
    return sys.modules[kinds[0].__module__].DummyLogger() if kinds else logger
