"""``TrainingArguments`` from the config of a run, and checks that they will produce the metric of the sweep."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any, TypeVar

from transformers import DefaultFlowCallback, TrainerControl, TrainerState, TrainingArguments

from lightsweep.client import RunConfig
from lightsweep.errors import InputError, UsageError, closest
from lightsweep.integrations.base import say_once

if TYPE_CHECKING:
    from lightsweep.client import Run

ALIASES: Mapping[str, str] = {
    "accumulate_grad_batches": "gradient_accumulation_steps",
    "batch_size": "per_device_train_batch_size",
    "beta1": "adam_beta1",
    "beta2": "adam_beta2",
    "clip_grad_norm": "max_grad_norm",
    "epochs": "num_train_epochs",
    "eval_batch_size": "per_device_eval_batch_size",
    "evaluation_strategy": "eval_strategy",
    "grad_accumulation_steps": "gradient_accumulation_steps",
    "gradient_clip_val": "max_grad_norm",
    "label_smoothing": "label_smoothing_factor",
    "lr": "learning_rate",
    "lr_scheduler": "lr_scheduler_type",
    "max_epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "scheduler": "lr_scheduler_type",
    "steps": "max_steps",
    "train_batch_size": "per_device_train_batch_size",
    "val_batch_size": "per_device_eval_batch_size",
    "warmup_ratio": "warmup_steps",  # which takes a share of all steps, too, since transformers 5
    "wd": "weight_decay",
}
"""Names that sweeps use for fields of ``TrainingArguments`` with longer names."""

# How similar a name and a field must be to count as a misspelling: "learnin_rate" is 0.96 similar to
# "learning_rate", while "hidden_size" and other names of models stay below 0.8 for every field.
_MISSPELT = 0.87

_TRUTHS = {"true": True, "false": False}

_Arguments = TypeVar("_Arguments", bound=TrainingArguments)


@typing.overload
def training_arguments(run: Run, base: type[_Arguments] | _Arguments, **overrides: Any) -> _Arguments: ...


@typing.overload
def training_arguments(run: Run, base: Mapping[str, Any] | None = None, **overrides: Any) -> TrainingArguments: ...


def training_arguments(run: Run, base: Any = None, **overrides: Any) -> Any:
    """Make ``TrainingArguments`` from the run's config.

    A parameter goes into the field of its name, or of its name in :data:`ALIASES`, converted to the field's type; a
    nested one by its last name. Parameters without a field (dropout, hidden size) stay in ``run.config``; one line on
    stderr lists them. Only parameters that go into a field count as read. ``output_dir`` is ``run.dir`` unless given.
    If the metric of the sweep comes from an evaluation and no field says when to evaluate, it is after each epoch.

    Args:
        run: The run, from ``lightsweep.init()``.
        base: Fields that the config overrides: arguments, a dict of fields, or a subclass of ``TrainingArguments`` such
            as ``Seq2SeqTrainingArguments`` or ``trl.SFTConfig``.
        overrides: Fields that override the config.

    Raises:
        UsageError: A parameter resembles a field, two parameters mean one field, ``overrides`` has the field of a
            parameter, or a value does not fit the field's type.
        InputError: The arguments would never produce the metric of the sweep.
    """
    kind, fields = _base(base)
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    hints = typing.get_type_hints(kind)
    found: dict[str, str] = {}
    others: list[str] = []
    for path in _parameters(run.config, {field for field in known if _takes_dict(hints[field])}):
        name = ".".join(path)
        field = _field(name, known)
        if field is None:
            others.append(name)
            continue
        if field in found:
            raise UsageError(f"parameters {found[field]!r} and {name!r} both mean the field {field!r}; remove one")
        if field in overrides:
            raise UsageError(
                f"training_arguments({field}={overrides[field]!r}) would hide the parameter {name!r} of the sweep; "
                "remove one of them"
            )
        found[field] = name
        value = reduce(getitem, path, run.config)  # marks each group on the way as read
        fields[field] = _convert(name, field, value, hints[field])
    if others and run.rank == 0:
        say_once(f"not in {kind.__name__}, left in run.config: {', '.join(others)}")
    fields.update(overrides)
    if not fields.get("output_dir") or (isinstance(base, TrainingArguments) and "output_dir" not in overrides):
        fields["output_dir"] = str(run.dir)
    if run.metric is not None and is_evaluated(run.metric, {}) and "eval_strategy" not in fields:
        fields["eval_strategy"] = "steps" if fields.get("eval_steps") else "epoch"
    arguments = kind(**fields)
    if run.metric is not None:
        check_arguments(arguments, run.metric)
    return arguments


def _base(base: Any) -> tuple[type[TrainingArguments], dict[str, Any]]:
    """Return the class of the arguments, and the first fields."""
    if base is None or isinstance(base, Mapping):
        return TrainingArguments, dict(base or {})
    if isinstance(base, type) and issubclass(base, TrainingArguments):
        return base, {}
    if isinstance(base, TrainingArguments):
        fields = (field for field in dataclasses.fields(base) if field.init)
        # Without fields that have their default: some defaults are refused if they are passed.
        return type(base), {
            field.name: value for field in fields if (value := getattr(base, field.name)) != _default(field)
        }
    raise UsageError(f"training_arguments(base=...) is TrainingArguments, a subclass or a dict, not {base!r}")


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _parameters(config: RunConfig, whole: AbstractSet[str], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the names of each parameter, those of its groups first, without marking it as read.

    ``whole`` are fields that take dicts.
    """
    for key, value in dict.items(config):
        if isinstance(value, RunConfig) and ALIASES.get(key, key) not in whole:
            yield from _parameters(value, whole, (*above, key))
        else:
            yield (*above, key)


def _field(name: str, known: set[str]) -> str | None:
    """Return the field of a parameter; ``None`` if it has none."""
    last = name.rpartition(".")[2]
    if last in known:
        return last
    alias = ALIASES.get(last)
    if alias in known:
        return alias
    likely = difflib.get_close_matches(last, [*known, *ALIASES], n=1, cutoff=_MISSPELT)
    if likely:
        raise UsageError(
            f"parameter {name!r} is not a field of the training arguments, but resembles {likely[0]!r}: correct "
            "the sweep file, or rename the parameter if it means something else"
        )
    return None


def _convert(name: str, field: str, value: Any, hint: Any) -> Any:
    """Return ``value`` in the type of the field; unchanged if the field has several types or takes no numbers."""
    if isinstance(value, RunConfig):
        return value.as_dict()
    choices = [choice for choice in _choices(hint) if choice is not type(None)]
    if value is None or len(choices) != 1 or choices[0] not in (bool, float, int):
        return value
    kind = choices[0]
    try:
        number = float(_TRUTHS.get(str(value).lower(), value) if kind is bool else value)
        if (isinstance(value, bool) and kind is not bool) or (kind is not float and kind(number) != number):
            raise ValueError(value)
        return kind(number)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"parameter {name!r}: the field {field!r} takes {kind.__name__}, not {value!r}") from None


def _takes_dict(hint: Any) -> bool:
    return any((typing.get_origin(choice) or choice) is dict for choice in _choices(hint))


def _choices(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


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
