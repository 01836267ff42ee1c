"""A loop of torch that watches its model and saves it in the run's directory."""

import os

import torch

import wandb

wandb.init(project="demo", save_code=True)
model = torch.nn.Linear(2, 1)
wandb.watch(model, log="all", log_freq=10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(4):
    loss = model(torch.ones(4, 2)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    wandb.log(
        {"loss": torch.tensor(wandb.config.x / (epoch + 1)), "train": loss, "lr": optimizer.param_groups[0]["lr"]}
    )
path = os.path.join(wandb.run.dir, "model.pt")
torch.save(model.state_dict(), path)
wandb.save(path)
wandb.save("*.pt")
torch.save(model.state_dict(), wandb.run.dir + "/again.pt")
