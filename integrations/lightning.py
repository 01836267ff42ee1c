"""A callback that makes a Lightning Trainer part of a sweep: ``Trainer(callbacks=[SweepCallback()])``.

Works with ``lightning.pytorch`` and with ``pytorch_lightning``, from version 2.2, on one process or many.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import lightsweep
from lightsweep.errors import InputError, LightsweepError, RunPruned, UsageError, closest

if TYPE_CHECKING:
    import lightning.pytorch
    import pytorch_lightning

    from lightsweep.client import Run

    # The two packages declare the same hooks, each with its own Trainer.
    class _Callback(lightning.pytorch.Callback, pytorch_lightning.Callback):  # type: ignore[misc]
        ...

else:

    def _callback_bases() -> tuple[type, ...]:
        """The Callback class of each package that is installed, so that either's Trainer knows ours as its own."""
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

    _Callback = type("_Callback", _callback_bases(), {})

__all__ = ["MetricMissingError", "SweepCallback"]


class MetricMissingError(InputError):
    """The trainer does not log the metric of the sweep; the message lists what it does log."""


@dataclass(frozen=True)
class _Outcome:
    """What rank 0 learnt from a report, for all ranks to act on."""

    active: bool = True
    stop: bool = False
    reason: str = ""
    error: LightsweepError | None = None


class SweepCallback(_Callback):
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
        on_prune: Literal["raise", "stop"] = "raise",
    ) -> None:
        super().__init__()
        if on_prune not in ("raise", "stop"):
            hint = closest(str(on_prune), ["raise", "stop"])
            raise UsageError(f"SweepCallback(on_prune=...) is 'raise' or 'stop', not {on_prune!r}{hint}")
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
            raise UsageError("the trainer has two SweepCallbacks, so each validation would count twice: remove one")
        self._begin(self._active_run(trainer))
        self._reporting = True
        if self._run is not None:
            _write_below(self._run.dir, trainer)

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
        outcome = self._ask(metrics, trainer.global_step) if trainer.is_global_zero else None
        outcome = trainer.strategy.broadcast(outcome)
        if outcome.error is not None:
            raise outcome.error
        self._reporting = outcome.active
        if outcome.stop:
            self._pruned = True
            if self._on_prune == "raise":
                raise RunPruned(outcome.reason)

    def _ask(self, metrics: Mapping[str, Any], step: int) -> _Outcome:
        """What the agent says to the metrics; an error is returned, for every rank to raise."""
        if self._run is None:
            return _Outcome(active=False)
        try:
            verdict = self._run.report(self._numbers(metrics), step=step)
        except LightsweepError as error:
            return _Outcome(error=error)
        return _Outcome(stop=verdict.stop, reason=verdict.reason)

    def _numbers(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """All scalars of the trainer, and the metric of the sweep under the sweep's name."""
        numbers = {name: float(value) for name, value in metrics.items() if _is_scalar(value)}
        name = self._name()
        if name is None:
            return numbers
        if name not in numbers:
            raise MetricMissingError(
                f"the trainer has not logged the metric {name!r}{closest(name, numbers)}; "
                f"it has logged {', '.join(map(repr, sorted(numbers))) or 'no metric at all'}. Log it with "
                f"self.log({name!r}, ...) before validation ends, or name another one in SweepCallback(metric=...)"
            )
        if self._run is not None and self._run.metric is not None:
            numbers[self._run.metric] = numbers[name]
        return numbers

    def _name(self) -> str | None:
        """What the trainer calls the metric of the sweep; ``None`` where the sweep has none."""
        if self._metric is not None or self._run is None:
            return self._metric
        return self._run.metric

    def _active_run(self, trainer: Any) -> Run | None:
        """The run to report to; ``None`` where no agent serves it.

        Every rank has it, so that each ends with one line when the run is stopped or the agent is gone.
        """
        known = self._given if self._given is not None else lightsweep.run
        run = lightsweep.init() if known is None else known
        if run.active:
            return run
        if known is None:
            run.finish()
        if trainer.is_global_zero:
            _say_inactive()
        return None


@cache
def _say_inactive() -> None:
    print("lightsweep: no agent serves this process, so SweepCallback reports to nobody", file=sys.stderr)


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


def _write_below(directory: Path, trainer: Any) -> None:
    """Send to ``directory`` what would go to the working directory only because nobody named another one."""
    here = os.path.normpath(Path.cwd())
    if trainer.default_root_dir != here:
        return
    trainer.loggers = [_moved(logger, here, directory) for logger in trainer.loggers]
    if not trainer.loggers:
        for callback in trainer.checkpoint_callbacks:
            if getattr(callback, "dirpath", directory) is None:
                callback.dirpath = str(directory / "checkpoints")


def _moved(logger: Any, here: str, directory: Path) -> Any:
    """A logger like the one that a Trainer makes unasked, below ``directory``; any other logger as it is."""
    if type(logger).__name__ not in ("TensorBoardLogger", "CSVLogger"):
        return logger
    if logger.save_dir != here or logger.name != "lightning_logs":
        return logger
    logger.finalize("success")
    return type(logger)(save_dir=str(directory))
