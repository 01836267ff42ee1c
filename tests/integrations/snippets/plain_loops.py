"""Code as users with a loop of their own write it."""

from __future__ import annotations

from pathlib import Path

import lightsweep
from lightsweep.integrations.distributed import DistributedRun, on_every_rank


def loop() -> None:
    with lightsweep.init(config={"learning_rate": 0.1}) as run:
        rate: float = run.config.learning_rate
        directory: str = run.dir
        model: Path = run.dir / "model.pt"
        for epoch in range(run.iterations, 3):
            run.log({"val_loss": rate / (epoch + 1)}, step=epoch)
        decision = run.report({"val_loss": 1.0})
        if decision.stop:
            print(decision.reason, directory, model)


def distributed() -> None:
    run: DistributedRun = on_every_rank(lightsweep.init())
    run.log({"val_loss": 1.0}, step=1)
    reply = run.report({"val_loss": 1.0})
    stop: bool = reply.stop
    print(stop, run.config["learning_rate"], run.run.resumed)
