"""A callback that makes Keras part of a sweep: ``model.fit(..., callbacks=[SweepCallback()])``.

Works with Keras 3 on every backend, and with ``tf.keras`` once that is Keras 3.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

import lightsweep
from lightsweep.client.processes import rank
from lightsweep.integrations._checkpoints import PREFIX, Pace, keep, position_of
from lightsweep.integrations.base import MetricMissingError, SweepCallbackBase

if TYPE_CHECKING:
    from lightsweep.client import Run

__all__ = ["MetricMissingError", "SweepCallback", "initial_epoch"]

_STATE = "lightsweep.json"
"""The file in a checkpoint, which is a zip archive, that Keras itself does not read."""

_VALIDATION = "val_"


class SweepCallback(SweepCallbackBase, keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Reports each epoch to the sweep, and ends ``fit`` when the run is stopped.

    Every epoch of ``fit`` is a report and counts as one iteration. If the metric is one of validation, epochs without
    a validation (``validation_freq=2``) are no reports. Names are Keras' own (``val_loss``) or those that W&B's
    ``WandbMetricsLogger`` shows (``epoch/val_loss``). ``model.evaluate`` reports nothing.

    A run that may be retried keeps the whole model in ``run.dir``, with its optimizer and as often as takes at most a
    twentieth of the time. The next attempt loads ``run.checkpoint`` and begins at ``initial_epoch(run)``. What was
    reported before is not reported again, also if training begins from the start.

    With several processes only rank 0 reports; with ``torch.distributed`` its verdict is broadcast.

    Without an agent Keras trains as if the callback were absent, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which the callback starts if the script has not.
        metric: The name under which Keras logs the metric of the sweep, if it differs from the sweep's name.
        on_prune: How a stopped training ends. ``"raise"``: ``fit`` raises `RunPruned`. ``"stop"``: the model's own
            ``stop_training`` is set and ``fit`` returns as after early stopping.
        checkpoint: Whether to keep a checkpoint to resume from. By default if the run may be retried: the sweep has
            ``max_retries``, a scheduler may end the job, or this is not the run's first attempt.

    Raises:
        UsageError: ``on_prune`` is something else.

    ``fit`` raises:
        RunPruned: The verdict is to stop.
        MetricMissingError: After the first epoch that should have logged the metric, if Keras has not logged it.
        UsageError: The training has two of these callbacks.
        AgentLostError: The agent is gone.
    """

    @property
    def async_safe(self) -> bool:
        """Whether Keras need not wait for ``on_train_batch_end``: False in a smoke run, which it shortens."""
        run = self._given or lightsweep.run
        return run is None or not run.smoke

    def _forget(self) -> None:
        super()._forget()
        self._seen: set[str] = set()
        self._steps = 0
        self._validated = self._reported = self._resumable = False
        self._pace = Pace()

    # Keras' own hooks.

    def on_train_begin(self, logs: Any = None) -> None:
        self._claim(self.model, "epoch")
        run = self._begin_training(first=rank() == 0)
        self._resumable = True
        if run is not None and run.smoke:
            run.leave_loaders_whole()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._release(self.model)
        self._validated = False
        if self._resumable and self._run is not None:
            self._resumable = False
            state = _state(self._run)
            if epoch and state.get("epoch") == epoch:
                position_of(self._run).restore(self._run, state)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Report a step of a smoke run, and end it after so many."""
        if self._run is not None and self._run.smoke:
            self._report_loss(logs or {}, one_batch=False)
            self._steps += 1
            self.model.stop_training |= self._steps >= self._run.smoke_steps

    def on_test_begin(self, logs: Any = None) -> None:
        self._validated = True

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Validate a smoke run on one batch."""
        if self._reporting and self._run is not None and self._run.smoke:
            self.model.stop_evaluating = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logged: Mapping[str, Any] = logs or {}
        self._seen |= set(logged)
        if self._waits(logged):
            return
        self._reported = True
        last = self.model.stop_training or epoch + 1 >= self.params["epochs"]
        self._report(logged, epoch + 1, last=last, first=rank() == 0)
        self.model.stop_training |= self._pruned
        if self._keeps_checkpoints and not self._pruned and rank() == 0:
            self._pace.save(partial(self._save, epoch + 1))

    def on_train_end(self, logs: Any = None) -> None:
        """Stop reporting; raise if the metric was never logged."""
        missed = self._reporting and self._run is not None and self._metric is not None and not self._reported
        self._reporting = False
        if missed:
            raise self._missing(self._seen)

    # Reports and checkpoints.

    def _names(self) -> tuple[str, ...]:
        metric = self._metric
        return () if metric is None else tuple(dict.fromkeys([metric, metric.removeprefix("epoch/")]))

    def _remedy(self) -> str:
        if self._names()[-1].startswith(_VALIDATION):
            return "Give fit validation_data, and compile the model with the metric"
        return "Compile the model with the metric"

    def _waits(self, logged: Mapping[str, Any]) -> bool:
        """Tell whether the metric is one of validation, and this epoch had none."""
        return (
            not self._validated
            and bool(self._names())
            and self._names()[-1].startswith(_VALIDATION)
            and logged.keys().isdisjoint(self._names())
        )

    def _save(self, epoch: int) -> None:
        """Save the model, with the position in the sweep as a further file of the archive."""
        run = self._run
        assert run is not None
        path = run.dir / f"{PREFIX}{epoch}.keras"
        self.model.save(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(_STATE, json.dumps({**position_of(run).state(run), "epoch": epoch}))
        keep(run, path)


def initial_epoch(run: Run) -> int:
    """Return the number of epochs that the run's checkpoint has been trained for; 0 without a checkpoint.

    Use it for ``fit(initial_epoch=...)`` if the model was loaded from ``run.checkpoint``.
    """
    return int(_state(run).get("epoch", 0))


def _state(run: Run) -> dict[str, Any]:
    """Return the position in the run's checkpoint; nothing if there is none, or one that is not ours."""
    path = Path(run.checkpoint) if run.checkpoint else None
    if path is None or not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        return dict(json.loads(archive.read(_STATE))) if _STATE in archive.namelist() else {}
