"""How Hugging Face names a metric of a sweep, and whether its Trainer will ever come to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightsweep.errors import InputError

if TYPE_CHECKING:
    from transformers import TrainingArguments

__all__ = ["candidates", "check_strategies", "is_evaluated"]


def candidates(metric: str) -> tuple[str, ...]:
    """The names under which a Trainer may log ``metric``, the likeliest first.

    W&B's Hugging Face callback turned ``eval_loss`` into ``eval/loss`` and put ``train/`` before the others; sweep
    files are written with those names.
    """
    group, slash, name = metric.partition("/")
    if slash and group == "train":
        return (metric, name)
    if slash and group in {"eval", "test"}:
        return (metric, f"{group}_{name}")
    return (metric,)


def is_evaluated(metric: str, metrics: Mapping[str, Any]) -> bool:
    """Whether the metric comes from an evaluation rather than from the training loop.

    Args:
        metric: Its name in the sweep.
        metrics: What was just logged: its names tell where it comes from when ``metric`` does not.
    """
    named = any(name.startswith("eval") for name in candidates(metric))
    return named or any(name.startswith("eval_") for name in metrics)


def check_strategies(args: TrainingArguments, metric: str) -> None:
    """Refuse arguments under which the Trainer would never produce the metric.

    Raises:
        InputError: Evaluation or logging is off, or its first time comes after the last step.
    """
    evaluated = is_evaluated(metric, {})
    kind = "eval" if evaluated else "logging"
    strategy = _value(getattr(args, f"{kind}_strategy"))
    steps = getattr(args, f"{kind}_steps") or 0
    what = "is evaluated" if evaluated else "is logged"
    if strategy == "no":
        if not evaluated and _value(args.eval_strategy) != "no":
            return  # compute_metrics may give it under this name
        raise InputError(
            f"the metric {metric!r} never {what} with {kind}_strategy='no', so the sweep could compare nothing; "
            f"set {kind}_strategy='epoch', or 'steps' with {kind}_steps"
        )
    if strategy == "steps" and 0 < args.max_steps < steps:
        raise InputError(
            f"the metric {metric!r} {what} every {steps:g} steps, but training ends after max_steps={args.max_steps}; "
            f"set {kind}_steps to {args.max_steps} or less"
        )


def _value(strategy: Any) -> str:
    return str(getattr(strategy, "value", strategy))
