"""A loop with accelerate's tracker of W&B, for several processes."""

import argparse
import time

import torch
from accelerate import Accelerator

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
asked = parser.parse_args()
accelerator = Accelerator(cpu=True, log_with="wandb")
accelerator.init_trackers("line", config=vars(asked), init_kwargs={"wandb": {"name": "mine", "tags": ["a"]}})
torch.manual_seed(0)
x = torch.linspace(-1, 1, 64).reshape(-1, 1)
model = torch.nn.Linear(1, 1)
model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), asked.lr))
for epoch in range(5):
    loss = (model(x) - 3 * x).square().mean()
    optimizer.zero_grad()
    accelerator.backward(loss)
    optimizer.step()
    accelerator.log({"val_loss": accelerator.reduce(loss.detach(), "mean"), "epoch": epoch}, step=epoch)
print("printed at the end")
accelerator.end_training()
time.sleep(0.5)  # torch may abort a process whose last collective is not put away when Python ends
