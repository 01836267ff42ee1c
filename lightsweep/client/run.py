"""The run, as a training script holds it."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lightsweep.channel.connection import Connection
from lightsweep.channel.messages import FinishRequest, Handler, LogReply, LogRequest, Numbers, StartReply
from lightsweep.client.history import FILE, History
from lightsweep.client.loaders import are_cut, cut_loaders, restore_loaders
from lightsweep.client.numbers import numbers, warn_misspelt
from lightsweep.client.parts import PARTS
from lightsweep.client.processes import described, from_child, rank_of_torch, several
from lightsweep.client.processes import rank as current_rank
from lightsweep.client.run_config import RunConfig
from lightsweep.errors import AgentLostError, LightsweepError, RunPruned, UsageError, absent
from lightsweep.hyperband import Verdict
from lightsweep.wandb.run_names import RunNames

_MOST_READ = 50
_GO_ON = Verdict()

_SHOWN = ("checkpoint", "config", "dir", "finish", "id", "log", "report", "resumed", "smoke", "summary", "verdict")
"""The names of a run that a message about a wrong one shows."""


class Run(RunNames):
    """One training run; made by ``init()``. It ends with its ``with`` block, with ``finish()`` or with the script.

    Attributes:
        id: The run's id, unique in the storage and fit for file names; a retry of a failed run keeps it.
        number: The run's number in its sweep, as tables show it: ``0001`` is the first. In a plain run the id.
        name: The run's name; may be set freely.
        sweep_id: The sweep's id; ``None`` for a plain run.
        config: The sweep's values over the defaults given to ``init``.
        summary: The last value of every number that was logged; may be written to, see `RunNames`.
        metric: Name of the sweep's metric; ``None`` if it has none.
        goal: ``"minimize"``, ``"maximize"``, or ``None`` without a metric.
        active: Whether an agent serves the run; False for a plain run.
        ended: Whether the run has ended.
        cut_short: Whether the run has ended as failed or pruned.
        lost: Whether the run has ended because its agent was gone.
        stopped_alone: Whether ``log`` has raised `RunPruned`, of which other ranks know nothing.
        ends_all: Whether the other ranks are to end with this process; may be set.
        swept: Dotted names of the parameters that the sweep searches.
        resumed: Whether this is another attempt at a run that was cut off.
        keep_checkpoint: Whether the run may be retried, so that a checkpoint is worth keeping.
        counted: Iterations that earlier attempts have reported.
        early_terminate: Whether the sweep may stop the run.
        smoke: Whether this is a smoke run: a trial of the script outside of any sweep.
        smoke_steps: Training steps of a smoke run, and batches of each pass over the data; 0 in other runs.
        led: Whether a ``SweepCallback`` alone reports the metric and ends the training, since W&B's callback for the
            trainer logs it too; may be set.
        logs_for_wandb: Whether the script has one of W&B's callbacks of `lightsweep.wandb.integration`; may be set.
        reported: Whether this process has logged the sweep's metric; without a metric, anything.
    """

    def __init__(
        self,
        agent: Handler | None,
        start: StartReply,
        config: Mapping[str, Any],
        *,
        first: bool = True,
        arguments_matter: bool = False,
        keeps_history: bool = True,
    ) -> None:
        stamp = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        self._agent = agent
        self._posts = agent if isinstance(agent, Connection) and first else None
        self.active = agent is not None
        self._pid = os.getpid()
        self._arguments_matter = arguments_matter
        self._directory = Path(start.dir if agent else Path("lightsweep_runs", "local", stamp)).absolute()
        self._reads: set[str] = set()
        self._stopped: Verdict | None = None
        self.ended = False
        self.cut_short = False
        self.lost = False
        self.reported = self.led = self.logs_for_wandb = False
        self.stopped_alone = self.ends_all = False
        self._at_end: list[Callable[[], None]] = []
        self._rank = current_rank()
        self._first = first
        self.id: str = start.id or stamp
        self.number: str = start.number or self.id
        self.name: str = start.name or self.id
        self.sweep_id: str | None = start.sweep
        self.swept: tuple[str, ...] = tuple(start.swept)
        self.config = RunConfig(config, start.set or self.swept, self._reads)
        self.metric: str | None = start.metric
        self.goal: str | None = start.goal
        self.resumed = start.resumed
        self.early_terminate = start.early_terminate
        self.smoke_steps = start.smoke
        self.smoke = self._cuts_loaders = self.smoke_steps > 0
        self._iterations = start.iterations
        self._next_band = start.next_band
        self._checkpoint: str | None = start.checkpoint
        self._resumes_counting = False
        self._repeated = 0
        self._no_numbers: dict[str, str] = {}
        self._warned = False
        self._keeps_history = keeps_history
        self._history: History | None = None
        self.keep_checkpoint = start.keep_checkpoint
        self.counted = start.counted
        self._set_up(resumed=start.resumed)

    @property
    def iterations(self) -> int:
        """Number of logs of the sweep's metric with a finite value, over all attempts; 0 in a plain run.

        A script that reads it is assumed to resume from there, see `report`.
        """
        self._resumes_counting = True
        return self._iterations

    @property
    def checkpoint(self) -> str | None:
        """Path of the checkpoint of an earlier attempt; a script that gets one is assumed to resume from it."""
        self._resumes_counting = self._resumes_counting or self._checkpoint is not None
        return self._checkpoint

    @property
    def inherited(self) -> bool:
        """Whether this process is a fork of the one that called ``init``."""
        return self._pid != os.getpid()

    @property
    def known_verdict(self) -> Verdict:
        """The verdict to stop if this process was told so, else the one to go on."""
        self.settle()
        return self._stopped or _GO_ON

    def settle(self) -> None:
        """Wait until the agent has answered all reports: before a checkpoint is kept that goes with the last one.

        Raises:
            AgentLostError: The agent is gone.
            LightsweepError: The agent refuses a report.
        """
        if self._posts is not None:
            for reply in self._posts.settle():
                self._take(reply)

    def follow(self, ended: Run) -> None:
        """Take over which parameters were read, if ``ended`` is the same run."""
        if ended.id == self.id:
            self._reads |= ended._reads

    def resume_counting(self) -> None:
        """Take every report as new: the caller itself skips what earlier attempts have reported."""
        self._resumes_counting = True

    @property
    def rank(self) -> int:
        """The rank of this process, also if torch.distributed or a fork has made it one of several after ``init()``.

        Of ranks above 0 nothing is recorded, except that they failed.
        """
        return self._rank or (current_rank() if self.inherited else rank_of_torch() or 0)

    def log(
        self,
        metrics: Mapping[str, Any] | None = None,
        step: int | None = None,
        commit: bool | None = None,
        sync: Any = None,
        *,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Report numbers by name; the run is judged by the sweep's metric among them.

        At a band the call waits for the verdict. Between bands it does not: what the agent answers, such as to stop
        since other runs have become better, is raised by the next call.

        Args:
            metrics: Names and numbers; nested dicts are joined with a dot. Images, tables, figures and other media are
                kept as files below ``run.dir``, texts in the summary; other values are left out.
            step: The step of the files; the agent itself counts how often the metric is logged.
            commit: Whether the step is complete; false leaves ``run.step`` as it is.
            sync: Accepted and ignored.
            data: W&B's name of ``metrics``.

        Raises:
            RunPruned: The run is to stop now. Every later call raises it again.
            AgentLostError: The agent is gone.
            LightsweepError: The agent refuses the numbers, or those of the call before.
            UsageError: The run has ended, or ``metrics`` is not a mapping.
        """
        del sync
        given: Any = metrics if data is None else data
        verdict = self.report(given, step, commit=commit, judged=not self.led)
        if verdict.stop and not self.led:
            self.stopped_alone = True
            raise RunPruned(verdict.reason)

    def report(
        self,
        metrics: Mapping[str, Any],
        step: int | None = None,
        *,
        last: bool = False,
        commit: bool | None = None,
        judged: bool = True,
    ) -> Verdict:
        """Report as ``log`` does, but return the verdict: for callbacks that must act alike on several ranks.

        If an earlier attempt has reported iterations, and the script never asked for ``iterations`` or a
        ``checkpoint``, it has begun from the start: it repeats those iterations, and they are not counted again.

        Args:
            metrics: See ``log``.
            step: See ``log``.
            last: Whether training ends after this report anyway. The run is then not judged by it: stopping would save
                nothing, and would lose the work that the script does after training.
            commit: See ``log``.
            judged: Whether the metric counts; the summary has it in any case.
        """
        if self.ended:
            raise UsageError(f"run {self.number} has ended: log before finish(), inside of the with block")
        if self._cuts_loaders:
            cut_loaders(self.smoke_steps)  # torch may have been imported after init()
        left: dict[str, Any] = {}
        found = told = numbers(metrics, self._no_numbers, self.metric, left)
        if self._rules is None:
            dict.update(self.summary, found)
        else:
            told = Numbers(self._summarized(found))
        repeats = judged and self._repeated < self.counted and self._repeats(told)
        if not judged or repeats:
            told = Numbers({name: value for name, value in told.items() if name != self.metric})
        rank = self.rank
        sends = (told or repeats) and not rank and self._agent is not None and self._stopped is None
        first = judged and not self._iterations and not self._warned
        posted = sends and not (last or repeats) and self._post(told)
        if not posted:
            self.settle()
        self.reported = self.reported or (bool(found) if self.metric is None else self.metric in found)
        if found and self._keeps_history and not rank and self._stopped is None:
            self._history = self._history or self._begin_history(counts=step is None)
        if step is not None:
            self._step = max(self._step, int(step))
        if left:
            self._keep(left, self._step)
        if found and self._history is not None and self._stopped is None and not (judged and self.led):
            self._history.log(self._step, found, complete=commit if commit is not None else step is None)
        if commit is not False:
            self._step += step is None
        if self._stopped is not None:
            return self._stopped
        if sends and first and self.metric is not None and self.metric not in told:
            self._warned = warn_misspelt(self.metric, told)
        if posted or not sends or self._agent is None:
            return _GO_ON
        return self._ask(self._agent, {"metrics": told, "last": True} if last else {"metrics": told})

    def verdict(self) -> Verdict:
        """Return the verdict without a report: another process of the run may have made the last one.

        Raises:
            AgentLostError: The agent is gone.
        """
        if self._stopped is None and self._agent is not None:
            return self._ask(self._agent, {"metrics": {}})
        return self._stopped or _GO_ON

    def cause(self, error: BaseException) -> BaseException:
        """Return the ``RunPruned`` or ``AgentLostError`` that ended another process of the run, else ``error``.

        A process that torch started leaves a text at most, and a rank above 0 whose rank 0 has stopped sees a broken
        connection; the agent knows whether it has told the run to stop.
        """
        of_rank_0 = isinstance(error, Exception) and not isinstance(error, LightsweepError) and self.rank and several()
        if not of_rank_0 and not from_child(error):
            return error
        try:
            found = self.verdict()
        except AgentLostError as lost:
            return lost
        except LightsweepError:
            return error
        return RunPruned(found.reason) if found.stop else error

    def leaves_others(self, error: BaseException) -> bool:
        """Tell whether ``error`` ends this rank alone, while others wait for it."""
        return isinstance(error, RunPruned) and self.stopped_alone and several()

    def finish(self, exit_code: int | None = 0) -> None:
        """End the run: as pruned if the verdict was to stop, as failed if ``exit_code`` is not 0, else as finished.

        A second call does nothing, nor does a call in a forked child.

        Raises:
            AgentLostError: The agent is gone.
            LightsweepError: The agent refuses.
        """
        if exit_code:
            self._end("failed", f"exit code {exit_code}")
        else:
            self._end("pruned" if self._stopped else "finished")

    join = finish

    def close(self, error: BaseException | None) -> None:
        """End the run in the state that ``error`` implies; errors of the connection are printed, not raised.

        ``RunPruned`` ends it as pruned, ``SystemExit`` by its code. Nothing is sent for ``KeyboardInterrupt``, since
        the agent knows which side was interrupted, nor for ``AgentLostError``.
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
                self._end("failed", described(error))
        except LightsweepError as problem:
            print(f"lightsweep: {problem}", file=sys.stderr)

    def leave_loaders_whole(self) -> None:
        """Let a smoke run see all batches of its loaders: for callbacks that limit their trainer in another way."""
        self._cuts_loaders = False
        restore_loaders()

    def on_end(self, action: Callable[[], None]) -> None:
        """Call ``action`` when the run has ended."""
        self._at_end.append(action)

    def _label(self, *_: Any, **__: Any) -> None:
        """Do nothing; Hugging Face's callback tells W&B by it that it is in use."""

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self.finish()
            return False
        ended_by = self.cause(error)
        self.ends_all = self.leaves_others(ended_by)
        if self.ends_all:
            return False  # a script that goes on would never meet them
        self.close(ended_by)
        if ended_by is not error and not isinstance(ended_by, RunPruned):
            raise ended_by from None
        return isinstance(ended_by, RunPruned)

    def __repr__(self) -> str:
        return f"<lightsweep run {self.id}{f' of sweep {self.sweep_id}' if self.sweep_id else ''}>"

    if not TYPE_CHECKING:  # else every name would pass for one that a run has

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            raise AttributeError(absent("a run of lightsweep", name, dir(self), _SHOWN))

    def _post(self, told: Numbers) -> bool:
        """Send numbers without waiting for the answer; tell whether they were sent.

        They are not if the run is judged by them at a band, or if it is to stop, which is known only now.
        """
        posts = self._posts
        if posts is None or self.inherited:
            return False
        counts = self._is_iteration(told)
        while self._stopped is None and not self._reaches_band(counts):
            replies = posts.post(told)
            if replies is None:
                self._iterations += counts
                return True
            for reply in replies:
                self._take(reply)
        return False

    def _ask(self, agent: Handler, message: LogRequest) -> Verdict:
        if not self._first or self.inherited:
            message["process"] = os.getpid()
        self.settle()
        reply = agent.log(message)
        self._take(reply)
        return reply.verdict

    def _take(self, reply: LogReply) -> None:
        """Take note of what the agent has answered."""
        self._iterations, self._next_band = reply.iterations, reply.next_band
        if reply.verdict.stop:
            self._stopped = reply.verdict
            if self._history is not None:
                self._history.flush()  # what follows may end the process at once

    def _is_iteration(self, found: Mapping[str, float]) -> bool:
        return self.metric is not None and math.isfinite(found.get(self.metric, math.nan))

    def _reaches_band(self, counts: bool) -> bool:
        """Tell whether the run is judged at a band by a report, which counts as an iteration or not."""
        band = self._next_band
        return band is not None and (band == 0 or (counts and self._iterations + 1 >= band))

    def _begin_history(self, *, counts: bool) -> History | None:
        """Begin the history if the run has a directory; without one, none is kept.

        Args:
            counts: Whether the run counts its steps itself. If it resumes, its steps follow those of earlier attempts.
        """
        if not self._directory.is_dir():
            self._keeps_history = False
            return None
        if counts and self.resumed and self._resumes_counting:
            self._step = max(self._step, self.starting_step)
        return History(self._directory / FILE)

    def _repeats(self, found: Mapping[str, float]) -> bool:
        """Tell whether the metric is among the numbers, and repeats an iteration of an earlier attempt."""
        if self._resumes_counting or self.metric is None or self.metric not in found:
            return False
        self._repeated += math.isfinite(found[self.metric])
        return True

    def _end(self, state: str | None, error: str | None = None) -> None:
        if self.ended or self.inherited:
            return
        if self._history is not None and (sentence := self._history.end()):
            self.summary["_history"] = sentence
            print(f"lightsweep: {sentence}", file=sys.stderr)
        self._write_summary()
        self.ended = True
        self.cut_short = state in ("failed", "pruned")
        refused: LightsweepError | None = None
        try:
            if state and (refused := self._settle_at_end(state)):
                state, error = "failed", error or str(refused)
                self.cut_short = True
            if state == "finished" and self._agent and self.rank == 0 and self.summary.written:
                self._report_summary(self._agent)
            if state and self._agent and (self.rank == 0 or state == "failed"):
                self._agent.finish(self._last_message(state, error))
            if refused:
                raise refused
        finally:
            for action in self._at_end:
                action()

    def _settle_at_end(self, state: str) -> LightsweepError | None:
        """Read the last replies; return the error if one refuses a report.

        A verdict to stop that was not known before came too late: the run has finished, or failed, without it.
        """
        known = self._stopped is not None
        try:
            self.settle()
        except AgentLostError:
            raise
        except LightsweepError as refused:
            return refused
        if state != "pruned" and not known and self._stopped is not None and self._agent is not None:
            self._stopped = None
            self._agent.log({"metrics": {}, "late": True})
        return None

    def _report_summary(self, agent: Handler) -> None:
        """Report the numbers that the script wrote to the summary; the metric only if it was never logged."""
        found = numbers({name: self.summary[name] for name in self.summary.written if name in self.summary})
        if self._iterations and self.metric is not None:
            found.pop(self.metric, None)  # before its JSON is made
        if found:
            self._ask(agent, {"metrics": found, "last": True})

    def _last_message(self, state: str, error: str | None) -> FinishRequest:
        prefix = f"rank {self.rank}: " if self.rank and error else ""
        # A script that never touched the config may have taken its parameters from its arguments.
        # Parts have configs of their own.
        unknown = (self._arguments_matter and not self._reads) or (self._directory / PARTS).exists()
        unread = None if unknown else [name for name in self.swept if name not in self._reads]
        message = FinishRequest(state=state, error=error and prefix + error, unread=unread)
        if self._no_numbers:
            message["no_numbers"] = self._no_numbers
        if unread and (read := sorted(self._reads.difference(self.swept))[:_MOST_READ]):
            message["read"] = read
        if state == "failed" and are_cut():
            message["cut"] = True
        if self.ends_all:
            message["alone"] = True
        return message
