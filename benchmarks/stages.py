"""Compare a sweep in three stages with a flat one: runs until the best of the flat one, in a real small search.

A multilayer perceptron in torch on scikit-learn's digits, six epochs, the best validation loss of them, lower is
better. The stages are those of W&B's guide: optimizer and learning rate, then the architecture, then what regularizes.
All sweeps run for real, in a database of their own, one run after the other: in stages and flat by bayes with the
Gaussian process, and flat by random. The sweep in stages has as many runs as a flat one, less what does not divide by
three and the one point that a stage has from the one before.

The first table has, for every seed, the best that the flat sweep found and in which run, and the first run of the sweep
in stages that is as good. The second has the mean of the best so far.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality import _data as data
from benchmarks.sizes import Scale
from benchmarks.tables import Table
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import Reporter, Writer

__all__ = ["tables"]

_SPACE: dict[str, Any] = {
    "optimizer": {"values": ["sgd", "adamw", "rmsprop"]},
    "learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
    "hidden": {"values": [8, 16, 32, 64, 128, 256]},
    "layers": {"min": 1, "max": 4},
    "dropout": {"min": 0.0, "max": 0.7},
    "weight_decay": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
}
_STAGES: list[dict[str, Any]] = [
    {
        "name": "optimizer",
        "parameters": ["optimizer", "learning_rate"],
        "defaults": {"hidden": 64, "layers": 2, "dropout": 0.1, "weight_decay": 1e-4},
    },
    {"name": "architecture", "parameters": ["hidden", "layers"]},
    {"name": "regularization", "parameters": ["dropout", "weight_decay"]},
]
_EPOCHS = 6
_BATCH = 128
_WORST = 5.0


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """Two tables: runs until the flat sweep's best, and the best so far."""
    torch.set_num_threads(1)
    seeds, budget = range(scale.seeds), scale.budget
    stages = [{**stage, "run_cap": budget // len(_STAGES)} for stage in _STAGES]
    found = {
        "in stages, bayes": [_losses(directory / f"stages-{seed}.db", "bayes", seed, budget, stages) for seed in seeds],
        "flat, bayes": [_losses(directory / f"bayes-{seed}.db", "bayes", seed, budget) for seed in seeds],
        "flat, random": [_losses(directory / f"random-{seed}.db", "random", seed, budget) for seed in seeds],
    }
    staged, *flats = found.values()
    header = ["seed", *(text for name in list(found)[1:] for text in (f"{name}: best", "in run", "in stages: in run"))]
    rows = []
    for seed in seeds:
        rows.append([str(seed)])
        for flat in flats:
            best = min(flat[seed])
            rows[-1] += [f"{best:.4f}", str(_reached(flat[seed], best)), str(_reached(staged[seed], best) or "never")]
    wins = [
        sum(
            (_reached(one, min(other)) or math.inf) < (_reached(other, min(other)) or 0)
            for one, other in zip(staged, flat, strict=True)
        )
        for flat in flats
    ]
    rows.append(["sooner", *(text for won in wins for text in ("", "", f"{won} of {len(staged)}"))])
    yield Table(f"Runs until the best of a flat sweep of {budget} runs is reached", header, rows)
    marks = sorted({max(1, round(budget * part)) for part in (0.25, 0.5, 0.75, 1.0)})
    means = [[name, *(_mean(runs, mark) for mark in marks)] for name, runs in found.items()]
    yield Table(
        f"Mean best validation loss, {scale.seeds} seeds", ["", *(f"after {mark} runs" for mark in marks)], means
    )


def _mean(searches: Sequence[Sequence[float]], mark: int) -> str:
    values = [min(losses[:mark]) for losses in searches]
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.4f} ± {error:.4f}"


def _reached(losses: Sequence[float], goal: float) -> int | None:
    """The number of the first run that is as good, from 1."""
    return next((number for number, loss in enumerate(losses, start=1) if loss <= goal), None)


def _losses(
    path: Path, method: str, seed: int, budget: int, stages: Sequence[Mapping[str, Any]] | None = None
) -> list[float]:
    """The losses of a sweep's runs in their order."""
    config = {
        "program": "train.py",
        "method": method,
        "metric": {"name": "loss"},
        "parameters": _SPACE,
        "run_cap": budget,
        "lightsweep": {"sampler": "auto" if method == "random" else "gp", "seed": seed, "stages": stages},
    }
    sweep = Sweep.create(config, storage=f"sqlite:///{path}")
    writer = Writer(sweep.storage)
    try:
        claimer, reporter = RunClaimer(sweep, "benchmark"), Reporter(sweep, writer)
        while isinstance(run := claimer.next_run(), ClaimedRun):
            reporter.report(run, {"loss": _train(run.values)})
            reporter.finish(run, Outcome("finished"))
        return [run.best for run in sweep.runs if run.best is not None]
    finally:
        writer.close()
        sweep.storage.close()


@cache
def _tensors() -> list[torch.Tensor]:
    train_x, test_x, train_y, test_y = data()
    return [torch.tensor(each, dtype=torch.float32) for each in (train_x, test_x)] + [
        torch.tensor(each) for each in (train_y, test_y)
    ]


def _train(values: Mapping[str, Any]) -> float:
    """The best validation loss of one training; its random numbers are drawn alike for all."""
    torch.manual_seed(0)
    train_x, test_x, train_y, test_y = _tensors()
    layers: list[torch.nn.Module] = []
    width = train_x.shape[1]
    for _ in range(values["layers"]):
        layers += [torch.nn.Linear(width, values["hidden"]), torch.nn.ReLU(), torch.nn.Dropout(values["dropout"])]
        width = values["hidden"]
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))
    optimizer = _optimizer(values, model)
    losses = [_WORST]
    for _ in range(_EPOCHS):
        model.train()
        for batch in torch.randperm(len(train_x)).split(_BATCH):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(train_x[batch]), train_y[batch]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            losses.append(float(torch.nn.functional.cross_entropy(model(test_x), test_y)))
    return min(loss for loss in losses if math.isfinite(loss))


def _optimizer(values: Mapping[str, Any], model: torch.nn.Module) -> torch.optim.Optimizer:
    rate, decay = values["learning_rate"], values["weight_decay"]
    if values["optimizer"] == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, weight_decay=decay, momentum=0.9)
    kind = torch.optim.AdamW if values["optimizer"] == "adamw" else torch.optim.RMSprop
    return kind(model.parameters(), lr=rate, weight_decay=decay)
