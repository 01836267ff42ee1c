"""Counts the collectives of torch.distributed in Lightning trainings on two processes, one for each ``KIND ...``.

A kind is ``none``, ``ours`` or ``keeping``. Each rank writes ``counts-RANK.json`` into ``run.dir``: for each training
the names of the collectives before its start, up to the end of each validation, and after the last.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning_ranks import Model, data

import lightsweep
from lightsweep.integrations.lightning import SweepCallback

COLLECTIVES = (
    *("all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "all_to_all", "barrier", "broadcast"),
    *("broadcast_object_list", "gather", "gather_object", "monitored_barrier", "reduce", "reduce_scatter", "scatter"),
)
calls: list[str] = []
depth = [0]


def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """The collective, noted when the program calls it; those that another one makes are a part of that one."""

    def collective(*arguments: Any, **options: Any) -> Any:
        if not depth[0]:
            calls.append(name)
        depth[0] += 1
        try:
            return original(*arguments, **options)
        finally:
            depth[0] -= 1

    return collective


def replace_everywhere() -> None:
    """In torch.distributed and wherever else the functions were imported by name."""
    for name in COLLECTIVES:
        original = getattr(dist, name)
        wrapper = counted(name, original)
        for module in list(sys.modules.values()):
            if module is not sys.modules[__name__] and getattr(module, "__dict__", {}).get(name) is original:
                setattr(module, name, wrapper)


class Sections(pl.Callback):
    """Cuts the calls at the end of each validation; comes after the counted callback."""

    def __init__(self) -> None:
        self.sections: list[list[str]] = []

    def cut(self) -> None:
        self.sections.append(list(calls))
        calls.clear()

    def on_train_start(self, *_: Any) -> None:
        self.cut()

    def on_validation_end(self, trainer: Any, *_: Any) -> None:
        if not trainer.sanity_checking:
            self.cut()

    def on_train_end(self, *_: Any) -> None:
        self.cut()


def fit(kind: str) -> list[list[str]]:
    """One training; the collectives in it."""
    calls.clear()
    sections = Sections()
    ours = [] if kind == "none" else [SweepCallback(checkpoint=kind == "keeping")]
    trainer = pl.Trainer(
        strategy="ddp",
        devices=2,
        accelerator="cpu",
        callbacks=[*ours, sections],
        max_epochs=3,
        val_check_interval=0.5,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), data(16), data())
    return sections.sections


def main(kinds: list[str]) -> None:
    torch.set_num_threads(1)
    replace_everywhere()
    with lightsweep.init() as run:
        found = [fit(kind) for kind in kinds]
        (run.dir / f"counts-{dist.get_rank()}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
