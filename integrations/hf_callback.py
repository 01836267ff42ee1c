"""The callback that makes a Hugging Face Trainer part of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from lightsweep.errors import LightsweepError, RunPruned, UsageError
from lightsweep.integrations._base import (
    MetricMissingError,
    OnPrune,
    active_run,
    check_on_prune,
    missing_metric,
    two_callbacks,
)
from lightsweep.integrations._checkpoints import PREFIX, is_kept, keep, position_of, remove_empty
from lightsweep.integrations._smoke import one_more_step, repeat_first_batch, report_loss
from lightsweep.integrations.distributed import Reply, agreed
from lightsweep.integrations.hf_metrics import (
    candidates,
    check_strategies,
    check_training,
    is_evaluated,
    means_evaluated,
    remedy,
)

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from lightsweep.client import Run


__all__ = ["DEFAULT_OUTPUT_DIR", "MetricMissingError", "SweepCallback", "write_below"]

DEFAULT_OUTPUT_DIR = "trainer_output"
"""What transformers 5 takes where no ``output_dir`` is given; in version 4 one must be given."""


def write_below(run: Run, args: TrainingArguments) -> None:
    """Send to ``run.dir`` what runs would otherwise write over each other's.

    In a smoke run, which leaves nothing behind, all that the trainer writes goes there, whatever was named, and nothing
    goes to the hub.
    """
    named = args.output_dir
    if named != DEFAULT_OUTPUT_DIR and not run.smoke:
        return
    args.output_dir = str(run.dir)
    if run.smoke:
        args.push_to_hub = False
        if hasattr(args, "logging_dir"):  # of transformers 4
            args.logging_dir = str(run.dir / "runs")
    if named is not None and Path(named).absolute() != run.dir:
        remove_empty(Path(named))  # the trainer has made it


_STATE = "lightsweep"


class SweepCallback(TrainerCallback):
    """Reports each evaluation to the sweep and leaves the training loop when the run falls behind.

    Every evaluation of ``train()`` after its first step is a report and counts as one iteration; a metric of the
    training loop, such as ``train/loss``, is reported each time it is logged. Names in the way of W&B mean Hugging
    Face's: ``eval/loss`` its ``eval_loss``, ``train/loss`` its ``loss``. ``trainer.evaluate()`` outside of ``train()``
    reports nothing.

    With several processes only rank 0 speaks to the agent. Its verdict is broadcast, one broadcast for each report, so
    that all ranks leave at the same point.

    A run that may be started again keeps a checkpoint of its last evaluation below ``run.dir``: the trainer's own where
    it saves one then, else one made in place of the one before. With ``load_best_model_at_end`` it is the trainer's own
    latest. What the trainer saves elsewhere is copied, since another run may write to the same place. The next attempt
    goes on with ``train(resume_from_checkpoint=run.checkpoint)``. What was reported before is not reported again, also
    where training begins anew. An ``output_dir`` that nobody named is ``run.dir``.

    Without an agent the trainer trains as if the callback were not there, and one line on stderr says so.

    Args:
        run: The run to report to; by default the current one, which is begun here if the script has not done so.
        metric: The name under which the trainer logs the metric of the sweep, where that is not the sweep's own name
            for it.
        on_prune: ``"raise"``: ``train()`` raises `RunPruned`. ``"stop"``: the trainer is asked to stop training, saves
            and evaluates as at any end, and ``train()`` returns.
        checkpoint: Whether to keep a checkpoint to resume from. By default where the run may be started again: the
            sweep has ``max_retries``, a scheduler may take the job away, or this is not the run's first attempt.

    Raises:
        UsageError: ``on_prune`` is something else.

    ``train()`` raises:
        RunPruned: The verdict, on every rank.
        InputError: The arguments never evaluate or log the metric (before the first step), or an evaluation came
            without it (`MetricMissingError`).
        UsageError: The trainer has two of these callbacks, or goes on from the checkpoint of another run.
        AgentLostError: The agent is gone.
    """

    # The trainer state that is in training -> the callback that reports for it, to find a second one.
    _reporting_for: dict[int, SweepCallback] = {}  # noqa: RUF012 - shared on purpose

    def __init__(
        self,
        run: Run | None = None,
        metric: str | None = None,
        on_prune: OnPrune = "raise",
        checkpoint: bool | None = None,
    ) -> None:
        check_on_prune(on_prune)
        self._given = run
        self._given_metric = metric
        self._on_prune = on_prune
        self._checkpoint = checkpoint
        self._end()

    def _end(self) -> None:
        self._run: Run | None = None
        self._metric: str | None = None
        self._state: TrainerState | None = None
        self._training = False
        self._pruned = False
        self._seen: set[str] = set()
        self._reported_at: int | None = None
        self._missed = False
        self._makes_checkpoints = False
        self._output_dir: str | None = None
        self._one_batch = False

    # The hooks, in the order in which they are called.

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Let a smoke run take all of its steps, however short training is, and write below its own directory only."""
        del state, control, kwargs
        run = active_run(self._given, speak=False)
        if run is not None and run.smoke:
            args.max_steps = run.smoke_steps
            run.leave_loaders_whole()
            write_below(run, args)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin to report, if an agent serves the run."""
        del control
        other = self._reporting_for.get(id(state))
        if other is not None and other is not self and other._state is state:
            raise two_callbacks("evaluation")
        self._end()
        run = active_run(self._given, speak=state.is_world_process_zero)
        if run is None:
            return
        self._run, self._state, self._training = run, state, True
        run.leave_loaders_whole()
        self._one_batch = run.smoke and repeat_first_batch(kwargs.get("train_dataloader"))
        self._reporting_for[id(state)] = self
        write_below(run, args)
        before = _states(state).get(_STATE) or {}
        if before.get("run", run.id) != run.id:
            raise UsageError(
                f"training would go on from a checkpoint of run {before['run']}, but this is run {run.id}: "
                "resume_from_checkpoint=run.checkpoint resumes a run from its own"
            )
        position_of(run).restore(run, before)
        # The best model is loaded from what the trainer itself has saved.
        self._makes_checkpoints = is_kept(self._checkpoint, run.keep_checkpoint) and not args.load_best_model_at_end
        self._metric = self._given_metric or run.metric
        if self._metric is not None:
            # A smoke run takes fewer steps, but logs and evaluates all the same.
            check_strategies(args, self._metric) if run.smoke else check_training(args, state, self._metric)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Miss the metric, now that every dataset of the evaluation before had its turn."""
        del state, control, kwargs
        self._save_as_before(args)
        if self._missed:
            self._miss()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep a smoke run short."""
        del kwargs
        if self._run is not None and self._run.smoke and self._training:
            one_more_step(args, state, control, self._run.smoke_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Report a metric of the training loop."""
        del kwargs
        self._seen |= set(logs or ())
        if logs and self._run is not None and self._run.smoke and self._training:
            report_loss(self._run, logs, one_batch=self._one_batch)
        # An evaluation is logged too, before on_evaluate.
        if logs and self._metric is not None and not is_evaluated(self._metric, logs) and self._in(logs):
            self._report(logs, args, state, control)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Report an evaluation; the one before the first step is a sanity check and no report."""
        del kwargs
        if not self._training or state.global_step == 0 or not metrics:
            return
        self._seen |= set(metrics)
        if self._metric is None or self._in(metrics):
            self._missed = False
            self._report(metrics, args, state, control)
        elif self._reported_at != state.global_step:
            # One of several datasets may still bring it.
            self._missed |= means_evaluated(self._metric, metrics)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Let the next attempt find the checkpoint that is now complete."""
        del control, kwargs
        run = self._run
        if run is not None and state.is_world_process_zero and is_kept(self._checkpoint, run.keep_checkpoint):
            keep(run.dir, Path(args.output_dir or "", f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"))
        self._save_as_before(args)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End to report; miss a metric that never came."""
        del control, kwargs
        self._save_as_before(args)
        if self._missed or (self._training and self._metric is not None and self._reported_at is None):
            self._miss()
        self._stop_reporting(state)

    # Deciding and acting.

    def _in(self, metrics: Mapping[str, Any]) -> bool:
        return self._metric is not None and any(name in metrics for name in candidates(self._metric))

    def _miss(self) -> None:
        name, seen = self._metric or "", self._seen
        self._stop_reporting(self._state)
        raise missing_metric(name, seen, remedy(name), like=name.replace("/", "_"))

    def _stop_reporting(self, state: TrainerState | None) -> None:
        self._training = self._missed = False
        self._reporting_for.pop(id(state), None)

    def _report(
        self, metrics: Mapping[str, Any], args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """One report, and one broadcast of what came of it; every rank calls this at the same point."""
        if not self._training or self._pruned:
            return
        self._reported_at = state.global_step
        try:
            last = state.global_step >= state.max_steps or control.should_training_stop
            reply = agreed(lambda: self._ask(metrics, state.global_step, last), first=state.is_world_process_zero)
        except LightsweepError:
            self._stop_reporting(state)
            raise
        if not reply.stop:
            if self._makes_checkpoints and not control.should_save:
                # Also where the trainer has just saved: that one does not know of this report.
                control.should_save = True
                self._save_ours(args)
            return
        self._pruned = True
        if self._on_prune == "raise":
            self._stop_reporting(state)
            raise RunPruned(reply.reason)
        control.should_training_stop = True

    def _save_ours(self, args: TrainingArguments) -> None:
        """Let the checkpoint that the trainer now makes for us be told from its own by its place."""
        if self._run is not None and self._output_dir is None:
            self._output_dir, args.output_dir = args.output_dir, str(self._run.dir / f"{PREFIX}trainer")

    def _save_as_before(self, args: TrainingArguments) -> None:
        if self._output_dir is not None:
            args.output_dir, self._output_dir = self._output_dir, None

    def _ask(self, metrics: Mapping[str, Any], step: int, last: bool) -> Reply:
        assert self._run is not None
        numbers = {name: float(value) for name, value in metrics.items() if isinstance(value, (int, float))}
        if self._metric is not None and self._run.metric is not None:
            found = next((name for name in candidates(self._metric) if name in numbers), None)
            if found is not None:
                numbers[self._run.metric] = numbers[found]
        position = position_of(self._run)
        decision = position.report(self._run, numbers, step, last=last)
        _states(self._state)[_STATE] = position.state(self._run)
        return Reply(stop=decision.stop, reason=decision.reason)


def _states(state: TrainerState | None) -> dict[str, Any]:
    """What goes into checkpoints for each callback; declared as a list, which it is only while it is made."""
    found: Any = None if state is None else state.stateful_callbacks
    return found if isinstance(found, dict) else {}
