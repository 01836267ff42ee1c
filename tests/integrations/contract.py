"""The contract of every integration: a scripted sequence of values in, reports and an end out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import lightsweep
from lightsweep import client
from lightsweep.channel.messages import LogReply
from lightsweep.errors import LightsweepError
from lightsweep.stopping import Median, Rule
from scripted import ScriptedHandler

__all__ = ["CASES", "Case", "Ended", "Integration", "play"]

NAN = math.nan


class Integration(Protocol):
    """Plugs a trainer into the contract."""

    metric: str
    """The name under which it logs the value of the script."""

    def train(self, values: Sequence[float], *, hook: Callable[[int], None], on_prune: str, log: bool) -> None:
        """Train anew in the current run: the n-th validation logs ``values[n]``, and nothing where not ``log``.

        ``hook`` is the user's own, called with n in each training epoch before its validation.
        """


@dataclass(frozen=True)
class Case:
    """A script and what must come of it.

    Attributes:
        values: What the validations yield, one training after the other.
        stop_at: The report that the agent answers with stop.
        rule: Judges the reports in place of ``stop_at``, beside other runs that have gone before.
        reported: What the agent gets.
        state: The state that the run reported; ``None`` without an agent.
        raises: What the training ends by, as the user sees it inside of the ``with`` block.
        epochs: Begun, of each training.
        hook_raises: The epoch at which the user's hook raises.
        log: Whether the script logs the metric.
        agent: Whether an agent serves the run.
        on_prune: As given to the callback.
        counted: Iterations of the attempt before.
    """

    values: Sequence[Sequence[float]]
    reported: Sequence[float]
    state: str | None
    epochs: Sequence[int]
    stop_at: int | None = None
    rule: Rule | None = None
    raises: str | None = None
    hook_raises: int | None = None
    log: bool = True
    agent: bool = True
    on_prune: str = "raise"
    counted: int = 0


CASES: Mapping[str, Case] = {
    "to its end": Case([[3, 2, 1]], [3, 2, 1], "finished", [3]),
    "stopped at the first": Case([[3, 2, 1]], [3], "pruned", [1], stop_at=1, raises="RunPruned"),
    "stopped in the middle": Case([[3, 2, 1, 0]], [3, 2], "pruned", [2], stop_at=2, raises="RunPruned"),
    "a verdict that comes with the end": Case([[3, 2, 1]], [3, 2, 1], "finished", [3], stop_at=3),
    "stopped by the flag": Case([[3, 2, 1, 0]], [3, 2], "pruned", [2], stop_at=2, on_prune="stop"),
    "stopped by a rule": Case([[3, 2, 2, 2]], [3, 2, 2], "pruned", [3], rule=Median(min_iter=3), raises="RunPruned"),
    "NaN at a band": Case([[3, NAN, 1]], [3, NAN], "pruned", [2], stop_at=2, raises="RunPruned"),
    "NaN on the way": Case([[3, NAN, math.inf, 1]], [3, NAN, math.inf, 1], "finished", [4]),
    "a hook that raises": Case([[3, 2, 1]], [3], "failed", [2], hook_raises=1, raises="ZeroDivisionError"),
    "no metric": Case([[3, 2]], [], "failed", [1], log=False, raises="MetricMissingError"),
    "no agent": Case([[3, 2, 1]], [], None, [3], agent=False),
    "no agent and no metric": Case([[3, 2]], [], None, [2], agent=False, log=False),
    "two trainings": Case([[3, 2], [1, 0]], [3, 2, 1, 0], "finished", [2, 2]),
    "the second is stopped": Case([[3, 2], [1, 0]], [3, 2, 1], "pruned", [2, 1], stop_at=3, raises="RunPruned"),
    "begun anew after a crash": Case([[4, 3, 2, 1]], [2, 1], "finished", [4], counted=2),
    "a crash after the last": Case([[2, 1]], [], "finished", [2], counted=2),
    "NaN before a crash": Case([[4, NAN, 3, 2, 1]], [2, 1], "finished", [5], counted=2),
}


@dataclass
class Ended:
    """The end of a script; ``exit_code`` as a process would end, ``raised`` is the class of its exception."""

    reported: list[float] = field(default_factory=list)
    state: str | None = None
    raised: str | None = None
    epochs: list[int] = field(default_factory=list)
    exit_code: int = 0


class _Counting(ScriptedHandler):
    """Counts as an agent does: a message without the metric does not count as a report."""

    def __init__(self, metric: str, rule: Rule | None, **options: Any) -> None:
        super().__init__(metric=metric, **options)
        self.metric = metric
        self.curves = rule.comparison("minimize") if rule is not None else None
        for number in range(8) if self.curves is not None else ():
            self.curves.note(str(number), [3.0, 2.0, 1.0 + 0.01 * number, 0.9, 0.8])
            self.curves.end(str(number))

    def log(self, message: Mapping[str, Any]) -> LogReply:
        if self.metric not in message["metrics"]:
            return LogReply(iterations=len(self.logs))
        reply = super().log(message)
        if self.curves is not None and not message.get("last"):
            history = [each["metrics"][self.metric] for each in self.logs]
            return LogReply(self.curves.judge("mine", history), len(history), self.curves.after(len(history)))
        return reply


def play(integration: Integration, case: Case, directory: Path) -> Ended:
    """Let the integration train as the case says, in this process."""
    ended = Ended()
    handler = _Counting(
        integration.metric,
        case.rule,
        stop_at=case.stop_at,
        dir=str(directory),
        resumed=case.counted > 0,
        counted=case.counted,
        iterations=case.counted,
    )

    def hook(epoch: int) -> None:
        ended.epochs[-1] = epoch + 1
        if epoch == case.hook_raises:
            raise ZeroDivisionError("of the user")

    with ExitStack() as stack:
        if case.agent:
            stack.enter_context(client.serving(handler))
        try:
            with lightsweep.init():
                try:
                    for values in case.values:
                        ended.epochs.append(0)
                        integration.train(values, hook=hook, on_prune=case.on_prune, log=case.log)
                except BaseException as error:
                    ended.raised = type(error).__name__
                    raise
        except (LightsweepError, ArithmeticError):
            ended.exit_code = 1  # as the interpreter would end
    ended.reported = [log["metrics"][integration.metric] for log in handler.logs]
    ended.state = handler.finishes[0]["state"] if handler.finishes else None
    return ended
