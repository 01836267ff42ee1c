"""Hugging Face's names for the metric of a sweep, and checks that its Trainer will produce the metric."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from transformers import DefaultFlowCallback, TrainerControl, TrainerState

from lightsweep.errors import InputError, closest

if TYPE_CHECKING:
    from transformers import TrainingArguments

_TRAINING = frozenset({"loss", "grad_norm", "learning_rate"})
"""Names that the training loop itself logs."""

_STEPS = ("logging_steps", "eval_steps", "save_steps")


def candidates(metric: str) -> tuple[str, ...]:
    """Return the names under which a Trainer may log ``metric``, the likeliest first.

    W&B's Hugging Face callback turns ``eval_loss`` into ``eval/loss`` and puts ``train/`` before the others; sweep
    files have those names.
    """
    group, slash, name = metric.partition("/")
    if slash and group == "train":
        return (metric, name)
    if slash and group in {"eval", "test"}:
        return (metric, f"{group}_{name}")
    return (metric,)


def is_evaluated(metric: str, metrics: Mapping[str, Any]) -> bool:
    """Tell whether the metric comes from an evaluation rather than from the training loop.

    Args:
        metric: Its name in the sweep.
        metrics: The values just logged: their names tell where they come from if ``metric`` does not.
    """
    named = any(name.startswith("eval") for name in candidates(metric))
    return named or any(name.startswith("eval_") for name in metrics)


def means_evaluated(metric: str, evaluated: Iterable[str]) -> bool:
    """Tell whether a metric that is missing in an evaluation belongs there: by its name, or misspelt.

    Args:
        metric: Its name in the sweep.
        evaluated: The names in the evaluation.
    """
    names = list(evaluated)
    if is_evaluated(metric, {}) or f"eval_{metric}" in names:
        return True
    return not _is_trained(metric) and bool(closest(metric, names))


def remedy(metric: str) -> str:
    """Say how to make a Trainer log a metric, as a sentence without its full stop."""
    if _is_trained(metric):
        return "Let the trainer log more often (logging_steps)"
    return "Return it from compute_metrics" if is_evaluated(metric, {}) else "Return it from compute_metrics or log it"


def check_arguments(args: TrainingArguments, metric: str) -> None:
    """Refuse arguments with which no Trainer would ever produce the metric.

    Raises:
        InputError: As `check_training`.
    """
    state = None
    if args.max_steps > 0:
        state = TrainerState(max_steps=args.max_steps)
        for name in _STEPS:
            steps = getattr(args, name) or 0
            setattr(state, name, max(1, math.ceil(steps * args.max_steps if steps < 1 else steps)))
    check_training(args, state, metric)


def check_training(args: TrainingArguments, state: TrainerState | None, metric: str) -> None:
    """Refuse a training that would end before it produces the metric for the first time.

    Args:
        args: The arguments of the Trainer.
        state: The state when training begins, with the number of steps and, if known, of epochs; ``None`` if training
            may take any number of them.
        metric: Its name in the sweep.

    Raises:
        InputError: Evaluation or logging is off; or the first one comes after the last step or epoch.
    """
    kind, what = _kind(metric)
    if strategy(args, kind) == "no":
        if not (_is_evaluated_or_trained(metric) or strategy(args, "eval") == "no"):
            return  # an evaluation may give it under this name
        raise InputError(
            f"the metric {metric!r} never {what} with {kind}_strategy='no', so the sweep cannot compare runs; "
            f"set {kind}_strategy='epoch', or 'steps' with {kind}_steps"
        )
    if state is None:
        return
    _check_steps(args, state, metric)
    if kind == "eval" and strategy(args, kind) == "epoch" and 0 < state.num_train_epochs < args.eval_delay:
        raise InputError(
            f"the metric {metric!r} is evaluated from epoch eval_delay={args.eval_delay:g} on, but training ends after "
            f"{state.num_train_epochs}; set a smaller eval_delay"
        )


def _check_steps(args: TrainingArguments, state: TrainerState, metric: str) -> None:
    kind, what = _kind(metric)
    if strategy(args, kind) != "steps" or not _is_evaluated_or_trained(metric):
        return
    steps, last = getattr(state, f"{kind}_steps"), state.max_steps
    # The Trainer's own rules, which differ between versions at the last step, at each step that could be the only one.
    for step in {1, last // steps * steps, last} - {0}:
        then = TrainerState(**{name: getattr(state, name) for name in ("max_steps", *_STEPS)}, global_step=step)
        control = DefaultFlowCallback().on_step_end(args, then, TrainerControl())
        if control.should_evaluate if kind == "eval" else control.should_log:
            return
    delay = f", from step eval_delay={args.eval_delay:g} on" if kind == "eval" and args.eval_delay else ""
    raise InputError(
        f"the metric {metric!r} {what} every {steps} steps{delay}, but training ends after {last}; "
        f"set {kind}_steps to {last} or less, or {kind}_strategy='epoch'"
    )


def _kind(metric: str) -> tuple[str, str]:
    """Return the prefix of the settings that say when the metric comes, and the verb for it."""
    return ("eval", "is evaluated") if is_evaluated(metric, {}) else ("logging", "is logged")


def _is_trained(metric: str) -> bool:
    """Tell whether the training loop itself logs the metric."""
    return not _TRAINING.isdisjoint(candidates(metric))


def _is_evaluated_or_trained(metric: str) -> bool:
    """Tell whether the name shows where the metric comes from; users may log any other name at any time."""
    return is_evaluated(metric, {}) or _is_trained(metric)


def strategy(args: TrainingArguments, kind: str) -> str:
    """Return the strategy of ``eval`` or ``logging``: ``"no"``, ``"steps"`` or ``"epoch"``."""
    found = getattr(args, f"{kind}_strategy")
    return str(getattr(found, "value", found))
