"""The config of a run: a dict with attribute access that remembers what was read and refuses changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from lightsweep.client.processes import rank
from lightsweep.errors import UsageError, closest

_SHOWN = 20


class RunConfig(dict[str, Any]):
    """A config that is read by item or by attribute, at any depth: ``config["model"]["lr"]``, ``config.model.lr``.

    It is a dict, so that ``json``, ``**config`` and ``isinstance`` treat it as one. A new key may be added; changing
    or removing one raises ``UsageError``, since the recorded config would then be wrong. Only ``update`` accepts keys
    that the sweep sets, and keeps the sweep's values; in a script that has lightsweep as ``wandb`` an assignment does
    so too, as in W&B. A key that is also the name of a method (``items``, ``update``) is reached as an item only.

    Reading one value marks its dotted name as read; iterating, unpacking and ``as_dict`` mark all that is below.
    ``repr``, ``len``, ``in`` and comparing mark nothing.

    Args:
        values: The nested values; dicts inside become configs too, dicts inside of lists stay as they are.
        parameters: Dotted names that the sweep sets, searched or constant; a dict that it sets is set as a whole.
        reads: Takes the dotted names that are read, or looked up without success; a new set by default.
    """

    __slots__ = ("_parameters", "_prefix", "_reads")

    def __init__(
        self,
        values: Mapping[str, Any],
        parameters: Iterable[str] = (),
        reads: set[str] | None = None,
        *,
        _prefix: str = "",
    ) -> None:
        object.__setattr__(self, "_parameters", frozenset(parameters))
        object.__setattr__(self, "_reads", set() if reads is None else reads)
        object.__setattr__(self, "_prefix", _prefix)
        super().__init__()
        for name, value in dict(values).items():
            self._put(name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return a plain nested copy, which may be changed."""
        return {name: value.as_dict() if isinstance(value, RunConfig) else value for name, value in self.items()}

    copy = as_dict

    def update(self, *others: Any, allow_val_change: bool | None = None, **values: Any) -> None:
        """Add the keys that are new; nested dicts are merged, level by level.

        Keys that the sweep sets keep the sweep's values, so that ``config.update(args)`` may follow ``init()``: rank 0
        prints one line on stderr that names those with another value. A group stays if the sweep sets a key in it.

        Args:
            others: Mappings, pairs, or objects with attributes such as an ``argparse.Namespace``.
            allow_val_change: Whether other keys may get another value.
            values: Further keys.

        Raises:
            UsageError: A key that the sweep does not set exists with another value; nothing is changed then.
        """
        changes = dict(*(_mapping(other) for other in others), **values)
        kept = self._merge(changes, allowed=bool(allow_val_change), keep=True)
        if kept and rank() == 0:
            print(f"lightsweep: config.update(): the sweep's values stay: {', '.join(kept)}", file=sys.stderr)

    def setdefaults(self, values: Any) -> None:
        """Add the keys that are new, at every depth, but none to a dict that the sweep sets; ignore the others."""
        for config, name, value in self._changes(_mapping(values)):
            if name not in config and not any(config._prefix.startswith(f"{known}.") for known in self._parameters):
                config._put(name, value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key``, which is added if it is new."""
        if key not in self:
            self._put(key, default)
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default``."""
        self._reads.add(f"{self._prefix}{key}")
        return super().get(key, default)

    def keys(self) -> Any:
        """Return the names at this level; counts as reading all that is below."""
        self._mark_below()
        return super().keys()

    def values(self) -> Any:
        """Return the values at this level; counts as reading all that is below."""
        self._mark_below()
        return super().values()

    def items(self) -> Any:
        """Return names and values at this level; counts as reading all that is below."""
        self._mark_below()
        return super().items()

    def __iter__(self) -> Iterator[str]:
        self._mark_below()
        return super().__iter__()

    def __getitem__(self, key: str) -> Any:
        self._reads.add(f"{self._prefix}{key}")
        if key not in self:
            raise KeyError(self._missing(key))
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in RunConfig.__slots__:
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(*error.args) from None

    def __setitem__(self, key: str, value: Any) -> None:
        try:
            self._merge({key: value})
        except UsageError:
            if not _written_for_wandb():
                raise
            for name in self._merge({key: value}, keep=True):
                print(f"lightsweep: config.{name} = ... is ignored: the sweep sets it", file=sys.stderr)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __or__(self, other: Any) -> Any:
        return self.as_dict() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.as_dict()

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def pop(self, key: str | None = None, *_: Any) -> Any:
        """Raise ``UsageError``, as every other way to remove a key does."""
        name = next(super().__iter__(), "") if key is None else key
        raise UsageError(
            f"config key {self._prefix + name!r} cannot be removed: a config is read-only once the run has started; "
            "change the copy that config.as_dict() gives"
        )

    popitem = clear = __delitem__ = __delattr__ = pop

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names()})

    def __reduce__(self) -> tuple[Any, ...]:
        return RunConfig, (self.as_dict(), self._parameters)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # so that vars(config) works as with argparse
        values = self.as_dict()
        asked_by = str(sys._getframe(1).f_globals.get("__name__"))
        # Hugging Face's search reads what W&B's config has inside.
        return {"_items": values} if asked_by.startswith("transformers.") else values

    def _put(self, name: str, value: Any) -> None:
        """Store without a check; dicts become configs that share the record of reads."""
        if isinstance(value, Mapping):
            value = RunConfig(value, self._parameters, self._reads, _prefix=f"{self._prefix}{name}.")
        super().__setitem__(name, value)

    def _merge(self, values: Mapping[str, Any], *, allowed: bool = False, keep: bool = False) -> list[str]:
        """Add new keys and, if allowed, change those that the sweep does not set; all of it or, if refused, nothing.

        Args:
            values: Nested values.
            allowed: Whether keys may change.
            keep: Whether a key of the sweep keeps its value instead of raising ``UsageError``.

        Returns:
            The keys that were kept.
        """
        kept, accepted = [], []
        for config, name, value in self._changes(values):
            key = f"{config._prefix}{name}"
            if name in config and keep and self._of_the_sweep(key):
                kept.append(key)
            elif name in config and not allowed:
                self._refuse_change(key, dict.__getitem__(config, name), value)
            else:
                accepted.append((config, name, value))
        for config, name, value in accepted:
            config._put(name, value)
        return kept

    def _changes(self, values: Mapping[str, Any]) -> Iterator[tuple[RunConfig, str, Any]]:
        """Yield config, name and value of each key that storing ``values`` would add or change, at every depth."""
        for name, value in values.items():
            present = super().get(name)
            if isinstance(present, RunConfig) and isinstance(value, Mapping):
                yield from present._changes(value)
            elif name not in self or not _same(present, value):
                yield self, name, value

    def _of_the_sweep(self, key: str) -> bool:
        """Tell whether the sweep sets the dotted ``key``, a key below it, or one above it."""
        return any(f"{known}.".startswith(f"{key}.") or key.startswith(f"{known}.") for known in self._parameters)

    def _refuse_change(self, key: str, present: Any, value: Any) -> NoReturn:
        if key in self._parameters:
            why = "the sweep sets it; pass defaults to init(config=...), or use another key"
        else:
            why = (
                "the run was started with it; pass defaults to init(config=...), use another key, "
                "or config.update(..., allow_val_change=True)"
            )
        raise UsageError(f"config key {key!r} is {present!r} and cannot become {value!r}: {why}")

    def _names(self) -> list[str]:
        return [str(name) for name in dict.keys(self)]

    def _mark_below(self) -> None:
        for name, value in super().items():
            self._reads.add(f"{self._prefix}{name}")
            if isinstance(value, RunConfig):
                value._mark_below()

    def _missing(self, name: str) -> str:
        here = f"config.{self._prefix[:-1]}" if self._prefix else "the config"
        known = self._names()
        shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        return f"{here} has no {name!r}{closest(str(name), known) or '.'} It has: {shown or 'nothing'}"


def _written_for_wandb() -> bool:
    """Tell whether the calling code, or the script, has lightsweep under the name ``wandb``."""
    package = str(Path(__file__).parent.parent)
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    for names in (frame.f_globals, vars(sys.modules.get("__main__", object))):
        file = str(getattr(names.get("wandb"), "__file__", None))
        if file.startswith(package):  # the package itself, or the stand-in, which is inside of it
            return True
    return False


def _mapping(values: Any) -> dict[str, Any]:
    """Return a dict from a mapping, pairs, or an object with attributes such as an argparse.Namespace."""
    if hasattr(values, "keys") or not hasattr(values, "__dict__"):
        return dict(values)
    return dict(vars(values))


def _same(present: Any, value: Any) -> bool:
    """Tell whether two values are equal; False for arrays, whose comparison gives an array."""
    try:
        return present is value or bool(present == value)
    except (TypeError, ValueError, RuntimeError):
        return False


def as_mapping(config: object) -> dict[Any, Any]:
    """Return the config as a nested dict; dataclasses and namespaces inside become dicts too.

    Raises:
        UsageError: The config is neither a mapping, nor a dataclass, nor a namespace; or it contains itself.
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
    """Return ``value`` for JSON: tuples and sets as lists, numpy and torch scalars as numbers, the rest as text."""
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
    """Return the agent's answer, with the caller's own objects wherever the answer did not change them.

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
    if hasattr(type(value), "__dataclass_fields__"):
        from dataclasses import fields  # here, since most training scripts have no use for it

        return {field.name: _tree(getattr(value, field.name)) for field in fields(value)}
    argparse = sys.modules.get("argparse")  # without this import the script has no Namespace
    if isinstance(value, SimpleNamespace) or (argparse is not None and isinstance(value, argparse.Namespace)):
        return {name: _tree(below) for name, below in vars(value).items()}
    return value
