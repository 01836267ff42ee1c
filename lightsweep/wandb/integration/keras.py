"""``wandb.integration.keras``: W&B's callbacks for Keras, which report to the sweep and end a stopped ``fit``.

For Keras 3 on every backend, and for ``tf.keras`` once that is Keras 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from lightsweep.errors import UsageError
from lightsweep.wandb.artifacts import Artifact
from lightsweep.wandb.integration import keep_model, log, run_for
from lightsweep.wandb.media import Histogram
from lightsweep.wandb.table import Table

__all__ = ["WandbCallback", "WandbEvalCallback", "WandbMetricsLogger", "WandbModelCheckpoint"]


def _is_last(callback: Any, epoch: int) -> bool:
    """Tell whether ``fit`` ends after this epoch anyway."""
    return bool(callback.model.stop_training) or epoch + 1 >= callback.params["epochs"]


def _learning_rate(model: Any) -> dict[str, float]:
    """Return the current learning rate of the model's optimizer, if it has one."""
    try:
        return {"learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))}
    except (AttributeError, TypeError, ValueError):
        return {}


class WandbMetricsLogger(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Logs each epoch as ``epoch/val_loss``, and batches as ``batch/loss``, with the learning rate.

    Args:
        log_freq: ``"epoch"``: epochs only; ``"batch"``: each batch, too; a number: every so many batches, too.
        initial_global_step: The number of batches of an earlier training; accepted, since the optimizer knows its rate.

    Raises:
        UsageError: There is no run, or ``log_freq`` is something else.
    """

    def __init__(self, log_freq: Any = "epoch", initial_global_step: int = 0, *_: Any, **__: Any) -> None:
        super().__init__()
        run_for("WandbMetricsLogger()")
        self.log_freq = {"epoch": None, "batch": 1}[log_freq] if log_freq in ("epoch", "batch") else log_freq
        if not (self.log_freq is None or isinstance(self.log_freq, int)) or self.log_freq == 0:
            raise UsageError(f"WandbMetricsLogger(log_freq=...) is 'epoch', 'batch' or a number, not {log_freq!r}")
        self.global_step = initial_global_step
        self.global_batch = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log an epoch."""
        found = {**(logs or {}), "epoch": epoch, **_learning_rate(self.model)}
        log({f"epoch/{name}": value for name, value in found.items()}, last=_is_last(self, epoch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Log a batch, if batches are logged."""
        self.global_step += 1
        if self.log_freq is not None and batch % self.log_freq == 0:
            found = {**(logs or {}), "batch_step": self.global_batch, **_learning_rate(self.model)}
            log({f"batch/{name}": value for name, value in found.items()})
            self.global_batch += self.log_freq


class WandbModelCheckpoint(keras.callbacks.ModelCheckpoint):  # type: ignore[misc, unused-ignore]
    """Keras' own ``ModelCheckpoint``, of which each saved file is also kept as an artifact, ``run_ID_model``.

    The arguments are Keras'.

    Raises:
        UsageError: There is no run.
    """

    def __init__(self, filepath: Any, *arguments: Any, options: Any = None, **keywords: Any) -> None:
        del options  # of TensorFlow 2
        super().__init__(str(filepath), *arguments, **keywords)
        run_for("WandbModelCheckpoint()")
        self._epoch = 0
        self._kept: dict[Path, int] = {}

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch, for the names of files."""
        super().on_epoch_begin(epoch, logs)
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Save after a number of batches, if Keras is to do so."""
        super().on_train_batch_end(batch, logs)
        if self.save_freq != "epoch":
            self._keep(logs, f"epoch_{self._epoch}_batch_{batch}", batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save after an epoch, if Keras is to do so."""
        super().on_epoch_end(epoch, logs)
        if self.save_freq == "epoch":
            self._keep(logs, f"epoch_{epoch}")

    def _keep(self, logs: Any, alias: str, **places: int) -> None:
        """Keep the file if it is new."""
        path = Path(str(self.filepath).format(epoch=self._epoch + 1, **places, **(logs or {})))
        if not path.exists() or self._kept.get(path) == path.stat().st_mtime_ns:
            return
        self._kept[path] = path.stat().st_mtime_ns
        best = ("best",) if self.save_best_only else ()
        keep_model(path, f"run_{run_for('WandbModelCheckpoint()').id}_model", ("latest", alias, *best))


class WandbEvalCallback(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """The base of callbacks that log predictions as tables: one of the truth, and one of each epoch's predictions.

    A subclass defines ``add_ground_truth``, which fills ``self.data_table``, and ``add_model_predictions``, which fills
    ``self.pred_table``.

    Args:
        data_table_columns: The columns of the truth.
        pred_table_columns: The columns of the predictions.

    Raises:
        UsageError: There is no run.
    """

    def __init__(
        self, data_table_columns: Sequence[str], pred_table_columns: Sequence[str], *_: Any, **__: Any
    ) -> None:
        super().__init__()
        run_for(f"{type(self).__name__}()")
        self.data_table_columns = list(data_table_columns)
        self.pred_table_columns = list(pred_table_columns)

    def add_ground_truth(self, logs: Any = None) -> None:
        """Fill ``self.data_table``."""
        raise NotImplementedError(f"{type(self).__name__}.add_ground_truth")

    def add_model_predictions(self, epoch: int, logs: Any = None) -> None:
        """Fill ``self.pred_table``."""
        raise NotImplementedError(f"{type(self).__name__}.add_model_predictions")

    def on_train_begin(self, logs: Any = None) -> None:
        """Log the truth."""
        self.init_data_table(self.data_table_columns)
        self.add_ground_truth(logs)
        self.log_data_table()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Log the predictions."""
        self.init_pred_table(self.pred_table_columns)
        self.add_model_predictions(epoch, logs)
        self.log_pred_table()

    def init_data_table(self, column_names: Sequence[str]) -> None:
        """Begin the table of the truth."""
        self.data_table = Table(columns=column_names)

    def init_pred_table(self, column_names: Sequence[str]) -> None:
        """Begin the table of an epoch's predictions."""
        self.pred_table = Table(columns=column_names)

    def log_data_table(self, name: str = "val", type: str = "dataset", table_name: str = "val_data") -> None:  # noqa: A002 - W&B's name
        """Keep the table of the truth as an artifact."""
        self._keep(self.data_table, name, type, table_name, ["latest"])
        self.data_table_ref = self.data_table

    def log_pred_table(
        self,
        type: str = "evaluation",  # noqa: A002 - W&B's name
        table_name: str = "eval_data",
        aliases: Sequence[str] | None = None,
    ) -> None:
        """Keep the table of an epoch's predictions as an artifact."""
        name = f"run_{run_for('log_pred_table()').id}_pred"
        self._keep(self.pred_table, name, type, table_name, list(aliases or ["latest"]))

    def _keep(self, table: Table, name: str, kind: str, table_name: str, aliases: list[str]) -> None:
        artifact = Artifact(name, type=kind)
        artifact.add(table, table_name)
        run_for("log_artifact()").log_artifact(artifact, aliases=aliases)


class WandbCallback(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """Logs each epoch under Keras' own names, ``val_loss``, with ``epoch``; the older callback of W&B.

    The best value of ``monitor`` is ``best_val_loss`` in the summary, with ``best_epoch``, and its model is saved as
    ``model-best.h5`` in the run's directory.

    Args:
        monitor: The metric that tells the best epoch.
        verbose: Accepted and ignored.
        mode: ``"min"``, ``"max"``, or ``"auto"``: greater is better if the name has ``acc`` or begins with
            ``fmeasure``.
        save_weights_only: Whether to save the weights without the model, as ``model-best.weights.h5``.
        log_weights: Whether to log a histogram of each weight.
        save_model: Whether to save the best model.
        log_batch_frequency: Log every so many batches, too.
        log_best_prefix: Before the names in the summary; ``None`` for no such names.
        others: W&B's other arguments, which are accepted and ignored.

    Raises:
        UsageError: There is no run.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        verbose: int = 0,
        mode: str = "auto",
        save_weights_only: bool = False,
        log_weights: bool = False,
        log_gradients: bool = False,
        save_model: bool = True,
        *_: Any,
        log_batch_frequency: int | None = None,
        log_best_prefix: str | None = "best_",
        **others: Any,
    ) -> None:
        super().__init__()
        del verbose, log_gradients, others
        run = run_for("WandbCallback()")
        self.monitor = monitor
        self.save_weights_only = save_weights_only
        self.log_weights = log_weights
        self.save_model = save_model
        self.log_batch_frequency = log_batch_frequency
        self.log_best_prefix = log_best_prefix
        greater = "acc" in monitor or monitor.startswith("fmeasure")
        self._sign = -1.0 if mode == "max" or (mode != "min" and greater) else 1.0
        self.best = self._sign * math.inf
        self.filepath = str(Path(run.dir, "model-best.weights.h5" if save_weights_only else "model-best.h5"))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Log a batch, if batches are logged."""
        if self.log_batch_frequency and batch % self.log_batch_frequency == 0:
            log(logs or {})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save the model if it is the best so far, then log the epoch."""
        found = logs or {}
        value = found.get(self.monitor)
        if value is not None and self._sign * value < self._sign * self.best:
            self.best = value
            self._note_best(epoch)
        weights = self._weights() if self.log_weights else {}
        log({"epoch": epoch, **found, **weights}, last=_is_last(self, epoch))

    def _note_best(self, epoch: int) -> None:
        if self.log_best_prefix:
            summary = run_for("WandbCallback()").summary
            summary[f"{self.log_best_prefix}{self.monitor}"] = self.best
            summary[f"{self.log_best_prefix}epoch"] = epoch
        if self.save_weights_only and self.save_model:
            self.model.save_weights(self.filepath, overwrite=True)
        elif self.save_model:
            self.model.save(self.filepath, overwrite=True)

    def _weights(self) -> dict[str, Any]:
        return {
            f"parameters/{weight.path}": Histogram(keras.ops.convert_to_numpy(weight))
            for weight in self.model.trainable_weights
        }
