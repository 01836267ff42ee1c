"""What an agent answers to one run: its config, the verdicts, and what it says at its end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightsweep.agents.checkpoint import kept_checkpoint, may_be_preempted
from lightsweep.agents.overlay import overlay
from lightsweep.controller import LiveRun, Reporter, Sweep

__all__ = ["LAST_WORDS", "RunHandler"]

LAST_WORDS = ("state", "error", "unread", "no_numbers")
"""What a script says at its end."""


class RunHandler:
    """Serves one attempt of a run, over the channel or in the process itself.

    Attributes:
        run: The run.
        connected: Whether the script ever called ``init``.
        said: The script's last word: `LAST_WORDS` of its ``finish`` message; empty before.
    """

    def __init__(self, sweep: Sweep, run: LiveRun, reporter: Reporter, directory: Path) -> None:
        self._sweep = sweep
        self._reporter = reporter
        self._directory = directory
        self._lock = threading.Lock()
        self._counted = len(run.history)
        self.run = run
        self.connected = False
        self.said: dict[str, Any] = {}

    def start(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The run's config: the script's defaults with the sweep's values over them."""
        config, metric = self._sweep.config, self._sweep.config.metric
        self.connected = True
        return {
            "id": self.run.id,
            "sweep": self._sweep.id,
            "name": f"{config.name or self._sweep.id}-{self.run.id}",
            "config": overlay(message.get("defaults") or {}, self.run.config),
            "swept": [parameter.name for parameter in config.space.searched],
            "set": [parameter.name for parameter in config.space.parameters],
            "dir": str(self._directory),
            "resumed": self.run.attempt > 1,
            "iterations": len(self.run.history),
            "metric": metric.name if metric else None,
            "goal": metric.goal if metric else None,
            "early_terminate": self._sweep.bands_of(self.run.ticket) is not None,
            "checkpoint": kept_checkpoint(self._directory),
            "keep_checkpoint": self.run.attempt > 1 or config.options.max_retries > 0 or may_be_preempted(),
            "counted": self._counted,
            "smoke": False,
        }

    def log(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Report the numbers; the verdict."""
        verdict = self._reporter.report(self.run, message["metrics"])
        return {
            "stop": verdict.stop,
            "reason": verdict.reason if verdict.stop else "",
            "iterations": len(self.run.history),
        }

    def finish(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the script's last word; the first one that failed stays."""
        with self._lock:
            if self.said.get("state") != "failed":
                self.said = {key: message[key] for key in LAST_WORDS if key in message}
        return {"ok": True}
