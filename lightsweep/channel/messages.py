"""The messages between a run and its agent, as they are on the wire, and the handler that answers them.

A new field has its place here alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple, Protocol, TypedDict

from lightsweep.errors import LightsweepError
from lightsweep.hyperband import Verdict

encoded = json.JSONEncoder(separators=(",", ":")).encode
"""Return the JSON of a value, in the fewest characters; NaN and infinities as Python writes them."""

POST = "post"
"""The operation of a log whose reply is read later: an empty one, unless it has more to tell than the iterations."""

_FEW = 8


class StartRequest(TypedDict, total=False):
    """A process of the run calls ``init``.

    Attributes:
        defaults: The config passed to ``init``, nested.
        process: The number of the process; absent if it is of a rank above 0.
    """

    defaults: dict[str, Any]
    process: int


class StartReply(NamedTuple):
    """The run, as its script gets it.

    Attributes:
        id: The run's id, unique in the storage.
        number: The run's number, unique in its sweep.
        sweep: The sweep's id.
        name: The run's name.
        config: The sweep's values over the script's defaults, nested.
        swept: Dotted names of the parameters that the sweep searches.
        set: Dotted names of all parameters that the sweep gives.
        dir: The run's directory.
        metric: Name of the sweep's metric; ``None`` if it has none.
        goal: ``"minimize"``, ``"maximize"``, or ``None`` without a metric.
        resumed: Whether this is another attempt at a run that was cut off.
        iterations: Iterations that were reported so far, over all attempts.
        counted: Iterations that earlier attempts have reported.
        early_terminate: Whether the sweep may stop the run.
        next_band: See `LogReply`.
        checkpoint: Path of the checkpoint that an earlier attempt has left.
        keep_checkpoint: Whether the run may be retried, so that a checkpoint is worth keeping.
        smoke: Steps of a trial of the script; 0 in a run that counts.
        first: Whether no other process of the run has called ``init`` before, in this attempt.
    """

    id: str = ""
    number: str = ""
    sweep: str | None = None
    name: str = ""
    config: Mapping[str, Any] = {}
    swept: Sequence[str] = ()
    set: Sequence[str] = ()
    dir: str = ""
    metric: str | None = None
    goal: str | None = None
    resumed: bool = False
    iterations: int = 0
    counted: int = 0
    early_terminate: bool = False
    next_band: int | None = 0
    checkpoint: str | None = None
    keep_checkpoint: bool = False
    smoke: int = 0
    first: bool = True

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> StartReply:
        """Return the reply in a message."""
        return cls(**_known(cls, message))

    def message(self) -> dict[str, Any]:
        """Return the message; :meth:`read` is its inverse."""
        return self._asdict()


class Numbers(dict[str, float]):
    """Numbers by name with their JSON, which is made once: they must not change after that."""

    __slots__ = ("_text",)

    @property
    def text(self) -> str:
        """The JSON object; see `encoded`."""
        if not hasattr(self, "_text"):
            self._text: str = self._short() if len(self) <= _FEW else encoded(self)
        return self._text

    def _short(self) -> str:
        """Return the same: for few numbers this takes half the time."""
        parts = []
        for name, value in self.items():
            if not math.isfinite(value):
                return encoded(self)
            parts.append(f"{encode_basestring_ascii(name)}:{value!r}")
        return "{" + ",".join(parts) + "}"


class LogRequest(TypedDict, total=False):
    """A log of a script.

    Attributes:
        metrics: Numbers by flat name; none if the script only asks for the verdict.
        last: Whether training ends by itself now, so that the run is not judged; absent if not.
        process: The number of the process; absent if it is the first of the run that called ``init``.
        preempting: Whether the run is to be retried if its process fails from now on; absent if not.
        anew: Whether the reports of the metric before this one count no more; absent if they do.
        late: Whether training has ended without knowing of a verdict to stop, so that the verdict counts no more;
            absent if not.
        posted: Whether the script reads the answer with its next message only; absent if not.
    """

    metrics: dict[str, float]
    last: bool
    process: int
    preempting: bool
    anew: bool
    late: bool
    posted: bool


class LogReply(NamedTuple):
    """The answer to a log.

    Attributes:
        verdict: Whether to stop, and why.
        iterations: Iterations that were reported so far, over all attempts.
        next_band: The iteration from which on the script waits for the verdict on a report: the next band, or ``None``
            if there is none. 0, also of an older agent, is every iteration.
    """

    verdict: Verdict = Verdict()
    iterations: int = 0
    next_band: int | None = 0

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> LogReply:
        """Return the reply in a message."""
        given = message.get("verdict")
        verdict = Verdict(**_known(Verdict, given)) if given else _BELOW_A_BAND
        return cls(verdict, message.get("iterations", 0), message.get("next_band", 0))

    def message(self) -> dict[str, Any]:
        """Return the message; it has no verdict to go on between bands."""
        verdict = self.verdict
        told = verdict.stop or verdict.band == self.iterations
        found = {"iterations": self.iterations, "next_band": self.next_band}
        return {**found, "verdict": verdict._asdict()} if told else found


_BELOW_A_BAND = Verdict()


def _known(kind: Any, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message that this version knows: script and agent may have different ones."""
    return {name: message[name] for name in kind._fields if name in message}


class FinishRequest(TypedDict, total=False):
    """The end of a script.

    Attributes:
        state: ``"finished"``, ``"pruned"`` or ``"failed"``.
        error: Why it failed.
        unread: Dotted names of the searched parameters that the script never read; ``None`` if unknown.
        no_numbers: Names that were logged as something else than a number, and as what.
        read: If some were never read: other names that the script asked the config for.
        cut: Whether the data loaders of a smoke run that failed were cut short.
        alone: Whether rank 0 was stopped alone and has done all of its work: the agent is to kill the other ranks.
    """

    state: str
    error: str | None
    unread: list[str] | None
    no_numbers: dict[str, str]
    read: list[str]
    cut: bool
    alone: bool


class Handler(Protocol):
    """The agent's side of one run.

    Methods are called from the server's threads, one thread per connection: several at once if a run has several
    processes. A ``LightsweepError`` reaches the run with its message.
    """

    def start(self, message: StartRequest) -> StartReply:
        """Answer the first message of a process of the run: its defaults in, the config out."""

    def log(self, message: LogRequest) -> LogReply:
        """Take metrics in, and give the verdict."""

    def finish(self, message: FinishRequest) -> None:
        """Take note that the run has ended by itself."""


class Guarded:
    """Turns a fault of a handler, called in the block, into ``LightsweepError``; agent and connection go on.

    Args:
        operation: The name of the handler's method, for the message.
    """

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, LightsweepError):
            import logging  # here, since a training process has no use for it

            logging.getLogger("lightsweep").error("the agent failed on %r of a run", self._operation, exc_info=error)
            raise LightsweepError(f"the agent failed on {self._operation!r}: {type(error).__name__}: {error}") from None
