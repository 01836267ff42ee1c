"""A plain PyTorch loop that fits a noisy wave; on its own it trains with the defaults below."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import lightsweep

DEFAULTS = {"learning_rate": 0.01, "epochs": 27, "model": {"width": 32, "activation": "tanh"}}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}


def wave(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points of shape (samples, 1) on [-3, 3], and a wave with noise of deviation 0.1 at them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(samples, 1, generator=generator) * 6 - 3
    return x, torch.sin(2 * x) + 0.1 * torch.randn(samples, 1, generator=generator)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with lightsweep.init(config=DEFAULTS) as run:
        config = run.config
        width, activation = config.model.width, ACTIVATIONS[config.model.activation]
        model = nn.Sequential(nn.Linear(1, width), activation(), nn.Linear(width, width), activation())
        model.append(nn.Linear(width, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
        train_x, train_y = wave(512, seed=1)
        val_x, val_y = wave(256, seed=2)
        for epoch in range(config.epochs):
            for batch in torch.randperm(len(train_x)).split(64):
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(train_x[batch]), train_y[batch])
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                val_loss = nn.functional.mse_loss(model(val_x), val_y)
            # raises RunPruned, which ends the block, where the run has fallen behind
            run.log({"val_loss": val_loss.item(), "train_loss": loss.item(), "epoch": epoch})
        torch.save(model.state_dict(), run.dir / "model.pt")


if __name__ == "__main__":
    main()
