"""Snippets of the W&B guide run unchanged after ``import lightsweep as wandb``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sandboxes import Sandbox

import lightsweep as wandb
from lightsweep import ConfigError, Sweep


def build_model(hidden_size: int) -> SimpleNamespace:
    return SimpleNamespace(size=hidden_size)


def build_optimizer(model: SimpleNamespace, name: str, learning_rate: float) -> SimpleNamespace:
    assert name in ("adam", "sgd")
    return SimpleNamespace(model=model, step=learning_rate)


def train_epoch(model: SimpleNamespace, optimizer: SimpleNamespace) -> float:
    return float(model.size * optimizer.step)


def test_the_notebook_workflow(sandbox: Sandbox) -> None:
    sweep_config = {
        "method": "random",
        "metric": {"name": "validation_loss", "goal": "minimize"},
        "parameters": {
            "learning_rate": {"distribution": "uniform", "min": 0.0001, "max": 0.1},
            "hidden_size": {"values": [128, 256]},
            "optimizer": {"values": ["adam", "sgd"]},
            "epochs": {"value": 3},
        },
    }
    sweep_id = wandb.sweep(sweep=sweep_config, project="my-project")

    def train() -> None:
        # Initialize run - sweep controller provides config
        with wandb.init() as run:
            config = run.config  # Get sweep hyperparameters

            # Use config values
            model = build_model(config.hidden_size)
            optimizer = build_optimizer(model, config.optimizer, config.learning_rate)

            # Training loop
            for epoch in range(config.epochs):
                loss = train_epoch(model, optimizer)

                # Log metric specified in sweep config
                run.log({"validation_loss": loss, "epoch": epoch})

    wandb.agent(sweep_id, function=train, count=5)
    sweep = Sweep.load(sweep_id)
    assert sweep.config.project == "my-project"
    assert [(run.state, run.iterations) for run in sweep.runs] == [("finished", 3)] * 5
    assert all(run.unread == () for run in sweep.runs)


def test_nested_parameters_overwrite_the_defaults(sandbox: Sandbox) -> None:
    sweep_id = wandb.sweep(
        {
            "method": "grid",
            "parameters": {
                "model": {"parameters": {"hidden_size": {"values": [128, 256]}}},
                "optimizer": {"parameters": {"learning_rate": {"value": 0.1}}},
            },
        }
    )
    seen: list[Any] = []

    def train() -> None:
        wandb.init(project="p", entity="e", config={"model": {"hidden_size": 1, "depth": 2}, "seed": 3})
        seen.append((wandb.config.model["hidden_size"], wandb.config["model"]["depth"], wandb.config.seed))
        wandb.log({"loss": 1.0})
        wandb.finish()

    wandb.agent(sweep_id, train, project="p", entity="e")
    assert seen == [(128, 2, 3), (256, 2, 3)]


def test_bayes_without_a_metric_is_refused(sandbox: Sandbox) -> None:
    sweep_config = {
        "method": "bayes",
        "parameters": {
            "learning_rate": {"min": 1e-5, "max": 1e-3},
            "batch_size": {"values": [8, 16, 32]},
            "epochs": {"values": [3, 5, 10]},
        },
    }
    with pytest.raises(ConfigError, match="metric"):
        wandb.sweep(sweep_config, project="hf-sweep")
    assert not (sandbox.directory / "lightsweep.db").exists()
    sweep_id = wandb.sweep({**sweep_config, "metric": {"name": "eval/loss"}}, project="hf-sweep")

    def train() -> None:
        with wandb.init() as run:
            assert run.config.epochs in (3, 5, 10)
            run.log({"eval/loss": run.config.learning_rate})

    wandb.agent(sweep_id, function=train, count=2)
    assert [run.state for run in Sweep.load(sweep_id).runs] == ["finished"] * 2
