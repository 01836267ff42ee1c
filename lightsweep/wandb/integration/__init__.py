"""``wandb.integration``: W&B's own callbacks for trainers, which report to the sweep and end a stopped training.

The names that they log are W&B's, since sweep files have them. Each module needs only its own library.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from lightsweep.client.current import current_run
from lightsweep.errors import RunPruned, UsageError
from lightsweep.wandb import INTEGRATIONS, REFUSED, plot, sdk
from lightsweep.wandb.artifacts import Artifact
from lightsweep.wandb.table import Table

__all__ = ["define_best", "keep_model", "log", "log_importance", "run_for"]

_MODULES = ("catboost", "keras", "lightgbm", "sb3", "xgboost")
_LESS = frozenset(
    ["rmse", "rmsle", "mae", "mape", "mphe", "error", "merror", "l1", "l2", "huber", "fair", "poisson", "gamma"]
)
_MORE = frozenset(["auc", "aucpr", "ndcg", "map", "average_precision"])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    known = INTEGRATIONS.get(name)
    if known is not None and known.kind != REFUSED:
        return getattr(sdk, name)
    why = f": {known.says}" if known else f"; it has {', '.join(_MODULES)}. Log the metric of the sweep by wandb.log"
    raise AttributeError(f"lightsweep has no {name!r} in wandb.integration{why}")


def run_for(caller: str) -> Any:
    """Return the current run, and let a ``SweepCallback`` beside W&B's callback be the only one that reports.

    Args:
        caller: Needs the run, for the message.

    Raises:
        UsageError: There is no run.
    """
    run = current_run()
    if run is None:
        raise UsageError(f"{caller} needs an active run: call wandb.init() first")
    run.logs_for_wandb = True
    return run


def log(metrics: Mapping[str, Any], *, last: bool = False) -> None:
    """Log to the current run.

    Args:
        metrics: Names and values.
        last: Whether training ends now anyway: a run that would be stopped finishes, and keeps its trained model.

    Raises:
        RunPruned: The run is to stop now.
    """
    run = run_for("log()")
    if not last:
        run.log(metrics)
    elif (verdict := run.report(metrics, last=True, judged=not run.led)).stop and not run.led:
        raise RunPruned(verdict.reason)


def define_best(name: str, metric: str) -> None:
    """Let the summary keep the best value of a metric whose direction is known; the sweep itself reads every log.

    Args:
        name: The name under which it is logged.
        metric: The trainer's own name, which tells the direction.
    """
    metric = metric.lower().partition("@")[0]
    best = "min" if "loss" in metric or metric in _LESS else "max" if metric in _MORE else None
    if best is not None:
        run_for("define_metric()").define_metric(name, summary=best)


def log_importance(importance: Mapping[str, Any]) -> None:
    """Log the importance of features as a chart of bars, under W&B's name."""
    table = Table(columns=["Feature", "Importance"], data=[list(pair) for pair in importance.items()])
    title = "Feature Importance"
    log({title: plot.bar(table, "Feature", "Importance", title=title)}, last=True)


def keep_model(path: Any, name: str, aliases: tuple[str, ...] = ()) -> None:
    """Log the file of a model, or the folder, as an artifact of the current run."""
    artifact = Artifact(name, type="model")
    artifact.add_dir(path) if path.is_dir() else artifact.add_file(path)
    run_for("log_artifact()").log_artifact(artifact, aliases=list(aliases))
