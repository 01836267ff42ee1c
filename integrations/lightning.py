"""A callback that makes a Lightning Trainer part of a sweep: ``Trainer(callbacks=[SweepCallback()])``.

Works with ``lightning.pytorch`` and with ``pytorch_lightning``, from version 2.2, on one process or many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightsweep.errors import RunPruned
from lightsweep.integrations.callback import (
    MetricMissingError,
    OnPrune,
    check_on_prune,
    missing_metric,
    two_callbacks,
)
from lightsweep.integrations.current import active_run
from lightsweep.integrations.lightning_base import LightningCallback, write_below
from lightsweep.integrations.replies import Reply, agreed

if TYPE_CHECKING:
    from lightsweep.client import Run

__all__ = ["MetricMissingError", "SweepCallback"]


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

    Without an agent the trainer trains as if the callback were not there, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which is begun here if the script has not done so.
        metric: The name under which the trainer logs the metric of the sweep, where that is not the sweep's own name
            for it.
        on_prune: ``"raise"``: ``fit`` raises `RunPruned`. ``"stop"``: the trainer's own stop flag is set and ``fit``
            returns as after early stopping; ``min_epochs`` and ``min_steps`` are then honoured.

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
    ) -> None:
        super().__init__()
        check_on_prune(on_prune)
        self._given = run
        self._metric = metric
        self._on_prune = on_prune
        self._begin(None)

    def _begin(self, run: Run | None) -> None:
        """Forget the fit before this one."""
        self._run = run
        self._reporting = False
        self._pruned = False
        self._epoch_ended = False

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
            write_below(self._run.dir, trainer)

    def on_fit_start(self, trainer: Any, *_: Any) -> None:
        if self._run is not None and trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_hyperparams(_plain(self._run.config))

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        self._report_late_epoch(trainer)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if self._pruned:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            self._report(trainer)
            trainer.should_stop |= self._pruned

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if _validates(trainer):
            return
        if _has_own_epoch_end(pl_module):
            # It runs after the callbacks and may log the metric.
            self._epoch_ended = True
            return
        self._report(trainer)
        trainer.should_stop |= self._pruned

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        self._report_late_epoch(trainer)

    # Deciding and acting.

    def _report_late_epoch(self, trainer: Any) -> None:
        """Report the epoch before, now that the module's own hooks have run.

        Its stop is left to the end of the next batch, since Lightning does not expect an epoch without any.
        """
        if self._epoch_ended:
            self._epoch_ended = False
            self._report(trainer)

    def _report(self, trainer: Any) -> None:
        """One report, and one broadcast of what came of it; every rank calls this at the same point."""
        if not self._reporting or self._pruned:
            return
        # On every rank, since reading a metric may reduce it over the ranks.
        metrics = dict(trainer.callback_metrics)
        reply = agreed(
            lambda: self._ask(metrics, trainer.global_step),
            first=trainer.is_global_zero,
            send=trainer.strategy.broadcast,
        )
        self._reporting = reply.active
        if reply.stop:
            self._pruned = True
            if self._on_prune == "raise":
                raise RunPruned(reply.reason)

    def _ask(self, metrics: Mapping[str, Any], step: int) -> Reply:
        if self._run is None:
            return Reply(active=False)
        decision = self._run.report(self._numbers(metrics), step=step)
        return Reply(stop=decision.stop, reason=decision.reason)

    def _numbers(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """All scalars of the trainer, and the metric of the sweep under the sweep's name."""
        numbers = {name: float(value) for name, value in metrics.items() if _is_scalar(value)}
        name = self._name()
        if name is None:
            return numbers
        if name not in numbers:
            raise missing_metric(name, numbers, f"Log it with self.log({name!r}, ...) before validation ends")
        if self._run is not None and self._run.metric is not None:
            numbers[self._run.metric] = numbers[name]
        return numbers

    def _name(self) -> str | None:
        """What the trainer calls the metric of the sweep; ``None`` where the sweep has none."""
        if self._metric is not None or self._run is None:
            return self._metric
        return self._run.metric


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
