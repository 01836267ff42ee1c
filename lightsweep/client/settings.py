"""The config of a run: a dict with attribute access that remembers what was read and refuses changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from lightsweep.errors import UsageError, closest

__all__ = ["Reads", "RunConfig"]

_SHOWN = 20


class Reads:
    """Which names of a config were read.

    Attributes:
        names: Dotted names that were read.
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
    or removing one raises ``UsageError``, since what the run was recorded with would be wrong. A key that is also
    the name of a method (``items``, ``update``) is reached as an item only.

    Reading one value marks its dotted name as read; iterating, unpacking and ``as_dict`` mark all that is below.
    ``repr``, ``len``, ``in`` and comparing mark nothing.

    Args:
        values: The nested values; dicts inside become configs too, dicts inside of lists stay as they are.
        swept: Dotted names that the sweep sets; used in messages.
        reads: Where reading is noted; a fresh record by default.
    """

    __slots__ = ("_prefix", "_reads", "_swept")

    def __init__(
        self, values: Mapping[str, Any], swept: Iterable[str] = (), reads: Reads | None = None, *, _prefix: str = ""
    ) -> None:
        object.__setattr__(self, "_swept", frozenset(swept))
        object.__setattr__(self, "_reads", Reads() if reads is None else reads)
        object.__setattr__(self, "_prefix", _prefix)
        super().__init__()
        for name, value in dict(values).items():
            self._put(name, value)

    def as_dict(self) -> dict[str, Any]:
        """A plain nested copy, free to change."""
        return {name: value.as_dict() if isinstance(value, RunConfig) else value for name, value in self.items()}

    def update(self, *others: Any, **values: Any) -> None:
        """Add the keys that are new; ``allow_val_change`` is accepted and ignored.

        Raises:
            UsageError: A key exists with another value; nothing is changed then.
        """
        values.pop("allow_val_change", None)
        additions = dict(*(_mapping(other) for other in others), **values)
        for name, value in additions.items():
            self._check(name, value)
        for name, value in additions.items():
            self._add(name, value)

    def setdefaults(self, values: Any) -> None:
        """Add the keys that are new, ignore the others."""
        for name, value in _mapping(values).items():
            self.setdefault(name, value)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, which is added if it is new."""
        if key not in self:
            self._put(key, default)
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, or ``default``."""
        if key in self:
            return self[key]
        self._reads.touched = True
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
            self._reads.touched = True
            raise KeyError(self._missing(key))
        self._reads.mark(f"{self._prefix}{key}")
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in RunConfig.__slots__:
            raise AttributeError(name)
        if name not in self:
            self._reads.touched = True
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
        return RunConfig, (self.as_dict(), self._swept)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # so that vars(config) works as with argparse
        return self.as_dict()

    def _put(self, name: str, value: Any) -> None:
        """Store without a check; dicts become configs that share the record of reads."""
        if isinstance(value, Mapping):
            value = RunConfig(value, self._swept, self._reads, _prefix=f"{self._prefix}{name}.")
        super().__setitem__(name, value)

    def _add(self, name: str, value: Any) -> None:
        """Store what ``_check`` has let pass: a new key, or new keys below an existing one."""
        if name not in self:
            self._put(name, value)
            return
        present = super().__getitem__(name)
        if isinstance(present, RunConfig):
            for key, below in value.items():
                present._add(key, below)

    def _check(self, name: str, value: Any) -> None:
        """Raise ``UsageError`` if storing ``value`` would change an existing key."""
        if name not in self:
            return
        present = super().__getitem__(name)
        if isinstance(present, RunConfig) and isinstance(value, Mapping):
            for key, below in value.items():
                present._check(key, below)
        elif not _same(present, value):
            full = f"{self._prefix}{name}"
            why = "the sweep sets it" if full in self._swept else "the run was started with that value"
            raise UsageError(
                f"config key {full!r} is {present!r} and cannot become {value!r}: {why}; "
                "give defaults to init(config=...), or use another key"
            )

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
