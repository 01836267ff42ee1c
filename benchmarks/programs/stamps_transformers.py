"""A run with a step of Hugging Face's trainer: its moments, as ``stamps_lightning.py`` notes them."""

import os
import time
from pathlib import Path

import torch
from transformers import Trainer, TrainingArguments

import lightsweep

ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
times = [time.time() - age, time.time()]


class Model(torch.nn.Module):
    """One layer, which notes its first step."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def forward(self, x, labels=None):
        """Note the moment."""
        del labels
        times.append(time.time())
        return {"loss": self.layer(x).square().mean()}


with lightsweep.init() as run:
    times.append(time.time())
    arguments = TrainingArguments(
        run.dir, max_steps=1, report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True
    )
    data = [{"x": [1.0] * 4, "labels": 0}] * 4
    Trainer(Model(), arguments, train_dataset=data).train()
    run.log({"val_loss": 0.05})
times.append(time.time())
with Path(os.environ["BENCH_STAMPS"]).open("a") as stamps:
    stamps.write(" ".join(map(str, times)) + "\n")
