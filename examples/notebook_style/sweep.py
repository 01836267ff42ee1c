"""A sweep without files or commands: a dict, a function, and a loop that calls it. Works the same in a notebook."""

from __future__ import annotations

import os

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

import lightsweep

CONFIG = {
    "name": "linear digits",
    "method": "bayes",
    "metric": {"name": "accuracy", "goal": "maximize"},
    "early_terminate": {"type": "hyperband", "min_iter": 3},
    "parameters": {
        "alpha": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-1},
        "loss": {"values": ["hinge", "log_loss", "modified_huber"]},
        "average": {"values": [True, False]},
    },
}

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(images / 16, labels, random_state=0, stratify=labels)


def train() -> None:
    with lightsweep.init(config={"epochs": 12}) as run:
        config = run.config
        model = SGDClassifier(alpha=config.alpha, loss=config.loss, average=config.average, random_state=0)
        for _ in range(config.epochs):
            model.partial_fit(train_x, train_y, classes=np.arange(10))
            run.log({"accuracy": model.score(val_x, val_y)})


if __name__ == "__main__":
    sweep_id = lightsweep.sweep(CONFIG)
    lightsweep.agent(sweep_id, function=train, count=int(os.environ.get("COUNT", "5")))
    best = lightsweep.Sweep.load(sweep_id).best_run
    if best is not None:
        print(f"best accuracy {best.best:.3f} with {best.config}")
