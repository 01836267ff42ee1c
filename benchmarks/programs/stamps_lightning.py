"""A run with a step of Lightning: its moments, appended to a file as a line.

They are the start of the process, the end of the imports, that of ``init``, the first training step and the last line.
"""

import os
import time
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

import lightsweep

ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
times = [time.time() - age, time.time()]


class Model(pl.LightningModule):
    """One layer, which notes its first step."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def configure_optimizers(self):
        """Return the plainest optimizer."""
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, *_):
        """Note the moment."""
        times.append(time.time())
        return self.layer(batch[0]).square().mean()


with lightsweep.init() as run:
    times.append(time.time())
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_steps=1, accelerator="cpu", enable_model_summary=False, **quiet)
    trainer.fit(Model(), DataLoader(TensorDataset(torch.ones(4, 4)), batch_size=4))
    run.log({"val_loss": 0.05})
times.append(time.time())
with Path(os.environ["BENCH_STAMPS"]).open("a") as stamps:
    stamps.write(" ".join(map(str, times)) + "\n")
while "BENCH_WAITS" in os.environ and not Path(os.environ["BENCH_WAITS"]).exists():
    time.sleep(0.05)
