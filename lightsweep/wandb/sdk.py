"""The functions of ``wandb`` that act on the current run, print, or do nothing; its modules, settings and alert levels.

`MODULES` has the modules below ``wandb.sdk``, which the stand-in lets ``import`` find.
"""

from __future__ import annotations

import os
import re
import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

from lightsweep.client import Run, RunConfig
from lightsweep.client.current import current_run, demand, finish, of_the_run
from lightsweep.client.run_config import as_json
from lightsweep.errors import UsageError
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
    made.__spec__ = ModuleSpec(made.__name__, None, is_package=True)
    made.__dict__.update(names, __path__=[])  # a package, so that modules may be below it
    return made


def generate_id(length: int = 8) -> str:
    """Return a random text of small letters and digits."""
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in os.urandom(length))


def make_artifact_name_safe(name: str) -> str:
    """Return ``name`` with an underscore for each character that an artifact's name may not have."""
    return re.sub(r"[^a-zA-Z0-9_.-]", "_", name)[:128]


def _of_artifacts(name: str) -> Any:
    """Return a name of the module of artifacts, which few scripts need."""
    from lightsweep.wandb import artifacts

    return getattr(artifacts, name)


class RunDisabled:
    """The class of runs that do nothing: trainers ask whether a run is one, and none is."""


class SummaryDisabled(dict[str, Any]):
    """The class of summaries that do nothing; none is one."""


@contextmanager
def _telemetry(*_: Any, **__: Any) -> Iterator[Any]:
    """Give an object that takes what a library says of itself, and goes nowhere."""
    yield SimpleNamespace(feature=SimpleNamespace())


def json_friendly(value: Any) -> tuple[Any, bool]:
    """Return ``value`` for JSON, and whether it had to be converted."""
    found = as_json(value)
    return found, found is not value


_MEDIA = {name: getattr(media, name) for name in ("Audio", "Histogram", "Html", "Image", "Plotly", "Video")}
_SCENES = {name: getattr(scenes, name) for name in ("Bokeh", "Classes", "Graph", "Molecule", "Object3D", "box3d")}

util = _module(
    "util",
    generate_id=generate_id,
    make_artifact_name_safe=make_artifact_name_safe,
    json_friendly=json_friendly,
    json_friendly_val=as_json,
    to_json=as_json,
)
env = _module(
    "env",
    API_KEY="WANDB_API_KEY",
    PROJECT="WANDB_PROJECT",
    ENTITY="WANDB_ENTITY",
    MODE="WANDB_MODE",
    set_entity=_nothing,
    set_project=_nothing,
)
_NAMES: dict[str, dict[str, Any]] = {
    "wandb_run": {"Run": Run},
    "wandb_config": {"Config": Config},
    "wandb_settings": {"Settings": Settings},
    "wandb_summary": {"Summary": Summary},
    "wandb_alerts": {"AlertLevel": AlertLevel},
    "artifacts": {"__getattr__": _of_artifacts},
    "artifacts.artifact": {"__getattr__": _of_artifacts},
    "lib": {"RunDisabled": RunDisabled, "SummaryDisabled": SummaryDisabled},
    "lib.config_util": {"ConfigError": UsageError},
    "lib.disabled": {"RunDisabled": RunDisabled, "SummaryDisabled": SummaryDisabled},
    "lib.runid": {"generate_id": generate_id, "generate_fast_id": generate_id},
    "lib.telemetry": {"context": _telemetry},
    "data_types": {**_MEDIA, **_SCENES, "Table": table.Table, "WBValue": media.Media},
    **{f"data_types.{name.lower()}": {name: kind} for name, kind in {**_MEDIA, "Table": table.Table}.items()},
    "data_types.bokeh": {"Bokeh": scenes.Bokeh},
    "data_types.graph": {"Graph": scenes.Graph},
    "data_types.molecule": {"Molecule": scenes.Molecule},
    "data_types.object_3d": {"Object3D": scenes.Object3D, "box3d": scenes.box3d},
    "data_types.base_types": {},
    "data_types.base_types.media": {"Media": media.Media},
    "data_types.base_types.wb_value": {"WBValue": media.Media},
    "data_types.helper_types": {},
    "data_types.helper_types.classes": {"Classes": scenes.Classes},
}

MODULES = {name: _module(f"sdk.{name}", **names) for name, names in _NAMES.items()}
"""The modules of ``wandb.sdk`` by their dotted names below it; each is also an attribute of the one above it."""

for _name, _made in MODULES.items():
    _above, _, _last = _name.rpartition(".")
    (vars(MODULES[_above]) if _above else globals())[_last] = _made

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


# --- functions

_said: set[str] = set()


class _Summary:
    """``wandb.summary`` as found before ``init()``: at each use the summary of the current run."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(demand("summary").summary, name)

    def __getitem__(self, name: str) -> Any:
        return demand("summary").summary[name]

    def __setitem__(self, name: str, value: Any) -> None:
        demand("summary").summary[name] = value


summary: Any
"""The summary of the current run."""


def __getattr__(name: str) -> Any:
    if name == "summary":  # another one for each run
        run = current_run()
        return _Summary() if run is None else run.summary
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


log_artifact = of_the_run("log_artifact")
use_artifact = of_the_run("use_artifact")
link_artifact = of_the_run("link_artifact")
log_model = of_the_run("log_model")
use_model = of_the_run("use_model")
link_model = of_the_run("link_model")
restore = of_the_run("restore")
log_code = of_the_run("log_code")
mark_preempting = of_the_run("mark_preempting")


def join(exit_code: int | None = 0) -> None:
    """End the current run, if there is one."""
    finish(exit_code)


def teardown(exit_code: int | None = 0) -> None:
    """End the current run, if there is one: there is no service to end."""
    finish(exit_code)


def setup(*_: Any, **__: Any) -> None:
    """Do nothing: no set-up is needed."""


require = ensure_configured = setup


def termlog(string: str = "", newline: bool = True, repeat: bool = True, prefix: bool = True) -> None:
    """Print a line on stderr; with ``repeat=False`` each text once only."""
    if not repeat and string in _said:
        return
    _said.add(string)
    lines = string.split("\n") if string else [""]
    text = "\n".join(f"lightsweep: {line}" if prefix else line for line in lines)
    print(text, end="\n" if newline else "", file=sys.stderr)


def termwarn(string: str, newline: bool = True, repeat: bool = True) -> None:
    """Print a warning on stderr."""
    termlog(f"WARNING {string}", newline, repeat)


def termerror(string: str, newline: bool = True, repeat: bool = True) -> None:
    """Print an error on stderr."""
    termlog(f"ERROR {string}", newline, repeat)
