"""``wandb.integration.lightgbm``: W&B's callback for LightGBM, which reports and ends a stopped training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightgbm import Booster

from lightsweep.client.numbers import Value, results
from lightsweep.errors import UsageError
from lightsweep.wandb.integration import define_best, keep_model, log, log_importance, run_for

__all__ = ["log_summary", "wandb_callback"]

_ORDER = 26
"""After lightsweep's ``SweepCallback`` (25), which alone reports if both are there; before ``early_stopping`` (30)."""


class _Callback:
    """Logs each boosting round; the attributes are those that LightGBM reads.

    Attributes:
        order: Its place among the callbacks of a round; those that end the training have later ones.
        before_iteration: Whether LightGBM calls it before a round.
    """

    def __init__(self, log_params: bool, define_metric: bool) -> None:
        self.order = _ORDER
        self.before_iteration = False
        self._log_params = log_params
        self._define_metric = define_metric

    def __call__(self, env: Any) -> None:
        found = list(results(env.evaluation_result_list))
        if env.iteration == env.begin_iteration:
            self._begin(env, found)
        last = env.iteration + 1 >= env.end_iteration
        log({**{value.name: value.number for value in found}, "iteration": env.iteration}, last=last)

    def _begin(self, env: Any, found: list[Value]) -> None:
        if self._log_params:
            run_for("wandb_callback()").config.update(env.params, allow_val_change=True)
        if self._define_metric:
            for value in found:
                define_best(value.name, value.metric)


def wandb_callback(log_params: bool = True, define_metric: bool = True) -> _Callback:
    """Return a callback that logs each boosting round as ``DATA_METRIC``: ``valid_0_l2``.

    Args:
        log_params: Whether to add the parameters of the training to the config; what the sweep sets stays.
        define_metric: Whether the summary keeps the best value of each metric instead of the last one.

    Raises:
        UsageError: There is no run.
    """
    run_for("wandb_callback()")
    return _Callback(log_params, define_metric)


def log_summary(model: Any, feature_importance: bool = True, save_model_checkpoint: bool = False) -> None:
    """Write ``best_iteration`` and ``best_score`` to the summary, and log the importance of the features.

    Args:
        model: The booster that ``lightgbm.train`` returned.
        feature_importance: Whether to log the importance, as a chart.
        save_model_checkpoint: Whether to keep the model of the best round as an artifact.

    Raises:
        UsageError: There is no run, or ``model`` is something else.
    """
    run = run_for("log_summary()")
    if not isinstance(model, Booster):
        raise UsageError(
            f"log_summary() takes the Booster that lightgbm.train returns, got {type(model).__name__}; of an estimator "
            "pass model.booster_"
        )
    run.summary["best_iteration"] = model.best_iteration
    run.summary["best_score"] = {data: dict(values) for data, values in model.best_score.items()}
    if feature_importance:
        log_importance(dict(zip(model.feature_name(), model.feature_importance(), strict=True)))
    if save_model_checkpoint:
        path = Path(run.dir, f"model_ckpt_{model.best_iteration}.txt")
        model.save_model(path, num_iteration=model.best_iteration)
        keep_model(path, f"model_{run.id}", ("best",))
