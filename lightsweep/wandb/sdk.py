"""``wandb.sdk``: the classes that annotations name, settings, alert levels, and other modules of ``wandb``.

``import wandb.sdk.wandb_run`` and the like need files, which the stand-in has.
"""

from __future__ import annotations

import re
import secrets
import string
from enum import Enum
from types import ModuleType
from typing import Any

from lightsweep.client import Run, RunConfig
from lightsweep.client.run_config import as_json
from lightsweep.wandb import media, scenes, table
from lightsweep.wandb.summary import Summary

Config = RunConfig

_LETTERS = string.ascii_lowercase + string.digits


class AlertLevel(Enum):
    """The urgency of an alert."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Settings:
    """The settings of W&B's service and library: each is kept, and none has an effect.

    A setting that was not given is ``None``.
    """

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def update(self, *others: Any, **settings: Any) -> None:
        """Change settings."""
        for other in others:
            self.__dict__.update(other if isinstance(other, dict) else vars(other))
        self.__dict__.update(settings)

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class _Quiet(ModuleType):
    """A module of which every function may be called and does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def _module(name: str, **names: Any) -> ModuleType:
    made = ModuleType(f"wandb.{name}")
    made.__dict__.update(names)
    return made


def generate_id(length: int = 8) -> str:
    """Return a random text of small letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def make_artifact_name_safe(name: str) -> str:
    """Return ``name`` with an underscore for each character that an artifact's name may not have."""
    return re.sub(r"[^a-zA-Z0-9_.-]", "_", name)[:128]


def json_friendly(value: Any) -> tuple[Any, bool]:
    """Return ``value`` for JSON, and whether it had to be converted."""
    found = as_json(value)
    return found, found is not value


_MEDIA = {name: getattr(media, name) for name in ("Audio", "Histogram", "Html", "Image", "Plotly", "Video")}
_SCENES = {name: getattr(scenes, name) for name in ("Bokeh", "Classes", "Graph", "Molecule", "Object3D", "box3d")}

wandb_run = _module("wandb_run", Run=Run)
data_types = _module("data_types", Table=table.Table, WBValue=media.Media, **_MEDIA, **_SCENES)
util = _module(
    "util",
    generate_id=generate_id,
    make_artifact_name_safe=make_artifact_name_safe,
    json_friendly=json_friendly,
    json_friendly_val=as_json,
    to_json=as_json,
)
env = _module("env", API_KEY="WANDB_API_KEY", PROJECT="WANDB_PROJECT", ENTITY="WANDB_ENTITY", MODE="WANDB_MODE")
wandb_config = _module("sdk.wandb_config", Config=Config)
wandb_settings = _module("sdk.wandb_settings", Settings=Settings)
wandb_summary = _module("sdk.wandb_summary", Summary=Summary)
sklearn = _Quiet("wandb.sklearn")
tensorboard = _Quiet("wandb.tensorboard")
tensorflow = _Quiet("wandb.tensorflow")


class _Apis(ModuleType):
    """``wandb.apis``, of which ``public`` reads the storage: found at its use, since a script seldom needs it."""

    @property
    def public(self) -> Any:
        """The module with ``Api``."""
        from importlib import import_module

        return import_module("lightsweep.wandb.api")


apis = _Apis("wandb.apis")
