"""A trainer in the manner of Keras, and the one class that makes it part of a sweep; the package knows neither."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightsweep.integrations.base import SweepCallbackBase

__all__ = ["Callback", "Model", "SweepCallback"]


class Callback:
    """The hooks of a callback of this trainer."""

    def on_train_begin(self, model: Model) -> None:
        """Training begins."""

    def on_epoch_begin(self, model: Model, epoch: int) -> None:
        """An epoch begins."""

    def on_train_batch_end(self, model: Model, loss: float) -> None:
        """The optimizer has made a step."""

    def on_epoch_end(self, model: Model, epoch: int, logs: Mapping[str, Any]) -> None:
        """An epoch has been validated."""


class Model:
    """A model that trains by itself: the n-th epoch is validated by ``validate(n)``."""

    def __init__(self, validate: Callable[[int], Mapping[str, Any]]) -> None:
        self.validate = validate
        self.stop_training = False
        self.epochs = 0

    def fit(self, epochs: int, callbacks: Sequence[Callback]) -> None:
        self.epochs = epochs
        for callback in callbacks:
            callback.on_train_begin(self)
        epoch = 0
        while epoch < self.epochs and not self.stop_training:
            for callback in callbacks:
                callback.on_epoch_begin(self, epoch)
            for callback in callbacks:
                callback.on_train_batch_end(self, 1 / (1 + epoch))
            logs = self.validate(epoch)
            for callback in callbacks:
                callback.on_epoch_end(self, epoch, logs)
            epoch += 1


class SweepCallback(SweepCallbackBase, Callback):
    """Reports each epoch."""

    def on_train_begin(self, model: Model) -> None:
        run = self._begin_training(first=True)
        if run is not None and run.smoke:
            model.epochs = run.smoke_steps

    def on_train_batch_end(self, model: Model, loss: float) -> None:
        del model
        self._report_loss(loss, one_batch=True)

    def on_epoch_end(self, model: Model, epoch: int, logs: Mapping[str, Any]) -> None:
        self._report(logs, epoch, last=epoch + 1 == model.epochs)
        model.stop_training |= self._pruned
