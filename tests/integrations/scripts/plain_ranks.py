"""A plain loop in which every rank sees another value, averaged over the ranks; to be launched by torchrun."""

from __future__ import annotations

import os
import time

import torch
import torch.distributed as dist

import lightsweep
from lightsweep.integrations.distributed import on_every_rank


def main() -> None:
    torch.set_num_threads(1)
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    rank = dist.get_rank()
    with lightsweep.init() as plain:
        run = on_every_rank(plain)
        note = run.dir / f"rank{rank}.txt"
        for epoch in range(int(os.environ.get("EPOCHS", "6"))):
            with note.open("a") as file:
                file.write(f"batch {epoch}\nvalidation {epoch + 1}\n")
            value = torch.tensor([float(epoch + rank)])
            dist.all_reduce(value)
            run.log({"val_loss": float(value) / dist.get_world_size()})
    print("end of the script", flush=True)


if __name__ == "__main__":
    main()
    dist.destroy_process_group()
    time.sleep(0.5)  # torch may abort a process whose last collective is not put away when Python ends
