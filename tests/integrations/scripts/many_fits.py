"""Many trainings one after the other in the same ranks, each stopped at another report: ``many_fits.py COUNT``.

To be launched by torchrun. Each rank has a scripted agent of its own in its process; that of rank 0 alone is asked. It
stops the n-th training at a report that follows from n; the script fails where a rank had not come to the same place.
"""

from __future__ import annotations

import os
import random
import runpy
import sys
import tempfile
from pathlib import Path

import torch.distributed as dist

from lightsweep import client
from lightsweep.errors import RunPruned

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from scripted import ScriptedHandler  # noqa: E402 - found by the line above


def main() -> None:
    count = int(sys.argv[1])
    rank = int(os.environ["RANK"])
    script = runpy.run_path(str(HERE / "lightning_ranks.py"), run_name="script")
    sys.argv = [sys.argv[0], "ddp"]
    for number in range(count):
        stop_at = random.Random(number).randint(1, 5)
        with tempfile.TemporaryDirectory() as directory:
            # Another rank's agent would stop the training elsewhere, if it were asked.
            handler = ScriptedHandler(stop_at=stop_at if rank == 0 else 1, metric="val_loss", dir=directory)
            try:
                with client.serving(handler):
                    script["main"]()
            except RunPruned:
                pass
            done = (Path(directory) / f"rank{rank}.txt").read_text().splitlines()
        validations = sum(line.startswith("validation") for line in done)
        assert validations == stop_at, (number, rank, validations, stop_at, done)
        assert len(handler.logs) == (stop_at if rank == 0 else 0)
        assert done[-1].startswith("validation"), "it trained on"
    print(f"rank {rank}: {count} trainings")
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
