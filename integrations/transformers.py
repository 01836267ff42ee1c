"""Hugging Face's Trainer in a sweep: a callback, arguments from the run's config, and whole sweeps of Trainers.

Works with transformers from 4.46.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

import lightsweep
from lightsweep.errors import LightsweepError, UsageError
from lightsweep.integrations import hf_arguments
from lightsweep.integrations._checkpoints import PREFIX, keep, position_of, remove_empty
from lightsweep.integrations.base import MetricMissingError, SweepCallbackBase, active_run, say_once, two_callbacks
from lightsweep.integrations.hf_arguments import ALIASES, training_arguments

if TYPE_CHECKING:
    from transformers import Trainer
    from transformers import TrainerControl as Control
    from transformers import TrainerState as State
    from transformers import TrainingArguments as Arguments

    from lightsweep import Sweep
    from lightsweep.client import Run, Verdict

__all__ = ["ALIASES", "MetricMissingError", "SweepCallback", "run_sweep", "training_arguments"]

DEFAULT_OUTPUT_DIR = "trainer_output"
"""The ``output_dir`` that transformers 5 takes by default; version 4 requires one."""

_STATE = "lightsweep"
_SMOKE_EVALUATIONS = 2


class SweepCallback(SweepCallbackBase, TrainerCallback):
    """Reports each evaluation to the sweep, and ends the training loop when the run is stopped.

    Every evaluation of ``train()`` after its first step is a report and counts as one iteration; a metric of the
    training loop, such as ``train/loss``, is reported each time it is logged. Names as W&B shows them mean Hugging
    Face's: ``eval/loss`` its ``eval_loss``, ``train/loss`` its ``loss``. ``trainer.evaluate()`` outside of ``train()``
    reports nothing.

    With several processes only rank 0 reports. The verdict is broadcast, one broadcast for each report, so that all
    ranks leave at the same point.

    A run that may be retried keeps a checkpoint of its last evaluation below ``run.dir``: the trainer's own if it saves
    one then, else one that replaces the one before. With ``load_best_model_at_end`` it is the trainer's own latest. A
    checkpoint that the trainer saves elsewhere is copied, since another run may write to the same place. The next
    attempt resumes with ``train(resume_from_checkpoint=run.checkpoint)``. What was reported before is not reported
    again, also if training begins from the start. Without an ``output_dir``, ``run.dir`` is used.

    Without an agent the trainer trains as if the callback were absent, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which the callback starts if the script has not.
        metric: The name under which the trainer logs the metric of the sweep, if it differs from the sweep's name.
        on_prune: How a stopped training ends. ``"raise"``: ``train()`` raises `RunPruned`. ``"stop"``: the trainer is
            asked to stop training, saves and evaluates as at any end, and ``train()`` returns.
        checkpoint: Whether to keep a checkpoint to resume from. By default if the run may be retried: the sweep has
            ``max_retries``, a scheduler may end the job, or this is not the run's first attempt.

    Raises:
        UsageError: ``on_prune`` is something else.

    ``train()`` raises:
        RunPruned: The verdict is to stop; on every rank.
        InputError: The arguments never evaluate or log the metric (before the first step), or an evaluation lacks it
            (`MetricMissingError`).
        UsageError: The trainer has two of these callbacks, or resumes from the checkpoint of another run.
        AgentLostError: The agent is gone.
    """

    # The trainer state that is in training -> the callback that reports for it, to find a second one.
    _reporting_for: dict[int, SweepCallback] = {}  # noqa: RUF012 - shared on purpose

    def _forget(self) -> None:
        super()._forget()
        self._state: State | None = None
        self._seen: set[str] = set()
        self._reported_at: int | None = None
        self._missed = False
        self._makes_checkpoints = False
        self._output_dir: str | None = None
        self._one_batch = False

    # The hooks, in the order in which they are called.

    def on_init_end(self, args: Arguments, state: State, control: Control, **kwargs: Any) -> None:
        """Move the output of the trainer; let a smoke run take all of its steps, however short training is.

        This is earlier than ``on_train_begin``, in which loggers of the trainer read where to write.
        """
        run = active_run(self._given, speak=False)
        if run is not None:
            _write_below(run, args)
            if run.smoke:
                args.max_steps = run.smoke_steps
                run.leave_loaders_whole()

    def on_train_begin(self, args: Arguments, state: State, control: Control, **kwargs: Any) -> None:
        """Begin to report, if an agent serves the run."""
        other = self._reporting_for.get(id(state))
        if other is not None and other is not self and other._state is state:
            raise two_callbacks("evaluation")
        reports = args.report_to or ()
        run = self._begin_training(first=state.is_world_process_zero, logged_too="wandb" in reports)
        if run is None:
            self._reporting = False
            return
        self._state = state
        run.leave_loaders_whole()
        self._one_batch = run.smoke and _repeat_first_batch(kwargs.get("train_dataloader"))
        self._reporting_for[id(state)] = self
        _write_below(run, args)
        before = _states(state).get(_STATE) or {}
        if before.get("run", run.id) != run.id:
            raise UsageError(
                f"training would resume from a checkpoint of run {before['run']}, but this is run {run.id}: "
                f"the runs share output_dir {args.output_dir!r}. Use output_dir=run.dir in the script, or "
                "--output_dir=${run_dir} in `command`; resume_from_checkpoint=run.checkpoint resumes a run from its own"
            )
        position_of(run).restore(run, before)
        # The best model is loaded from what the trainer itself has saved.
        self._makes_checkpoints = self._keeps_checkpoints and not args.load_best_model_at_end
        if self._metric is not None:
            # A smoke run takes fewer steps, but logs and evaluates all the same.
            hf_arguments.check_training(args, None if run.smoke else state, self._metric)

    def on_step_begin(self, args: Arguments, state: State, control: Control, **kwargs: Any) -> None:
        """Raise if the metric is missing, once every dataset of the evaluation before has been evaluated."""
        self._save_as_before(args)
        if self._missed:
            self._fail()

    def on_step_end(self, args: Arguments, state: State, control: Control, **kwargs: Any) -> None:
        """Keep a smoke run short: log each step, evaluate twice, and end."""
        if self._run is None or not self._run.smoke or not self._reporting:
            return
        steps = self._run.smoke_steps
        control.should_log = True
        if hf_arguments.strategy(args, "eval") != "no" and state.global_step % max(1, steps // _SMOKE_EVALUATIONS) == 0:
            control.should_evaluate = True
        if state.global_step >= steps:
            control.should_training_stop = True

    def on_log(self, args: Arguments, state: State, control: Control, **kwargs: Any) -> None:
        """Report a metric of the training loop."""
        logs: Mapping[str, Any] | None = kwargs.get("logs")
        if not logs or not self._reporting:
            return
        self._seen |= set(logs)
        self._report_loss(logs, one_batch=self._one_batch)
        # An evaluation is logged too, before on_evaluate.
        if self._metric is not None and not hf_arguments.is_evaluated(self._metric, logs) and self._in(logs):
            self._report_logs(logs, args, state, control)

    def on_evaluate(self, args: Arguments, state: State, control: Control, **kwargs: Any) -> None:
        """Report an evaluation; the one before the first step is a sanity check and no report."""
        metrics: Mapping[str, Any] | None = kwargs.get("metrics")
        if not self._reporting or state.global_step == 0 or not metrics:
            return
        self._seen |= set(metrics)
        if self._metric is None or self._in(metrics):
            self._missed = False
            self._report_logs(metrics, args, state, control)
        elif self._reported_at != state.global_step:
            # One of several datasets may still bring it.
            self._missed |= hf_arguments.means_evaluated(self._metric, metrics)

    def on_save(self, args: Arguments, state: State, control: Control, **kwargs: Any) -> None:
        """Point the next attempt at the checkpoint, which is now complete."""
        if self._run is not None and state.is_world_process_zero and self._keeps_checkpoints:
            keep(self._run, Path(args.output_dir or "", f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"))
        self._save_as_before(args)

    def on_train_end(self, args: Arguments, state: State, control: Control, **kwargs: Any) -> None:
        """Stop reporting; raise if the metric was never logged."""
        self._save_as_before(args)
        if self._missed or (self._reporting and self._metric is not None and self._reported_at is None):
            self._fail()
        self._stop_reporting(state)

    # Reports and checkpoints.

    def _names(self) -> tuple[str, ...]:
        return hf_arguments.candidates(self._metric) if self._metric else ()

    def _remedy(self) -> str:
        return hf_arguments.remedy(self._metric or "")

    def _in(self, metrics: Mapping[str, Any]) -> bool:
        return any(name in metrics for name in self._names())

    def _fail(self) -> None:
        error = self._missing(self._seen)
        self._stop_reporting(self._state)
        raise error

    def _stop_reporting(self, state: State | None) -> None:
        self._reporting = self._missed = False
        self._reporting_for.pop(id(state), None)

    def _report_logs(self, logs: Mapping[str, Any], args: Arguments, state: State, control: Control) -> None:
        """Report; every rank calls this at the same point."""
        self._reported_at = state.global_step
        last = state.global_step >= state.max_steps or control.should_training_stop
        try:
            verdict = self._report(logs, state.global_step, last=last, first=state.is_world_process_zero)
        except LightsweepError:
            self._stop_reporting(state)
            raise
        if verdict is not None and verdict.stop:
            control.should_training_stop = True
        elif verdict is not None and self._makes_checkpoints and not control.should_save:
            # Also if the trainer has just saved: that checkpoint does not know of this report.
            control.should_save = True
            self._save_ours(args)

    def _ask(self, logged: Mapping[str, Any], step: int, last: bool) -> Verdict | None:
        verdict = super()._ask(logged, step, last)
        if self._run is not None:
            _states(self._state)[_STATE] = position_of(self._run).state(self._run)
        return verdict

    def _save_ours(self, args: Arguments) -> None:
        """Give the checkpoint that the trainer now makes for us a place that tells it from the trainer's own."""
        if self._run is not None and self._output_dir is None:
            self._output_dir, args.output_dir = args.output_dir, str(self._run.dir / f"{PREFIX}trainer")

    def _save_as_before(self, args: Arguments) -> None:
        if self._output_dir is not None:
            args.output_dir, self._output_dir = self._output_dir, None


def run_sweep(
    make_trainer: Callable[[Run], Trainer],
    config: str | Path | Mapping[str, Any],
    count: int | None = None,
    *,
    isolate: bool = False,
    storage: str | None = None,
) -> Sweep:
    """Create a sweep, train its runs one after the other, and return it.

    Args:
        make_trainer: Takes the run and returns a Trainer. It gets a `SweepCallback` if it has none, and is trained.
        config: The path of a sweep file, or a dict.
        count: Number of runs; by default until the sweep is finished.
        isolate: Whether each run has its own process, so that memory does not grow from run to run.
            If ``make_trainer`` is a function of the script itself, the script must guard its work by
            ``if __name__ == "__main__"``.
        storage: A storage URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

    Raises:
        ConfigError: The config is wrong.
        UsageError: ``isolate`` with a function that cannot be passed to another process.
    """
    sweep_id = lightsweep.sweep(config, storage=storage)
    lightsweep.agent(sweep_id, function=partial(_train, make_trainer), count=count, isolate=isolate, storage=storage)
    return lightsweep.Sweep.load(sweep_id, storage=storage)


def _train(make_trainer: Callable[[Run], Trainer]) -> None:
    """Train one run of a sweep; a function of this module, so that it can be pickled for another process."""
    with lightsweep.init() as run:
        trainer = make_trainer(run)
        if not any(isinstance(callback, SweepCallback) for callback in trainer.callback_handler.callbacks):
            trainer.add_callback(SweepCallback(run))
        trainer.train()


# What Hugging Face's own objects say and do.


def _states(state: State | None) -> dict[str, Any]:
    """Return what goes into checkpoints for each callback; declared as a list, which it is only while it is made."""
    found: Any = None if state is None else state.stateful_callbacks
    return found if isinstance(found, dict) else {}


def _write_below(run: Run, args: Arguments) -> None:
    """Send to ``run.dir`` what runs would otherwise write over each other's.

    In a smoke run, which leaves nothing behind, all that the trainer writes goes there, whatever was named, and nothing
    goes to the hub.
    """
    named = args.output_dir
    if named != DEFAULT_OUTPUT_DIR and not run.smoke:
        place = Path(named or ".").absolute()
        shared = run.rank == 0 and not run.resumed and not place.is_relative_to(run.dir)
        if shared and any(place.glob("checkpoint-*")):
            say_once(
                f"output_dir {named!r} holds checkpoints of an earlier training, and runs that share it overwrite each "
                "other's: use output_dir=run.dir in the script, or --output_dir=${run_dir} in `command`"
            )
        return
    args.output_dir = str(run.dir)
    if run.smoke:
        args.push_to_hub = False
        if hasattr(args, "logging_dir"):  # of transformers 4
            args.logging_dir = str(run.dir / "runs")
    if named is not None and Path(named).absolute() != run.dir:
        remove_empty(Path(named))  # the trainer has made it


def _repeat_first_batch(loader: Any) -> bool:
    """Let a data loader that has not begun give its first batch again and again; False if it has no ``collate_fn``.

    If the loader has worker processes, each repeats its own first batch.
    """
    # accelerate, which the Trainer uses, wraps the loader that collates.
    wrapped: list[Any] = [getattr(loader, "base_dataloader", None), loader]
    parts = [part for part in wrapped if hasattr(part, "collate_fn")]
    for part in parts:
        part.collate_fn = _FirstBatch(part.collate_fn)
    return bool(parts)


class _FirstBatch:
    """Collates once, and gives that again whatever the samples are; a class, so that it can be pickled for workers."""

    def __init__(self, collate: Any) -> None:
        self._collate = collate
        self._batch: Any = None

    def __call__(self, samples: Any) -> Any:
        if self._batch is None:
            self._batch = self._collate(samples)
        return copy.copy(self._batch)
