"""Collect every fault of a config, each with its place in the file and the closest known word."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightsweep.errors import ConfigError, Fault, closest
from lightsweep.text import quoted

KeyPath = tuple[str | int, ...]  # keys and list positions from the top of the config down to a value

Locate = Callable[[KeyPath, bool], tuple[int, int] | None]
"""Finds the 1-based line and column of the value at a path (``True``: of its key); if it is absent, of its parent."""


def dotted(path: KeyPath) -> str:
    """Return ``path`` as people write it: ``("parameters", "lr", "values", 2)`` is ``parameters.lr.values[2]``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


class Faults:
    """The faults and warnings found so far in one config.

    Args:
        file: Name of the file; ``None`` for a dict.
        locate: Finds lines and columns; ``None`` for a dict.
    """

    def __init__(self, file: str | None = None, locate: Locate | None = None) -> None:
        self.file = file
        self._locate = locate
        self._errors: list[Fault] = []
        self._warnings: list[Fault] = []

    def at(self, *path: str | int) -> Spot:
        """Return the place at ``path``."""
        return Spot(self, path)

    def __bool__(self) -> bool:
        return bool(self._errors)

    @property
    def count(self) -> int:
        """Number of mistakes so far."""
        return len(self._errors)

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """The warnings in the order of the file."""
        return tuple(_sorted(self._warnings))

    def raise_if_any(self) -> None:
        """Raise ``ConfigError`` with every mistake in the order of the file, if there are any."""
        if self._errors:
            raise ConfigError(_sorted(self._errors))

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the key at ``path``, from 1; ``None`` for a dict."""
        return ((self._locate and self._locate(path, True)) or (None, None))[0]

    def note(self, path: KeyPath, message: str, key: bool, *, error: bool, at: KeyPath | None = None) -> None:
        """Note a mistake, or a warning; see `Spot`."""
        line, column = (self._locate and self._locate(path if at is None else at, key)) or (None, None)
        (self._errors if error else self._warnings).append(Fault(message, dotted(path), self.file, line, column))


@dataclass(frozen=True)
class Spot:
    """A place in a config, and the faults that take what is wrong there; ``spot["min"]`` is the key below it."""

    faults: Faults
    path: KeyPath = ()

    def __getitem__(self, part: str | int) -> Spot:
        return Spot(self.faults, (*self.path, part))

    @property
    def line(self) -> int | None:
        """The line of the key, from 1; ``None`` for a dict."""
        return self.faults.line(self.path)

    def error(self, message: str) -> Any:
        """Note that the value is wrong; return ``None``, the value to go on with."""
        self.faults.note(self.path, message, False, error=True)

    def key_error(self, message: str, at: KeyPath | None = None) -> None:
        """Note that the key is wrong or absent; ``at`` is the place to point at if not here."""
        self.faults.note(self.path, message, True, error=True, at=at)

    def warn(self, message: str) -> None:
        """Note that the value may not be meant."""
        self.faults.note(self.path, message, False, error=False)

    def key_warning(self, message: str) -> None:
        """Note that the key may not be meant."""
        self.faults.note(self.path, message, True, error=False)


def _sorted(faults: Sequence[Fault]) -> list[Fault]:
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.line or 0, fault.column or 0))


MAX_DEPTH = 100
MAX_BITS = 1000  # what a float can hold


def plain(value: Any, at: Spot) -> Any:
    """Return ``value`` as dict, list, str, int, float, bool and None only.

    Tuples become lists, NumPy scalars Python numbers, paths and other keys than text become text. Anything else, NaN,
    and nesting deeper than 100 levels is a fault at its place, and ``None`` in the result.
    """
    if isinstance(value, (np.generic, np.bool_)):
        value = value.item()
    if isinstance(value, os.PathLike):
        value = str(os.fspath(value))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(str.__str__(value), at)
    if isinstance(value, int) and int(value).bit_length() > MAX_BITS:
        return at.error("this integer has more than 300 digits, too many for a number")
    if isinstance(value, float) and math.isnan(value):
        return at.error("NaN is not allowed in a sweep config")
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if len(at.path) > MAX_DEPTH:
        return Spot(at.faults, at.path[:8]).error(
            f"this value is nested deeper than {MAX_DEPTH} levels, or contains itself"
        )
    if isinstance(value, Mapping) and _is_list_in_braces(value, at.path):
        meant = [plain(key, at) for key in value]
        at.error(f"{at.path[-1]} must be a list, and a list has brackets, not braces: write {quoted(meant)}")
        return meant
    if isinstance(value, Mapping):
        names = [(_key(key, at), item) for key, item in value.items()]
        return {name: plain(item, at[name]) for name, item in names if name is not None}
    if isinstance(value, (list, tuple)):
        return [plain(item, at[index]) for index, item in enumerate(value)]
    remedy = "; write it as a list" if isinstance(value, (np.ndarray, set, frozenset, range)) else ""
    return at.error(f"a value of type {type(value).__name__} cannot be kept as JSON{remedy}")


def _text(text: str, at: Spot) -> Any:
    if text.isascii() or text.encode("utf-8", "replace").decode("utf-8") == text:
        return text
    return at.error(f"this text cannot be written as UTF-8: {ascii(text)[:100]}")


def _is_list_in_braces(value: Mapping[Any, Any], path: KeyPath) -> bool:
    """Return whether ``{a, b}`` was written where a parameter needs the list ``[a, b]``."""
    is_key = len(path) > 2 and path[0] == "parameters" != path[-2] and path[-1] in ("values", "probabilities")
    return is_key and bool(value) and all(item is None for item in value.values())


def _key(key: object, at: Spot) -> Any:
    if isinstance(key, str):
        return _text(str.__str__(key), at)
    if key is not None and not isinstance(key, (int, float)):
        return at.error(f"a key of type {type(key).__name__} cannot be kept as JSON; write it as text")
    if isinstance(key, int) and key.bit_length() > MAX_BITS:
        return at.error("a key is an integer with too many digits; write it as text")
    name = str(key)
    if at.path[:1] == ("parameters",):
        at.key_error(f"the key {name} is not text; put it in quotes: {name!r}", at=(*at.path, name))
    return name


def one_edit_away(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` is, or that it becomes by one edit; ``None`` if there is none.

    An edit inserts, drops or replaces one character, or swaps two neighbours. Case does not count, ``-``, ``_`` and
    a blank are the same.
    """
    given = _folded(word)
    # The same word comes before one of the same length (a swap: "valuse" is "values"), and that before others.
    ranked = sorted(known, key=lambda name: (_folded(name) != given, len(_folded(name)) != len(given)))
    return next((name for name in ranked if _within_one(given, _folded(name))), None)


def hint(word: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the most likely word, or an empty string, as for anything but a text."""
    if not isinstance(word, str):
        return ""
    words = list(known)
    exact = one_edit_away(word, words)
    return f"; did you mean {exact!r}?" if exact else closest(word, words)


def _folded(word: str) -> str:
    return word.strip().rstrip(":").casefold().replace("-", "_").replace(" ", "_")


def _within_one(a: str, b: str) -> bool:
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    swapped = rest_a[1:2] + rest_a[:1] + rest_a[2:]
    return rest_b in (rest_a, rest_a[1:], swapped) or rest_b[1:] in (rest_a, rest_a[1:])
