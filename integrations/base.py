"""The base of the callbacks for trainers: the run, the report of a validation, and the end of a stopped training.

A callback for another trainer is one class: it inherits `SweepCallbackBase`, calls ``_begin_training`` when a training
begins and ``_report`` after each validation, and stops the trainer's loop once ``_pruned`` is true.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args
from weakref import WeakKeyDictionary

import lightsweep
from lightsweep.client.loaders import BATCH_LOSS, STEP_LOSS
from lightsweep.client.numbers import numbers
from lightsweep.errors import InputError, RunPruned, UsageError, closest
from lightsweep.integrations._checkpoints import position_of
from lightsweep.integrations.distributed import agreed, broadcast

if TYPE_CHECKING:
    from lightsweep.client import Run, Verdict

__all__ = ["MetricMissingError", "OnPrune", "SweepCallbackBase"]

OnPrune = Literal["raise", "stop"]


class MetricMissingError(InputError):
    """The trainer does not log the metric of the sweep; the message lists what it does log."""


class SweepCallbackBase:
    """Base of the callbacks of all trainers; without an agent it does nothing.

    Args:
        run: The run to report to; by default the current one, which the callback starts if the script has not.
        metric: The trainer's name for the metric of the sweep, if it is not the sweep's own name.
        on_prune: How a stopped training ends: ``"raise"`` raises `RunPruned`; ``"stop"`` sets the trainer's own flag.
        checkpoint: Whether to keep a checkpoint to resume from. By default if the run may be retried: the sweep has
            ``max_retries``, a scheduler may end the job, or this is not the run's first attempt.

    Raises:
        UsageError: ``on_prune`` is something else.

    Attributes:
        _run: The run of the training in progress; ``None`` without an agent.
        _metric: The trainer's name for the metric; ``None`` if the sweep has no metric.
        _reporting: Whether validations are reported now.
        _pruned: Whether the verdict was to stop: the trainer's loop must end.
    """

    def __init__(
        self,
        run: Run | None = None,
        metric: str | None = None,
        on_prune: OnPrune = "raise",
        checkpoint: bool | None = None,
    ) -> None:
        super().__init__()
        known = get_args(OnPrune)
        if on_prune not in known:
            raise UsageError(
                f"SweepCallback(on_prune=...) is 'raise' or 'stop', not {on_prune!r}{closest(str(on_prune), known)}"
            )
        self._given = run
        self._given_metric = metric
        self._on_prune = on_prune
        self._checkpoint = checkpoint
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the run, whose connection belongs to one process: another process finds its own current run."""
        return {**self.__dict__, "_given": None, "_run": None}

    # For the callbacks of trainers.

    def _forget(self) -> None:
        """Forget the training before this one."""
        self._run: Run | None = None
        self._metric: str | None = None
        self._reporting = False
        self._pruned = False

    def _claim(self, trainer: object, what: str) -> None:
        """Claim a training that begins, for trainers that do not show their callbacks; `_release` it when it has begun.

        Args:
            trainer: The object that all callbacks of the training get.
            what: The noun for one report, for the message.

        Raises:
            UsageError: Another callback has claimed it.
        """
        if _claims.setdefault(trainer, self) is not self:
            raise two_callbacks(what)

    def _release(self, trainer: object) -> None:
        """Let another callback claim the next training."""
        _claims.pop(trainer, None)

    def _begin_training(self, *, first: bool, logged_too: bool = False) -> Run | None:
        """Begin to report, and return the run; ``None`` without an agent.

        Args:
            first: Whether this is rank 0, which prints a line without an agent. Each rank has the run, so that each
                ends with one line if the run is stopped or the agent is gone.
            logged_too: Whether the trainer logs the metric to W&B too. If lightsweep stands in for W&B, this callback
                alone reports it then.
        """
        self._forget()
        self._run = active_run(self._given, speak=first)
        self._metric = self._given_metric or (self._run.metric if self._run else None)
        self._reporting = True
        if self._run is not None:
            self._run.led = self._run.led or self._run.logs_for_wandb or (logged_too and _stands_in())
        return self._run

    def _names(self) -> tuple[str, ...]:
        """Return the names under which the trainer may log the metric, the likeliest first."""
        return (self._metric,) if self._metric else ()

    def _remedy(self) -> str:
        """Say how to make the trainer log the metric, as a sentence without its full stop."""
        return f"Log {self._metric!r} with each validation"

    def _report(
        self,
        logged: Mapping[str, Any],
        step: int,
        *,
        last: bool,
        first: bool = True,
        send: Callable[[Any], Any] = broadcast,
    ) -> Verdict | None:
        """Report a validation, and return the verdict; with several processes a collective with one broadcast.

        Iterations that an earlier attempt has reported are not reported again. ``None`` means that nothing was
        reported: no agent serves the run, or an earlier verdict was to stop.

        Args:
            logged: Values by the trainer's names; other values than numbers are left out.
            step: The trainer's count of its steps.
            last: Whether training ends now anyway, so that there is nothing to stop.
            first: Whether this is rank 0, which alone reports.
            send: The trainer's own broadcast of a Python object from rank 0, if it has one.

        Raises:
            RunPruned: The verdict is to stop, with ``on_prune="raise"``; on every rank.
            LightsweepError: Anything else that rank 0 met, such as `MetricMissingError`; on every rank.
        """
        if not self._reporting or self._pruned:
            return None
        verdict = agreed(lambda: self._ask(logged, step, last), first=first, send=send)
        if verdict is None:
            self._reporting = False
        elif verdict.stop:
            self._pruned = True
            if self._on_prune == "raise":
                raise RunPruned(verdict.reason)
        return verdict

    def _report_loss(self, outputs: Any, *, one_batch: bool) -> None:
        """Report the training loss of one step of a smoke run; nothing in other runs.

        Args:
            outputs: The loss, or a mapping with it under ``"loss"``; ``None`` if there is none.
            one_batch: Whether every step is on the same batch.
        """
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is not None and self._run is not None and self._run.smoke:
            self._run.report({BATCH_LOSS if one_batch else STEP_LOSS: loss})

    @property
    def _keeps_checkpoints(self) -> bool:
        """The user's choice whether to keep a checkpoint; by default the agent's advice."""
        if self._run is None:
            return False
        return self._run.keep_checkpoint if self._checkpoint is None else self._checkpoint

    def _missing(self, logged: Iterable[str], form: str = "") -> MetricMissingError:
        """Make the error for a metric that is not among the names ``logged``; ``form`` is what it lacks if it was."""
        names, name = sorted(logged), self._metric or ""
        return MetricMissingError(
            f"the trainer has not logged the metric {name!r}{form}{closest((self._names() or (name,))[-1], names)}; it "
            f"has logged {', '.join(map(repr, names)) or 'no metric at all'}. {self._remedy()}, or name another one in "
            "SweepCallback(metric=...)"
        )

    def _ask(self, logged: Mapping[str, Any], step: int, last: bool) -> Verdict | None:
        run = self._run
        if run is None:
            return None
        found = numbers(logged)
        if self._metric is not None:
            name = next((name for name in self._names() if name in found), None)
            if name is None:
                raise self._missing(found, "" if logged.keys().isdisjoint(self._names()) else " as a number")
            if run.metric is not None:
                found[run.metric] = found[name]
        return position_of(run).report(run, found, step, last=last)


_claims: WeakKeyDictionary[object, SweepCallbackBase] = WeakKeyDictionary()
"""The trainings that are about to begin, by trainer, with the callback of each."""


def active_run(given: Run | None, *, speak: bool = True) -> Run | None:
    """Return the given run, or the current one, or a new one; ``None`` without an agent, which one line says once."""
    known = given if given is not None else lightsweep.run
    run = lightsweep.init() if known is None else known
    if run.active:
        return run
    if known is None:
        run.finish()
    if speak:
        say_once("no agent serves this process, so SweepCallback reports nothing")
    return None


def _stands_in() -> bool:
    """Tell whether the script's ``wandb`` is lightsweep's."""
    return getattr(sys.modules.get("wandb"), "Run", None) is lightsweep.Run


@cache
def say_once(text: str) -> None:
    """Print a line on stderr, but the same one only once."""
    print(f"lightsweep: {text}", file=sys.stderr)


def two_callbacks(what: str) -> UsageError:
    """Make the error for a trainer with two callbacks, which would report each ``what`` twice."""
    return UsageError(f"the trainer has two SweepCallbacks, so each {what} would count twice: remove one")
