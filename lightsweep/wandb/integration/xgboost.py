"""``wandb.integration.xgboost``: W&B's callback for XGBoost, which reports and ends a stopped training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xgboost.callback import TrainingCallback

from lightsweep.client.numbers import Evaluated, latest, rounds_of
from lightsweep.wandb.integration import define_best, keep_model, log, log_importance, run_for

__all__ = ["WandbCallback", "wandb_callback"]


class WandbCallback(TrainingCallback):  # type: ignore[misc, unused-ignore]
    """Logs each boosting round as ``DATA-METRIC``: ``validation_0-rmse``.

    A round is logged when the next one begins, the last one when training ends. After training, the best score and its
    round are logged as ``best_score`` and ``best_iteration`` if XGBoost stopped early.

    Args:
        log_model: Whether to keep the trained model as an artifact.
        log_feature_importance: Whether to log the importance of the features, as a chart.
        importance_type: XGBoost's kind of importance.
        define_metric: Whether the summary keeps the best value of each metric instead of the last one.

    Raises:
        UsageError: There is no run.
    """

    def __init__(
        self,
        log_model: bool = False,
        log_feature_importance: bool = True,
        importance_type: str = "gain",
        define_metric: bool = True,
    ) -> None:
        super().__init__()
        run_for("WandbCallback()")
        self.log_model = log_model
        self.log_feature_importance = log_feature_importance
        self.importance_type = importance_type
        self.define_metric = define_metric
        self._evaluated: Evaluated = {}
        self._logged = 0

    def before_training(self, model: Any) -> Any:
        """Add the model's settings to the config; what the sweep sets stays."""
        self._evaluated, self._logged = {}, 0
        if hasattr(model, "save_config"):
            run_for("WandbCallback()").config.update(json.loads(model.save_config()), allow_val_change=True)
        return model

    def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Log the round before."""
        self._evaluated = evals_log
        if epoch:
            self._log_round(epoch, last=False)
        return False

    def after_training(self, model: Any) -> Any:
        """Log the last round, the best score, the importance and the model."""
        self._log_round(rounds_of(self._evaluated), last=True)
        if self.log_model:
            run = run_for("WandbCallback()")
            path = Path(run.dir, f"{run.id}_model.json")
            model.save_model(path)
            keep_model(path, path.name)
        if self.log_feature_importance and hasattr(model, "get_score"):
            log_importance(model.get_score(importance_type=self.importance_type))
        best = model.attr("best_score")
        if best is not None:
            log({"best_score": float(best), "best_iteration": int(model.attr("best_iteration"))}, last=True)
        return model

    def _log_round(self, rounds: int, *, last: bool) -> None:
        if rounds <= self._logged:
            return
        self._logged = rounds
        found = list(latest(self._evaluated))
        if self.define_metric and rounds == 1:
            for value in found:
                define_best(value.name, value.metric)
        log({**{value.name: value.number for value in found}, "epoch": rounds - 1}, last=last)


def wandb_callback() -> Callable[[Any], None]:
    """Return the callback for the versions of XGBoost that took functions; later ones refuse it."""

    def callback(env: Any) -> None:
        log(dict(env.evaluation_result_list))

    return callback
