"""Sweeps made of plain data, of any size and kind."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lightsweep.controller import ClaimedRun, Outcome, RunState, Sweep, SweepRun
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.schema import SweepConfig
from lightsweep.storage import open_storage

START = datetime(2026, 3, 2, 9, 0, tzinfo=timezone.utc)
NOW = START + timedelta(hours=9)
EVIL = "</script><img src=x onerror=alert(1)><b>%{x}$a$&lt;"

PARAMETERS: dict[str, Any] = {
    "learning_rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
    "batch_size": {"values": [16, 32, 64, 128]},
    "optimizer": {"values": ["adam", "adamw", "sgd"]},
    "model": {"parameters": {"width": {"min": 16, "max": 256}, "dropout": {"min": 0.0, "max": 0.5}}},
}


def sweep_config(parameters: Mapping[str, Any] | None = None, **keys: Any) -> SweepConfig:
    """A bayes sweep that minimizes val_loss with bands 3 and 9, unless told otherwise."""
    return SweepConfig.load(
        {
            "method": "bayes",
            "name": "digits",
            "metric": {"name": "val_loss"},
            "early_terminate": {"type": "hyperband", "max_iter": 27, "s": 2},
            "parameters": parameters or PARAMETERS,
            **keys,
        }
    )


def sweep_run(config: SweepConfig, number: int, **keys: Any) -> SweepRun:
    """A run with values of the sweep's space and nothing else, unless told otherwise."""
    values = keys.pop("values", None)
    if values is None:
        chance = random.Random(number)
        values = config.space.at([chance.random() for _ in config.space.searched])
    nested = config.space.nest(values) if {one.name for one in config.space.parameters} >= set(values) else values
    history = tuple(keys.pop("history", ()))
    goal = config.metric.goal if config.metric else "minimize"
    best = keys.pop("best", (min if goal == "minimize" else max)(history) if history else None)
    return SweepRun(
        **{
            "id": f"{number + 1:04d}",
            "state": "finished",
            "config": nested,
            "values": values,
            "best": best,
            "last": history[-1] if history else None,
            "history": history,
            "iterations": len(history),
            "agent": f"node{number % 2}:4{number % 2}17:ab",
            **keys,
        }
    )


def many_runs(config: SweepConfig, count: int, seed: int = 0) -> list[SweepRun]:
    """Runs of a model that likes a learning rate near 2e-3, adamw, and little dropout; two thirds stop at a band."""
    chance = random.Random(seed)
    runs = []
    agents: dict[int, datetime] = {}
    for number in range(count):
        values = config.space.at([chance.random() for _ in config.space.searched])
        off = abs(math.log10(values.get("learning_rate", 2e-3)) + 2.7)
        floor = 0.08 + 0.16 * off**2 + 0.1 * values.get("model.dropout", 0.0)
        floor += 0.05 * (values.get("optimizer") != "adamw") + 0.02 * chance.random()
        length = 27 if floor < 0.25 else 9 if floor < 0.5 else 3
        history = [floor + (2.2 - floor) * math.exp(-(step + 1) / 4) + 0.02 * chance.random() for step in range(length)]
        agent = min(range(4), key=lambda one: agents.get(one, START))
        begun = agents.get(agent, START) + timedelta(seconds=2)
        agents[agent] = ended = begun + timedelta(seconds=length * 8 + 10 * chance.random())
        state = "finished" if length == 27 else "pruned"
        reason = "" if state == "finished" else f"band {length}: {history[-1]:.4f} is worse than the threshold"
        if number % 41 == 40:
            state, reason, history = "failed", "exit code 1: RuntimeError: CUDA out of memory", history[:1]
        runs.append(
            sweep_run(
                config,
                number,
                values=values,
                history=history,
                state=state,
                reason=reason,
                started=begun,
                ended=ended,
                agent=f"node{agent // 2}:41{agent // 2}7:c3",
                metrics={"val_loss": {"last": history[-1]}, "val_acc": {"last": 1 - history[-1] / 3}},
            )
        )
    return runs


class Worker:
    """An agent without processes, for a sweep in a storage: claims runs, reports their values and ends them."""

    def __init__(self, sweep: Sweep, home: Path | None = None) -> None:
        self._writer = Writer(sweep.storage)
        self._reporter = Reporter(sweep, self._writer)
        self._claimer = RunClaimer(sweep, "node0:4017:ab", home=str(home or ""))

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._reporter.close()
        self._writer.close()

    def claim(self) -> ClaimedRun:
        """Begin a run."""
        run = self._claimer.next_run()
        assert isinstance(run, ClaimedRun), run
        return run

    def log(self, run: ClaimedRun, *values: float) -> None:
        """Report values of the metric, and wait until they are in the storage."""
        for value in values:
            self._reporter.report(run, {"val_loss": value})
        assert self._writer.flush(30)

    def end(self, run: ClaimedRun, state: RunState = RunState.FINISHED, reason: str = "") -> None:
        """End a run."""
        assert self._reporter.finish(run, Outcome(state, reason))


class LiveSweep:
    """A sweep with a worker, and a second connection to its storage, by which a page reads it."""

    def __init__(self, directory: Path) -> None:
        url = f"sqlite:///{directory}/lightsweep.db"
        config = {
            "name": EVIL,
            "method": "random",
            "metric": {"name": "val_loss"},
            "run_cap": 50,
            "parameters": PARAMETERS,
        }
        self.sweep = Sweep.create(config, storage=url)
        self.home = directory / "runs"
        self.worker = Worker(self.sweep, self.home)
        self.storage = open_storage(url, look=True)

    def watched(self) -> Sweep:
        """The sweep, read by the second connection."""
        return Sweep.load(self.sweep.id, storage=self.storage)

    def close(self) -> None:
        self.storage.close()
        self.sweep.storage.close()
