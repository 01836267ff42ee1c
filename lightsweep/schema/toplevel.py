"""The keys at the top of a sweep file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lightsweep.schema.blocks import Block, Label, Natural, Text, check, given
from lightsweep.schema.faults import Faults
from lightsweep.schema.words import one_edit_away

__all__ = ["BLOCKS", "SERVICE_KEYS", "TopLevel", "check_top_keys", "read_top_level"]

BLOCKS = {
    "parameters": "What to search: names of parameters, each with its values or its distribution.",
    "metric": "What the sweep improves. Needed by method bayes and by early_terminate.",
    "metrics": "Two metrics or more, improved together.",
    "early_terminate": "Stops runs that fall behind, by hyperband.",
    "command": "The arguments that start a run; a list with macros such as ${program} and ${args}.",
    "scheduler": "An Optuna study or search space that a Python file defines.",
    "lightsweep": "What W&B does not have: sampler, seed, retries.",
}
SERVICE_KEYS = ("controller", "apiVersion", "kind", "job", "image_uri")


class TopLevel(Block):
    """The keys at the top that hold one value each."""

    method: Literal["grid", "random", "bayes", "custom"]
    """How points are chosen; custom needs a scheduler."""
    program: Text | None = None
    """The training script."""
    run_cap: Natural | None = None
    """No more runs than this, across any number of agents."""
    name: Label | None = None
    """The name of the sweep."""
    description: Label | None = None
    """What it is for."""
    project: Label | None = None
    """The project that it belongs to; a label."""
    entity: Label | None = None
    """Whose it is; a label."""


KNOWN = (*TopLevel.model_fields, *BLOCKS, *SERVICE_KEYS)


def check_top_keys(raw: Mapping[str, Any], faults: Faults) -> set[str]:
    """Notes keys that are misspelt (a fault), unknown or of the W&B service only (a warning each).

    Returns the keys that the misspelt ones were meant to be.
    """
    meant: set[str] = set()
    keys = given(raw)
    for key in keys:
        if key in KNOWN:
            continue
        near = one_edit_away(key, KNOWN)
        if near:
            faults.error((key,), f"there is no key {key!r}; did you mean {near!r}?", key=True)
            meant.add(near)
        else:
            faults.warn((key,), f"there is no key {key!r}, so it is ignored", key=True)
    service = [key for key in keys if key in SERVICE_KEYS]
    if service:
        verb = "means" if len(service) == 1 else "mean"
        are = "is" if len(service) == 1 else "are"
        faults.warn(
            (service[0],), f"{', '.join(service)} {verb} something to the W&B service only and {are} ignored", key=True
        )
    return meant


def read_top_level(raw: Mapping[str, Any], meant: set[str], faults: Faults) -> TopLevel | None:
    """The keys with one value each; ``None`` where one of them is wrong."""
    block = {key: value for key, value in raw.items() if key in TopLevel.model_fields}
    return check(TopLevel, block, (), faults, "a sweep config", absent=meant)
