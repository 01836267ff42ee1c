"""The run, as a training script holds it."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lightsweep.channel import Handler, StartReply, answer
from lightsweep.client.ends import cause, words
from lightsweep.client.metrics import numbers
from lightsweep.client.ranks import rank as current_rank
from lightsweep.client.run_config import Reads, RunConfig
from lightsweep.errors import AgentLostError, LightsweepError, RunPruned, UsageError, absent, closest

__all__ = [
    "BATCH_LOSS",
    "SMOKE_STEPS",
    "STEP_LOSS",
    "Decision",
    "InProcess",
    "Link",
    "Run",
    "are_cut",
    "cut_loaders",
    "whole_loaders",
]

BATCH_LOSS = "lightsweep/batch_loss"
"""The name under which a callback reports the training loss of each step where all are on the same batch."""

STEP_LOSS = "lightsweep/step_loss"
"""The same where each step is on another batch."""

SMOKE_STEPS = 20
"""How many steps a smoke run takes unless told otherwise: those of a trainer, or batches of a pass over a loader."""

_whole: list[Callable[[], None]] = []


def cut_loaders(batches: int) -> None:
    """Let each pass over a ``DataLoader`` of torch end after so many batches, if the script has imported it."""
    kind: Any = getattr(sys.modules.get("torch.utils.data"), "DataLoader", None)
    if kind is None or _whole:
        return
    passes, length = kind.__iter__, kind.__len__

    def restore() -> None:
        kind.__iter__, kind.__len__ = passes, length

    _whole.append(restore)
    kind.__iter__ = lambda loader: islice(passes(loader), batches)
    kind.__len__ = lambda loader: min(length(loader), batches)


def are_cut() -> bool:
    """Whether loaders are cut in this process."""
    return bool(_whole)


def whole_loaders() -> None:
    """Let loaders give all of their batches again."""
    while _whole:
        _whole.pop()()


class Link(Protocol):
    """Carries a message to the agent and its answer back."""

    def request(self, op: str, **message: Any) -> dict[str, Any]:
        """The answer; ``AgentLostError`` or ``LightsweepError`` as ``lightsweep.channel.Connection.request``."""


class InProcess:
    """The handler of an agent that runs the training function in its own process."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._pid = os.getpid()

    def request(self, op: str, **message: Any) -> dict[str, Any]:
        """The handler's answer.

        Raises:
            LightsweepError: The handler answers with an error.
            UsageError: Called in a forked child, whose copy of the handler must not touch the agent's storage.
        """
        if os.getpid() != self._pid:
            raise UsageError("a run of a training function can be logged to from the function's own process only")
        reply = answer(self._handler, {"op": op, **message})
        if "error" in reply:
            raise LightsweepError(str(reply["error"]))
        return reply


_LONGEST_ERROR = 2000
_MOST_READ = 50
_MISSPELT = 0.8
_STANDARD_LIBRARY = os.path.dirname(os.__file__)  # noqa: PTH120 - compared as text


class Decision(NamedTuple):
    """The verdict on a run: whether to stop, and why in words and numbers (empty while it goes on)."""

    stop: bool
    reason: str


class Run:
    """One training run; made by ``init()``. Leaving its ``with`` block, ``finish()`` or the end of the script ends it.

    Attributes:
        id: The run's id; a retry of a failed run has the id of the run.
        name: What the run is called; may be set freely.
        sweep_id: The sweep's id; ``None`` for a plain run.
        config: The sweep's values over the defaults given to ``init``.
        summary: The last value of every number that was logged; may be written to.
        metric: Name of the sweep's metric; ``None`` where it has none.
        goal: ``"minimize"``, ``"maximize"``, or ``None`` where there is no metric.
        lost: Whether the run has ended because its agent was gone.
        swept: Dotted names of the parameters that the sweep searches.
        resumed: Whether this is another attempt at a run that was cut off.
        keep_checkpoint: Whether the run may be started again, so that a checkpoint is worth keeping.
        counted: Iterations that attempts before this one have reported.
        early_terminate: Whether the sweep may stop the run.
        smoke: Whether this is a trial of the script rather than a run that counts.
        smoke_steps: How many steps of training a trial takes, and batches of each pass over the data; 0 in other runs.
    """

    def __init__(
        self,
        link: Link | None,
        answer: StartReply,
        config: Mapping[str, Any],
        *,
        rank: int = 0,
        arguments_matter: bool = False,
    ) -> None:
        stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self._link = link
        self._pid = os.getpid()
        self._arguments_matter = arguments_matter
        self._directory = Path(answer.dir if link else Path("lightsweep_runs", "local", stamp)).absolute()
        self._reads = Reads()
        self._stopped: Decision | None = None
        self._ended = False
        self.lost = False
        self._at_end: list[Callable[[], None]] = []
        self._rank = rank
        self.id: str = answer.id or stamp
        self.name: str = answer.name or self.id
        self.sweep_id: str | None = answer.sweep
        self.swept: tuple[str, ...] = tuple(answer.swept)
        self.config = RunConfig(config, answer.set or self.swept, self._reads)
        self.summary: dict[str, Any] = {}
        self.metric: str | None = answer.metric
        self.goal: str | None = answer.goal
        self.resumed = answer.resumed
        self.early_terminate = answer.early_terminate
        self.smoke_steps = answer.smoke
        self.smoke = self._cuts_loaders = self.smoke_steps > 0
        self._iterations = answer.iterations
        self._checkpoint: str | None = answer.checkpoint
        self._goes_on = False
        self._repeated = 0
        self._no_numbers: dict[str, str] = {}
        self._warned = False
        self.keep_checkpoint = answer.keep_checkpoint
        self.counted = answer.counted

    @property
    def active(self) -> bool:
        """Whether an agent serves the run; False for a plain run."""
        return self._link is not None

    @property
    def iterations(self) -> int:
        """How often the sweep's metric was logged with a finite number, over all attempts; 0 in a plain run.

        A script that asks is taken to go on from there.
        """
        self._goes_on = True
        return self._iterations

    @property
    def checkpoint(self) -> str | None:
        """Path of what an attempt before has left to resume from; a script that gets one is taken to go on from it."""
        self._goes_on = self._goes_on or self._checkpoint is not None
        return self._checkpoint

    def go_on(self) -> None:
        """Take every report as new: the caller keeps its own count of what earlier attempts have reported."""
        self._goes_on = True

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self._ended

    @property
    def rank(self) -> int:
        """The process's rank, also where it became one of several only after ``init()``.

        Of any but rank 0 nothing is recorded, except that it failed.
        """
        return self._rank or current_rank()

    @property
    def dir(self) -> Path:
        """The run's own directory, absolute; it exists."""
        self._directory.mkdir(parents=True, exist_ok=True)
        return self._directory

    def log(self, metrics: Mapping[str, Any], step: int | None = None, commit: Any = None, sync: Any = None) -> None:
        """Report numbers by name; the sweep's metric among them is what the run is judged by.

        Args:
            metrics: Names and numbers; nested dicts are joined with a dot, what is no number is left out.
            step: Accepted for scripts written for W&B and ignored, as are ``commit`` and ``sync``: the agent counts how
                often the metric is logged.
            commit: See ``step``.
            sync: See ``step``.

        Raises:
            RunPruned: The run should stop now. Every later call raises it again.
            AgentLostError: The agent is gone.
            UsageError: The run is over, or ``metrics`` is no mapping.
        """
        del step, commit, sync
        decision = self.report(metrics)
        if decision.stop:
            raise RunPruned(decision.reason)

    def report(self, metrics: Mapping[str, Any], step: int | None = None, *, last: bool = False) -> Decision:
        """The same as ``log``, but the verdict is returned: for callbacks that must act alike on several ranks.

        With ``last`` training ends by itself after this report, so that the run is not judged by it: nothing is left
        to save, and what the script does after training is not lost.

        Where an attempt before this one has reported iterations, and the script never asked for ``iterations`` or a
        ``checkpoint``, it has begun from the start: it repeats those iterations, and they are not counted again.
        """
        del step
        if self._ended:
            raise UsageError(f"run {self.id} is over; log before finish(), inside of the with block")
        if self._cuts_loaders:
            cut_loaders(self.smoke_steps)  # torch may have been imported after init()
        found = numbers(metrics, self._no_numbers, self.metric)
        self.summary.update(found)
        if self._stopped is not None:
            return self._stopped
        if not found or self._link is None or self.rank:
            return Decision(False, "")
        if self._repeats(found):
            del found[str(self.metric)]
        if not self._iterations and not self._warned and self.metric is not None and self.metric not in found:
            self._warn_misspelt(self.metric, found)
        answer = self._link.request("log", metrics=found, **({"last": True} if last else {}))
        self._iterations = int(answer.get("iterations", self._iterations))
        decision = Decision(bool(answer.get("stop")), str(answer.get("reason") or ""))
        if decision.stop:
            self._stopped = decision
        return decision

    def _warn_misspelt(self, metric: str, found: Mapping[str, float]) -> None:
        """Say at once that the metric may have another name here, rather than after the whole training."""
        if closest(metric, found, cutoff=_MISSPELT):
            self._warned = True
            names = ", ".join(map(repr, found))
            print(
                f"lightsweep: this log has no {metric!r}, the metric of the sweep, but {names}"
                f"{closest(metric, found)} Unless {metric!r} is logged too, the run will fail",
                file=sys.stderr,
            )

    def _repeats(self, found: Mapping[str, float]) -> bool:
        """Whether the metric is among the numbers, and repeats an iteration that was counted in an earlier attempt."""
        if self._goes_on or self._repeated >= self.counted or self.metric is None or self.metric not in found:
            return False
        self._repeated += math.isfinite(found[self.metric])
        return True

    def verdict(self) -> Decision:
        """Whether the run should stop by now, asked without a report: another process of it may have made the last.

        Raises:
            AgentLostError: The agent is gone.
        """
        if self._stopped is None and self._link is not None:
            answer = self._link.request("log", metrics={})
            if answer.get("stop"):
                self._stopped = Decision(True, str(answer.get("reason") or ""))
        return self._stopped or Decision(False, "")

    def cause(self, error: BaseException) -> BaseException:
        """``error``, or the ``RunPruned`` or ``AgentLostError`` by which processes that torch started have ended."""
        return cause(error, lambda: self.verdict().reason)

    def finish(self, exit_code: int | None = 0) -> None:
        """End the run: finished, stopped early if the verdict was so, or failed with another exit code than 0.

        A second call does nothing, and so does a call in a forked child.

        Raises:
            AgentLostError: The agent is gone.
            LightsweepError: The agent refuses.
        """
        if exit_code:
            self._end("failed", f"exit code {exit_code}")
        else:
            self._end("pruned" if self._stopped else "finished")

    def close(self, error: BaseException | None) -> None:
        """End the run as what ``error`` makes of it; what is then raised by the agent's absence is only printed.

        ``RunPruned`` is a run that was stopped early, ``SystemExit`` counts by its code. Nothing is sent for
        ``KeyboardInterrupt`` (the agent knows who was interrupted) and ``AgentLostError``.
        """
        if isinstance(error, (KeyboardInterrupt, AgentLostError)):
            self.lost = isinstance(error, AgentLostError)
            self._end(None)
            return
        try:
            if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
                self.finish()
            elif isinstance(error, RunPruned):
                self._end("pruned")
            else:
                self._end("failed", _described(error))
        except LightsweepError as problem:
            print(f"lightsweep: {problem}", file=sys.stderr)

    def leave_loaders_whole(self) -> None:
        """Let a smoke run see all batches of its loaders: for callbacks, whose trainers are limited in other ways."""
        self._cuts_loaders = False
        whole_loaders()

    def on_end(self, action: Callable[[], None]) -> None:
        """Call ``action`` once the run is over."""
        self._at_end.append(action)

    def watch(self, *_: Any, **__: Any) -> None:
        """Accepted for scripts written for W&B; does nothing."""

    unwatch = define_metric = save = alert = log_code = log_artifact = watch

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self.finish()
            return False
        ended_by = self.cause(error)
        self.close(ended_by)
        if ended_by is not error and not isinstance(ended_by, RunPruned):
            raise ended_by from None
        return isinstance(ended_by, RunPruned)

    def __repr__(self) -> str:
        return f"<lightsweep run {self.id}{f' of sweep {self.sweep_id}' if self.sweep_id else ''}>"

    if not TYPE_CHECKING:  # or every name would pass for one that a run has

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise AttributeError(absent("a run of lightsweep", name, dir(self)))

    def _unread(self) -> list[str] | None:
        """Swept names that were never read; ``None`` where the script may have taken them from its arguments."""
        if self._arguments_matter and not self._reads.touched:
            return None
        return self._reads.unread(self.swept)

    def _end(self, state: str | None, error: str | None = None) -> None:
        if self._ended or self._pid != os.getpid():
            return
        self._ended = True
        try:
            if state and self._link and (self.rank == 0 or state == "failed"):
                where = f"rank {self.rank}: " if self.rank and error else ""
                unread = self._unread()
                more: dict[str, Any] = {"no_numbers": self._no_numbers} if self._no_numbers else {}
                if unread and (read := sorted(self._reads.names.difference(self.swept))[:_MOST_READ]):
                    more["read"] = read
                if state == "failed" and are_cut():
                    more["cut"] = True
                self._link.request("finish", state=state, error=error and where + error, unread=unread, **more)
        finally:
            for action in self._at_end:
                action()


def _described(error: BaseException) -> str:
    """Class, message and line of an exception: ``ValueError: no data (train.py:12)``.

    The line is the innermost one of the user's own code, or else the innermost of all.
    """
    places: list[str] = []
    own: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        places.append(f" ({Path(file).name}:{trace.tb_lineno})")
        if not _is_library(file, str(trace.tb_frame.f_globals.get("__name__"))):
            own.append(places[-1])
        trace = trace.tb_next
    return words(error)[:_LONGEST_ERROR] + (own or places or [""])[-1]


def _is_library(file: str, module: str) -> bool:
    """Whether code is of this package, of an installed one, of the standard library, or of no file at all."""
    installed = file.startswith(("<", _STANDARD_LIBRARY)) or not {"site-packages", "dist-packages"}.isdisjoint(
        Path(file).parts
    )
    return installed or module.partition(".")[0] == "lightsweep"
