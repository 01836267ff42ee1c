"""A handler that answers from a script and remembers what it was asked; shared by the suites that play the agent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from lightsweep.channel.messages import LogReply, StartReply
from lightsweep.hyperband import Verdict


class ScriptedHandler:
    """Plays the agent for one run.

    Args:
        values: The sweep's values, nested; laid over the defaults at every depth.
        swept: Dotted names of the searched parameters.
        stop_at: The call of ``log``, counted from 1, from which on the answer is to stop; ``None``: never.
        answer: Further keys for the answer to ``start``.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        swept: tuple[str, ...] = (),
        stop_at: int | None = None,
        **answer: Any,
    ) -> None:
        self.values = dict(values or {})
        self.swept = swept
        self.stop_at = stop_at
        self.extra = answer
        self.starts: list[dict[str, Any]] = []
        self.logs: list[dict[str, Any]] = []
        self.finishes: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def start(self, message: Mapping[str, Any]) -> StartReply:
        with self._lock:
            self.starts.append(dict(message))
        fields = {
            "id": "0007",
            "sweep": "digits-ab12",
            "name": "digits-ab12/0007",
            "config": overlay(message["defaults"], self.values),
            "swept": list(self.swept),
            "dir": "run-0007",
            "metric": "val_loss",
            "goal": "minimize",
            "early_terminate": True,
            **self.extra,
        }
        return StartReply(**fields)

    def log(self, message: Mapping[str, Any]) -> LogReply:
        with self._lock:
            self.logs.append(dict(message))
            count = len(self.logs)
        stop = self.stop_at is not None and count >= self.stop_at and not message.get("last")
        return LogReply(Verdict(stop, "0.9 is worse than 0.5 at band 3" if stop else ""), count)

    def finish(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            self.finishes.append(dict(message))


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` over ``below``, dicts merged at every depth."""
    result = dict(below)
    for name, value in above.items():
        under = result.get(name)
        both = isinstance(value, Mapping) and isinstance(under, Mapping)
        result[name] = overlay(under, value) if both else value
    return result
