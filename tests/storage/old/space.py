"""The space of the old storage's sweep whose parameters a function defines."""

from __future__ import annotations

from typing import Any


def define(trial: Any) -> None:
    if trial.suggest_categorical("kind", ["deep", None]) == "deep":
        trial.suggest_int("model.width", 8, 64, log=True)
    trial.suggest_float("lr", 1e-5, 0.1, log=True)
