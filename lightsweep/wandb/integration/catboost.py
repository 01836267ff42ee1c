"""``wandb.integration.catboost``: W&B's callback for CatBoost, which reports and ends a stopped training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catboost import CatBoostClassifier, CatBoostRegressor

from lightsweep.client.numbers import latest, rounds_of
from lightsweep.errors import RunPruned, UsageError
from lightsweep.wandb.integration import keep_model, log, log_importance, run_for

__all__ = ["WandbCallback", "log_summary"]


class WandbCallback:
    """Logs each boosting round that CatBoost evaluates as ``DATA-METRIC``: ``validation-RMSE``, ``learn-RMSE``.

    CatBoost turns what a callback raises into an error of its own. So a stopped run leaves ``fit`` as after early
    stopping, and the next log of the script raises `RunPruned`.

    Args:
        metric_period: CatBoost's own ``metric_period``; in the name under which the number of the round is logged.

    Raises:
        UsageError: There is no run.
    """

    def __init__(self, metric_period: int = 1) -> None:
        run_for("WandbCallback()")
        self.metric_period = metric_period
        self._evaluated = 0

    def after_iteration(self, info: Any) -> bool:
        """Log the round if it was evaluated; False ends the training."""
        evaluated = rounds_of(info.metrics)
        if evaluated <= self._evaluated:
            return True
        self._evaluated = evaluated
        found = {value.name: value.number for value in latest(info.metrics)}
        try:
            log({**found, f"iteration@metric-period-{self.metric_period}": info.iteration})
        except RunPruned:
            return False
        return True


def log_summary(
    model: Any, log_all_params: bool = True, save_model_checkpoint: bool = False, log_feature_importance: bool = True
) -> None:
    """Write ``best_iteration`` and ``best_score`` to the summary, and log the importance of the features.

    Args:
        model: The trained model.
        log_all_params: Whether to add the model's parameters to the config; what the sweep sets stays.
        save_model_checkpoint: Whether to keep the model as an artifact.
        log_feature_importance: Whether to log the importance, as a chart.

    Raises:
        UsageError: There is no run, or ``model`` is something else.
    """
    run = run_for("log_summary()")
    if not isinstance(model, (CatBoostClassifier, CatBoostRegressor)):
        raise UsageError(
            f"log_summary() takes a CatBoostClassifier or a CatBoostRegressor, got {type(model).__name__}; log the "
            "numbers of another model by wandb.log"
        )
    parameters = model.get_all_params()
    if log_all_params:
        run.config.update(parameters, allow_val_change=True)
    run.summary["best_iteration"] = model.get_best_iteration()
    run.summary["best_score"] = model.get_best_score()
    if save_model_checkpoint:
        path = Path(run.dir, "model")
        model.save_model(str(path))
        keep_model(path, f"model_{run.id}", ("best" if parameters.get("use_best_model") else "last",))
    if log_feature_importance:
        log_importance(dict(zip(model.feature_names_, map(float, model.get_feature_importance()), strict=True)))
