"""Dotted names and the nested config that a training script sees."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lightsweep.errors import closest
from lightsweep.space.base import Value

__all__ = ["check_paths", "flatten", "nest"]

Path = tuple[str, ...]


def check_paths(paths: Iterable[Path]) -> None:
    """Refuses paths that cannot stand in one config.

    Raises:
        ValueError: Two paths have the same dotted name, or one ends where another goes on; the message names both.
    """
    by_name: dict[str, Path] = {}
    leaves: set[Path] = set()
    for path in paths:
        if not path or not all(path):
            raise ValueError(f"a parameter needs a name that is not empty, but its path is {list(path)}")
        name = ".".join(path)
        if name in by_name:
            raise ValueError(f"{_spell(by_name[name])} and {_spell(path)} are the same parameter; keep one of them")
        by_name[name] = path
        leaves.add(path)
    for path in by_name.values():
        for depth in range(1, len(path)):
            if path[:depth] in leaves:
                raise ValueError(
                    f"{_spell(path[:depth])} cannot be a parameter and also the group that holds {_spell(path)}; "
                    "rename one of them"
                )


def nest(values: Mapping[str, Value], paths: Mapping[str, Path]) -> dict[str, Any]:
    """``values`` by dotted name, each put where its path says, in the order given.

    Raises:
        ValueError: A name is not in ``paths``.
    """
    nested: dict[str, Any] = {}
    for name, value in values.items():
        if name not in paths:
            raise ValueError(f"no parameter {name!r}{closest(name, paths)}")
        *groups, leaf = paths[name]
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = value
    return nested


def flatten(nested: Mapping[str, Any], paths: Mapping[str, Path]) -> dict[str, Value]:
    """The inverse of ``nest``; a dict that is a parameter's value stays one.

    Raises:
        ValueError: ``nested`` holds something that belongs to no parameter, or a value where a group should be.
    """
    names = {path: name for name, path in paths.items()}
    groups = {path[:depth] for path in names for depth in range(1, len(path))}
    values: dict[str, Value] = {}

    def walk(place: Mapping[str, Any], above: Path) -> None:
        for key, value in place.items():
            path = (*above, key)
            if path in names:
                values[names[path]] = value
            elif path not in groups:
                dotted = ".".join(map(str, path))
                raise ValueError(f"no parameter {dotted!r}{closest(dotted, paths)}")
            elif isinstance(value, Mapping):
                walk(value, path)
            else:
                raise ValueError(f"{_spell(path)} is a group of parameters, so its value cannot be {value!r}")

    walk(nested, ())
    return values


def _spell(path: Path) -> str:
    """The path as a person would point at it: ``'model.hidden'``, or ``'hidden' in 'model'`` where it is nested."""
    return " in ".join(repr(part) for part in reversed(path))
