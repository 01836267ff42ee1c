"""The config of a run: a dict with attribute access that remembers what was read and refuses changes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from lightsweep.client.ranks import rank
from lightsweep.errors import UsageError, closest

__all__ = ["Reads", "RunConfig"]

_SHOWN = 20


class Reads:
    """Which names of a config were read.

    Attributes:
        names: Dotted names that were read, or asked for in vain.
        touched: Whether the config was looked at in any way.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.touched = False

    def mark(self, name: str) -> None:
        """Note that ``name`` was read."""
        self.touched = True
        self.names.add(name)

    def unread(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that were not read, in their order."""
        return [name for name in names if name not in self.names]


class RunConfig(dict[str, Any]):
    """A config that is read by item or by attribute, at any depth: ``config["model"]["lr"]``, ``config.model.lr``.

    It is a dict, so that ``json``, ``**config`` and ``isinstance`` treat it as one. A new key may be added; changing
    or removing one raises ``UsageError``, since what the run was recorded with would be wrong. ``update`` alone lets
    pass what the sweep overrides. A key that is also the name of a method (``items``, ``update``) is reached as an item
    only.

    Reading one value marks its dotted name as read; iterating, unpacking and ``as_dict`` mark all that is below.
    ``repr``, ``len``, ``in`` and comparing mark nothing.

    Args:
        values: The nested values; dicts inside become configs too, dicts inside of lists stay as they are.
        parameters: Dotted names that the sweep sets, searched or constant; a dict that it sets is its own as a whole.
        reads: Where reading is noted; a fresh record by default.
    """

    __slots__ = ("_parameters", "_prefix", "_reads")

    def __init__(
        self,
        values: Mapping[str, Any],
        parameters: Iterable[str] = (),
        reads: Reads | None = None,
        *,
        _prefix: str = "",
    ) -> None:
        object.__setattr__(self, "_parameters", frozenset(parameters))
        object.__setattr__(self, "_reads", Reads() if reads is None else reads)
        object.__setattr__(self, "_prefix", _prefix)
        super().__init__()
        for name, value in dict(values).items():
            self._put(name, value)

    def as_dict(self) -> dict[str, Any]:
        """A plain nested copy, free to change."""
        return {name: value.as_dict() if isinstance(value, RunConfig) else value for name, value in self.items()}

    def update(self, *others: Any, allow_val_change: bool | None = None, **values: Any) -> None:
        """Add the keys that are new; nested dicts are merged, level by level.

        What the sweep sets keeps the sweep's value, so that ``config.update(args)`` may follow ``init()``: one line on
        stderr, of rank 0, names the keys that were to get another. A group stays if the sweep sets anything in it.

        Args:
            others: Mappings, pairs, or objects with attributes such as an ``argparse.Namespace``.
            allow_val_change: Whether other keys may get another value.
            values: Further keys.

        Raises:
            UsageError: A key that the sweep does not set exists with another value; nothing is changed then.
        """
        changes = dict(*(_mapping(other) for other in others), **values)
        allowed = bool(allow_val_change)
        kept = [key for name, value in changes.items() for key in self._kept(name, value, allowed)]
        for name, value in changes.items():
            self._add(name, value, allowed)
        if kept and rank() == 0:
            print(f"lightsweep: config.update(): the sweep's values stay: {', '.join(kept)}", file=sys.stderr)

    def setdefaults(self, values: Any) -> None:
        """Add the keys that are new at every depth, ignore the others; a dict that the sweep sets is its own."""
        for name, value in _mapping(values).items():
            present = super().get(name)
            if name not in self:
                self._put(name, value)
            elif (
                isinstance(present, RunConfig)
                and isinstance(value, Mapping)
                and f"{self._prefix}{name}" not in self._parameters
            ):
                present.setdefaults(value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, which is added if it is new."""
        if key not in self:
            self._put(key, default)
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, or ``default``."""
        if key in self:
            return self[key]
        self._reads.mark(f"{self._prefix}{key}")
        return default

    def copy(self) -> dict[str, Any]:
        """The same as ``as_dict``."""
        return self.as_dict()

    def keys(self) -> Any:
        """The names at this level; counts as reading all that is below."""
        self._mark_below()
        return super().keys()

    def values(self) -> Any:
        """The values at this level; counts as reading all that is below."""
        self._mark_below()
        return super().values()

    def items(self) -> Any:
        """Names and values at this level; counts as reading all that is below."""
        self._mark_below()
        return super().items()

    def __iter__(self) -> Iterator[str]:
        self._mark_below()
        return super().__iter__()

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            self._reads.mark(f"{self._prefix}{key}")
            raise KeyError(self._missing(key))
        self._reads.mark(f"{self._prefix}{key}")
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in RunConfig.__slots__:
            raise AttributeError(name)
        if name not in self:
            self._reads.mark(f"{self._prefix}{name}")
            raise AttributeError(self._missing(name))
        return self[name]

    def __setitem__(self, key: str, value: Any) -> None:
        self._check(key, value)
        self._add(key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __or__(self, other: Any) -> Any:
        return self.as_dict() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.as_dict()

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def __delitem__(self, key: str) -> None:
        self._refuse(key)

    def __delattr__(self, name: str) -> None:
        self._refuse(name)

    def pop(self, key: str, *_: Any) -> Any:
        """Raises ``UsageError``."""
        self._refuse(key)

    def popitem(self) -> tuple[str, Any]:
        """Raises ``UsageError``."""
        self._refuse(next(super().__iter__(), ""))

    def clear(self) -> None:
        """Raises ``UsageError``."""
        self._refuse(next(super().__iter__(), ""))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._names()})

    def __reduce__(self) -> tuple[Any, ...]:
        return RunConfig, (self.as_dict(), self._parameters)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # so that vars(config) works as with argparse
        return self.as_dict()

    def _put(self, name: str, value: Any) -> None:
        """Store without a check; dicts become configs that share the record of reads."""
        if isinstance(value, Mapping):
            value = RunConfig(value, self._parameters, self._reads, _prefix=f"{self._prefix}{name}.")
        super().__setitem__(name, value)

    def _add(self, name: str, value: Any, allowed: bool = False) -> None:
        """Store what a check has let pass: a new key, new keys below an existing one, changes where allowed."""
        if name not in self:
            self._put(name, value)
            return
        present = super().__getitem__(name)
        if isinstance(present, RunConfig) and isinstance(value, Mapping):
            for key, below in value.items():
                present._add(key, below, allowed)
        elif allowed and not self._of_the_sweep(name) and not _same(present, value):
            self._put(name, value)

    def _check(self, name: str, value: Any) -> None:
        """Raise ``UsageError`` if storing ``value`` would change an existing key."""
        for key, present, new in self._changed(name, value):
            self._refuse_change(key, present, new)

    def _kept(self, name: str, value: Any, allowed: bool) -> list[str]:
        """The keys that stay as the sweep sets them; ``UsageError`` for others that may not change."""
        kept = []
        for key, present, new in self._changed(name, value):
            if self._of_the_sweep(key[len(self._prefix) :]):
                kept.append(key)
            elif not allowed:
                self._refuse_change(key, present, new)
        return kept

    def _changed(self, name: str, value: Any) -> Iterator[tuple[str, Any, Any]]:
        """Dotted name, value and new value of each existing key that storing ``value`` would change."""
        if name not in self:
            return
        present = super().__getitem__(name)
        if isinstance(present, RunConfig) and isinstance(value, Mapping):
            for key, below in value.items():
                yield from present._changed(key, below)
        elif not _same(present, value):
            yield f"{self._prefix}{name}", present, value

    def _of_the_sweep(self, name: str) -> bool:
        """Whether the sweep sets ``name``, something in it, or the dict that it stands in."""
        full = f"{self._prefix}{name}"
        return any(
            full == known or known.startswith(f"{full}.") or full.startswith(f"{known}.") for known in self._parameters
        )

    def _refuse_change(self, key: str, present: Any, value: Any) -> NoReturn:
        if key in self._parameters:
            why = "the sweep sets it; give defaults to init(config=...), or use another key"
        else:
            why = (
                "the run was started with that value; give defaults to init(config=...), use another key, "
                "or config.update(..., allow_val_change=True)"
            )
        raise UsageError(f"config key {key!r} is {present!r} and cannot become {value!r}: {why}")

    def _refuse(self, name: str) -> NoReturn:
        raise UsageError(
            f"config key {self._prefix + name!r} cannot be removed: a config is read-only once the run has started; "
            "change the copy that config.as_dict() gives"
        )

    def _names(self) -> list[str]:
        return [str(name) for name in dict.keys(self)]

    def _mark_below(self) -> None:
        self._reads.touched = True
        for name, value in super().items():
            self._reads.mark(f"{self._prefix}{name}")
            if isinstance(value, RunConfig):
                value._mark_below()

    def _missing(self, name: str) -> str:
        here = f"config.{self._prefix[:-1]}" if self._prefix else "the config"
        known = self._names()
        shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        return f"{here} has no {name!r}{closest(str(name), known) or '.'} It has: {shown or 'nothing'}"


def _mapping(values: Any) -> dict[str, Any]:
    """What ``update`` is given: a mapping, pairs, or an object with attributes such as an argparse.Namespace."""
    if hasattr(values, "keys") or not hasattr(values, "__dict__"):
        return dict(values)
    return dict(vars(values))


def _same(present: Any, value: Any) -> bool:
    """Whether two values are equal; False for arrays, whose comparison is no single truth value."""
    try:
        return present is value or bool(present == value)
    except (TypeError, ValueError, RuntimeError):
        return False
