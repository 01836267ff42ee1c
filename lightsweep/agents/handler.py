"""What an agent answers to one run: its config, the verdicts, and what it says at its end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightsweep.agents.checkpoint import kept_checkpoint, may_be_preempted
from lightsweep.agents.overlay import overlay
from lightsweep.channel import FinishRequest, LogReply, LogRequest, StartReply, StartRequest
from lightsweep.controller import ClaimedRun, Reporter, Sweep
from lightsweep.controller.runs import nested
from lightsweep.schema import SweepConfig

__all__ = ["RunHandler", "start_reply"]


def start_reply(
    config: SweepConfig,
    message: StartRequest,
    values: Mapping[str, Any],
    *,
    run: str,
    sweep: str,
    directory: Path,
    **fields: Any,
) -> StartReply:
    """Return what a script gets of a run with these flat ``values``; ``fields`` are the others of `StartReply`."""
    return StartReply(
        id=run,
        sweep=sweep,
        name=f"{config.name or sweep}-{run}",
        config=overlay(message.get("defaults") or {}, nested(values, config)),
        swept=config.searched([values]),
        set=config.names([values]),
        dir=str(directory),
        metric=config.metric.name if config.metric else None,
        goal=config.metric.goal if config.metric else None,
        **fields,
    )


class RunHandler:
    """Serves one attempt of a run, over the channel or in the process itself.

    Attributes:
        run: The run.
        connected: Whether the script ever called ``init``.
        said: The script's ``finish`` message; empty before.
    """

    def __init__(self, sweep: Sweep, run: ClaimedRun, reporter: Reporter, directory: Path) -> None:
        self._sweep = sweep
        self._reporter = reporter
        self._directory = directory
        self._lock = threading.Lock()
        self._counted = len(run.history)
        self.run = run
        self.connected = False
        self.said: FinishRequest = {}

    def start(self, message: StartRequest) -> StartReply:
        """The run's config: the script's defaults with the sweep's values over them."""
        config, run = self._sweep.config, self.run
        self.connected = True
        return start_reply(
            config,
            message,
            run.values,
            run=run.id,
            sweep=self._sweep.id,
            directory=self._directory,
            resumed=run.attempt > 1,
            iterations=len(run.history),
            counted=self._counted,
            early_terminate=self._sweep.bands_of(run.ticket) is not None,
            checkpoint=kept_checkpoint(self._directory),
            keep_checkpoint=run.attempt > 1 or config.options.max_retries > 0 or may_be_preempted(),
        )

    def log(self, message: LogRequest) -> LogReply:
        """Report the numbers; the verdict."""
        verdict = self._reporter.report(self.run, message["metrics"], last=bool(message.get("last")))
        return LogReply(verdict, len(self.run.history))

    def finish(self, message: FinishRequest) -> None:
        """Keep the script's last word; the first one that failed stays."""
        with self._lock:
            if self.said.get("state") != "failed":
                self.said = message
