"""What is passed to ``init(config=...)``: as a dict for the run, as JSON for the agent, and back."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from lightsweep.errors import UsageError

__all__ = ["as_json", "as_mapping", "merged"]


def as_mapping(config: object) -> dict[Any, Any]:
    """The config as a nested dict; dataclasses and namespaces inside become dicts too.

    Raises:
        UsageError: Neither a mapping, nor a dataclass, nor a namespace; or it contains itself.
    """
    if config is None:
        return {}
    try:
        tree = _tree(config)
    except RecursionError:
        raise UsageError("the config contains itself, or is nested too deeply") from None
    if isinstance(tree, dict):
        return tree
    hint = "; read the file and pass its content as a dict" if isinstance(config, (str, bytes)) else ""
    raise UsageError(
        f"config must be a dict, an argparse.Namespace or a dataclass, got {config!r} ({type(config).__name__}){hint}"
    )


def as_json(value: Any) -> Any:
    """``value`` as JSON can hold it: tuples and sets as lists, numpy and torch scalars as numbers, the rest as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): as_json(below) for key, below in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(item) for item in value]
    if callable(getattr(value, "tolist", None)):
        return as_json(value.tolist())
    return str(value)


def merged(defaults: Any, answer: Any) -> Any:
    """The agent's answer, with the caller's own objects wherever the answer left them as they were.

    So a default that JSON cannot hold (a path, a tuple, a class) reaches the script as it was written.
    """
    if isinstance(defaults, dict) and isinstance(answer, Mapping):
        keys = {str(key): key for key in defaults}
        return {
            keys.get(name, name): merged(defaults[keys[name]], below) if name in keys else below
            for name, below in answer.items()
        }
    return defaults if json.dumps(as_json(defaults), sort_keys=True) == json.dumps(answer, sort_keys=True) else answer


def _tree(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tree(value[key]) for key in value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _tree(getattr(value, field.name)) for field in dataclasses.fields(value)}
    argparse = sys.modules.get("argparse")  # who has not imported it has no Namespace to pass
    if isinstance(value, SimpleNamespace) or (argparse is not None and isinstance(value, argparse.Namespace)):
        return {name: _tree(below) for name, below in vars(value).items()}
    return value
