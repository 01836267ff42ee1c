"""A loop with accelerate's tracker in which every rank sees another value; to be launched by torchrun."""

from __future__ import annotations

import os
import time

import torch
from accelerate import Accelerator

import lightsweep
from lightsweep.integrations.accelerate import SweepTracker


def main() -> None:
    torch.set_num_threads(1)
    tracker = SweepTracker()
    accelerator = Accelerator(cpu=True, log_with=tracker)
    rank = accelerator.process_index
    with lightsweep.init() as run:
        accelerator.init_trackers("project", {"batch_size": 8})
        for epoch in range(int(os.environ.get("EPOCHS", "6"))):
            with (run.dir / f"rank{rank}.txt").open("a") as file:
                file.write(f"batch {epoch}\nvalidation {epoch + 1}\n")
            value = accelerator.reduce(torch.tensor(float(epoch + rank)), "mean")
            accelerator.log({"val_loss": value, "train_loss": 1.0}, step=epoch)
            tracker.check()
    print("end of the script", flush=True)
    accelerator.end_training()


if __name__ == "__main__":
    main()
    time.sleep(0.5)  # torch may abort a process whose last collective is not put away when Python ends
