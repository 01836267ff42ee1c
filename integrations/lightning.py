"""A callback that makes a Lightning Trainer part of a sweep: ``Trainer(callbacks=[SweepCallback()])``.

Works with ``lightning.pytorch`` and with ``pytorch_lightning``, from version 2.2, on one process or many.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightsweep.errors import RunPruned
from lightsweep.integrations._base import (
    MetricMissingError,
    OnPrune,
    active_run,
    check_on_prune,
    missing_metric,
    two_callbacks,
)
from lightsweep.integrations._checkpoints import PREFIX, is_kept, keep, position_of, remove_empty
from lightsweep.integrations._smoke import limit_to_one_batch, report_loss
from lightsweep.integrations.distributed import Reply, agreed

if TYPE_CHECKING:
    from pathlib import Path

    from lightsweep.client import Run

__all__ = ["MetricMissingError", "SweepCallback"]

_EMPTY_EVENTS_BYTES = 256

if TYPE_CHECKING:
    import lightning.pytorch
    import pytorch_lightning

    from lightsweep.client import Run

    # The two packages declare the same hooks, each with its own Trainer.
    class LightningCallback(lightning.pytorch.Callback, pytorch_lightning.Callback):  # type: ignore[misc]
        """A callback that either package's Trainer knows as its own."""

else:

    def _bases() -> tuple[type, ...]:
        bases = []
        if find_spec("lightning") is not None:
            from lightning.pytorch import Callback

            bases.append(Callback)
        if find_spec("pytorch_lightning") is not None:
            from pytorch_lightning import Callback

            bases.append(Callback)
        if not bases:
            raise ModuleNotFoundError("lightsweep.integrations.lightning needs Lightning: pip install lightning")
        return tuple(bases)

    LightningCallback = type("LightningCallback", _bases(), {})


def write_below(run: Run, trainer: Any) -> list[Path]:
    """Send to ``run.dir`` what would go to the working directory only because nobody named another one.

    In a smoke run, which leaves nothing behind, all that the trainer writes goes there, whatever was named.

    Returns:
        Directories that loggers had made before, for `remove_unused` at the end of the fit: not at once, so that a run
        that begins meanwhile takes another number.
    """
    here = os.path.normpath(Path.cwd())
    if trainer.default_root_dir != here and not run.smoke:
        return []
    # Private, since there is no other way once the trainer is made; a test looks at what default_root_dir then says.
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


def remove_unused(made: Path) -> None:
    """Remove the directory that a logger has made before anything was logged, with an events file that says nothing."""
    with suppress(OSError):
        for file in made.glob("events.out.tfevents*"):
            if file.stat().st_size <= _EMPTY_EVENTS_BYTES:
                file.unlink()
    remove_empty(made)


def _moved(logger: Any, here: str, run: Run) -> Any:
    """A logger like the one that a Trainer makes unasked, below ``run.dir``; any other logger as it is.

    In a smoke run each logger that writes files; the others, which talk to services, say nothing.
    """
    if type(logger).__name__ not in ("TensorBoardLogger", "CSVLogger"):
        return _silent(logger) if run.smoke else logger
    if not run.smoke and (logger.save_dir != here or logger.name != "lightning_logs"):
        return logger
    if type(logger).__name__ == "TensorBoardLogger":
        logger.finalize("aborted")  # closes its file; any other word than "success" lets it write nothing more
    return type(logger)(save_dir=str(run.dir), name=logger.name)


def _silent(logger: Any) -> Any:
    """The logger by which Lightning itself replaces others in a ``fast_dev_run``: every call on it does nothing."""
    kinds = [kind for kind in type(logger).__mro__ if kind.__name__ == "Logger" and kind.__module__.endswith(".logger")]
    return sys.modules[kinds[0].__module__].DummyLogger() if kinds else logger


_STATE = "lightsweep"
_TERMINATED = 128 + signal.SIGTERM


class SweepCallback(LightningCallback):
    """Reports each validation to the sweep and leaves the training loop when the run falls behind.

    Every validation of ``fit`` outside the sanity check is a report and counts as one iteration, also where an epoch
    has several. Without a validation loop each training epoch is one. All numbers in ``trainer.callback_metrics`` are
    logged along with the metric of the sweep; NaN is reported as it is and ranks worst. ``trainer.validate`` and
    ``trainer.test`` report nothing.

    With several processes only rank 0 reports. The verdict is broadcast, one broadcast for each report, so that all
    ranks leave at the same point.

    The config of the run is logged to the trainer's loggers as hyperparameters. Where neither ``default_root_dir`` nor
    a directory of their own is given, checkpoints and the default logger write below ``run.dir``.

    A run that may be started again keeps a checkpoint in ``run.dir``, replaced after each validation, from which the
    next attempt goes on with ``fit(..., ckpt_path=run.checkpoint)``. What was reported before is not reported again,
    also where training begins anew.

    Without an agent the trainer trains as if the callback were not there, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which is begun here if the script has not done so.
        metric: The name under which the trainer logs the metric of the sweep, where that is not the sweep's own name
            for it.
        on_prune: ``"raise"``: ``fit`` raises `RunPruned`. ``"stop"``: the trainer's own stop flag is set and ``fit``
            returns as after early stopping; ``min_epochs`` and ``min_steps`` are then honoured.
        checkpoint: Whether to keep a checkpoint to resume from. By default where the run may be started again: the
            sweep has ``max_retries``, a scheduler may take the job away, or this is not the run's first attempt.

    Raises:
        UsageError: ``on_prune`` is something else.

    ``fit`` raises:
        RunPruned: The verdict, on every rank.
        MetricMissingError: At the first report, when the trainer has not logged the metric.
        UsageError: The trainer has two of these callbacks.
        AgentLostError: The agent is gone.
    """

    def __init__(
        self,
        run: Run | None = None,
        metric: str | None = None,
        on_prune: OnPrune = "raise",
        checkpoint: bool | None = None,
    ) -> None:
        super().__init__()
        check_on_prune(on_prune)
        self._given = run
        self._metric = metric
        self._on_prune = on_prune
        self._checkpoint = checkpoint
        self._begin(None)

    def _begin(self, run: Run | None) -> None:
        """Forget the fit before this one."""
        self._run = run
        self._reporting = False
        self._pruned = False
        self._epoch_ended = False
        self._unsaved = False
        self._unused: list[Path] = []

    def __getstate__(self) -> dict[str, Any]:
        """Without the run, whose connection belongs to one process: another one finds its own current run."""
        return {**self.__dict__, "_given": None, "_run": None}

    # The hooks, in the order in which a fit calls them.

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        if stage != "fit":
            self._reporting = False
            return
        if sum(isinstance(callback, SweepCallback) for callback in trainer.callbacks) > 1:
            raise two_callbacks("validation")
        self._begin(active_run(self._given, speak=trainer.is_global_zero))
        self._reporting = True
        if self._run is not None:
            self._unused = write_below(self._run, trainer)
            if self._run.smoke:
                self._run.leave_loaders_whole()
                limit_to_one_batch(trainer, self._run.smoke_steps)

    def on_fit_start(self, trainer: Any, *_: Any) -> None:
        if self._run is not None and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_hyperparams(_plain(self._run.config))

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        self._report_late_epoch(trainer)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:  # noqa: ARG002
        if self._run is not None and self._run.smoke:
            report_loss(self._run, outputs, one_batch=True)
        if self._pruned:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            self._report(trainer)
            trainer.should_stop |= self._pruned
            if not trainer.is_last_batch:
                self._keep(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if not _validates(trainer):
            # The module's own hook runs after the callbacks and may log the metric.
            self._epoch_ended = _has_own_epoch_end(pl_module)
            self._unsaved |= self._epoch_ended
            if not self._epoch_ended:
                self._report(trainer)
                trainer.should_stop |= self._pruned
        self._keep(trainer)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Put the position in the sweep into every checkpoint."""
        if self._run is not None:
            state = position_of(self._run).state(self._run)
            state["iterations"] += self._epoch_ended  # reported as soon as the hooks of this epoch are over
            checkpoint[_STATE] = state

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Go on at the position of a checkpoint."""
        if self._run is not None and self._reporting:
            position_of(self._run).restore(self._run, checkpoint.get(_STATE) or {})

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        self._report_late_epoch(trainer, last=True)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:  # noqa: ARG002
        """Say how the run ended where the exception does not."""
        self._remove_unused()
        if self._run is None:
            return
        if isinstance(exception, SystemExit) and exception.code is None and trainer.received_sigterm:
            # Lightning would end by exit code 0, as if training were over.
            exception.code = _TERMINATED
        ended_by = self._run.cause(exception)
        if ended_by is not exception:
            raise ended_by from None

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        self._remove_unused()

    # Deciding and acting.

    def _remove_unused(self) -> None:
        for directory in self._unused:
            remove_unused(directory)
        self._unused = []

    def _report_late_epoch(self, trainer: Any, *, last: bool = False) -> None:
        """Report the epoch before, now that the module's own hooks have run.

        Its stop is left to the end of the next batch, since Lightning does not expect an epoch without any.
        """
        if self._epoch_ended:
            self._epoch_ended = False
            self._report(trainer, last=last)

    def _report(self, trainer: Any, *, last: bool = False) -> None:
        """One report, and one broadcast of what came of it; every rank calls this at the same point."""
        if not self._reporting or self._pruned:
            return
        # On every rank, since reading a metric may reduce it over the ranks.
        metrics = dict(trainer.callback_metrics)
        last = last or _is_at_end(trainer)
        reply = agreed(
            lambda: self._ask(metrics, trainer.global_step, last),
            first=trainer.is_global_zero,
            send=trainer.strategy.broadcast,
        )
        self._reporting = self._unsaved = reply.active
        if reply.stop:
            self._pruned = True
            if self._on_prune == "raise":
                raise RunPruned(reply.reason)

    def _keep(self, trainer: Any) -> None:
        """Save what the next attempt goes on from; every rank comes here at the same point."""
        run, due = self._run, self._unsaved and not self._pruned
        self._unsaved = False
        if run is None or not due or not is_kept(self._checkpoint, run.keep_checkpoint):
            return
        path = run.dir / f"{PREFIX}{trainer.global_step}.ckpt"
        trainer.save_checkpoint(path)
        if trainer.is_global_zero:
            keep(run.dir, path)

    def _ask(self, metrics: Mapping[str, Any], step: int, last: bool) -> Reply:
        if self._run is None:
            return Reply(active=False)
        decision = position_of(self._run).report(self._run, self._numbers(metrics), step, last=last)
        return Reply(stop=decision.stop, reason=decision.reason)

    def _numbers(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """All scalars of the trainer, and the metric of the sweep under the sweep's name."""
        numbers = {name: float(value) for name, value in metrics.items() if _is_scalar(value)}
        name = self._name()
        if name is None:
            return numbers
        if name not in numbers:
            remedy = (
                f"Log it with self.log({name!r}, ...) before validation ends (a mean over a training epoch comes later)"
            )
            raise missing_metric(name, numbers, remedy)
        if self._run is not None and self._run.metric is not None:
            numbers[self._run.metric] = numbers[name]
        return numbers

    def _name(self) -> str | None:
        """What the trainer calls the metric of the sweep; ``None`` where the sweep has none."""
        if self._metric is not None or self._run is None:
            return self._metric
        return self._run.metric


def _is_at_end(trainer: Any) -> bool:
    """Whether ``fit`` ends by itself after this batch; ``max_epochs`` and ``max_steps`` are -1 for no limit."""
    last_epoch = trainer.max_epochs not in (None, -1) and trainer.current_epoch + 1 >= trainer.max_epochs
    return bool((last_epoch and trainer.is_last_batch) or 0 <= trainer.max_steps <= trainer.global_step)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, "numel", lambda: 0)() == 1


def _plain(config: Any) -> Any:
    """A nested config as plain dicts, which every logger can write.

    ``dict.items`` leaves no mark: what is only logged counts as a parameter that nobody has read.
    """
    return {key: _plain(value) for key, value in dict.items(config)} if isinstance(config, dict) else config


def _validates(trainer: Any) -> bool:
    """Whether a fit has a validation loop with anything in it; its batches are counted when it first runs."""
    return bool(trainer.enable_validation) and (not trainer.num_val_batches or sum(trainer.num_val_batches) > 0)


def _has_own_epoch_end(pl_module: Any) -> bool:
    defined_in: str = type(pl_module).on_train_epoch_end.__module__
    return defined_in.partition(".")[0] not in ("lightning", "pytorch_lightning")
