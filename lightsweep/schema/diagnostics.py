"""Collect every fault of a config, each with its place in the file and the word that was meant."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from lightsweep.errors import ConfigError, Fault, closest

__all__ = ["Faults", "KeyPath", "Locator", "dotted", "hint", "one_edit_away", "plain", "shown"]

KeyPath = tuple[str | int, ...]  # keys and list positions from the top of the config down to a value


class Locator(Protocol):
    """Knows where the parts of a config stand in its file."""

    def place(self, path: KeyPath, *, key: bool) -> tuple[int, int] | None:
        """1-based line and column of the value at ``path`` (of its key with ``key``); of what encloses it if absent."""


def dotted(path: KeyPath) -> str:
    """``path`` as people write it: ``("parameters", "lr", "values", 2)`` is ``parameters.lr.values[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


class Faults:
    """The faults and warnings found so far in one config.

    Args:
        file: Name of the file; ``None`` for a dict.
        locator: Finds lines and columns; ``None`` for a dict.
    """

    def __init__(self, file: str | None = None, locator: Locator | None = None) -> None:
        self.file = file
        self.locator = locator
        self._errors: list[Fault] = []
        self._warnings: list[Fault] = []

    def error(self, path: KeyPath, message: str, *, key: bool = False, at: KeyPath | None = None) -> None:
        """Note a mistake.

        Args:
            path: What it is about.
            message: The rule, the value received and the remedy.
            key: It is about the key itself and not about its value.
            at: Where in the file to point, if not at ``path``, such as at what makes an absent key necessary.
        """
        fault = self._fault(path if at is None else at, message, key)
        self._errors.append(replace(fault, where=dotted(path)))

    def warn(self, path: KeyPath, message: str, *, key: bool = False) -> None:
        """Note something at ``path`` that is accepted but deserves a word."""
        self._warnings.append(self._fault(path, message, key))

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
        """Raise ``ConfigError`` with every mistake in the order of the file; nothing where there is none."""
        if self._errors:
            raise ConfigError(_sorted(self._errors))

    def line(self, path: KeyPath) -> int | None:
        """The 1-based line of the value at ``path``."""
        place = self.locator.place(path, key=False) if self.locator else None
        return place[0] if place else None

    def _fault(self, path: KeyPath, message: str, key: bool) -> Fault:
        place = self.locator.place(path, key=key) if self.locator else None
        line, column = place if place else (None, None)
        return Fault(message, dotted(path), self.file, line, column)


def _sorted(faults: Sequence[Fault]) -> list[Fault]:
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.line or 0, fault.column or 0))


MAX_DEPTH = 100
MAX_BITS = 1000  # what a float can hold


def shown(value: object) -> str:
    """``value`` for a message: its repr, shortened to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def plain(value: Any, path: KeyPath, faults: Faults) -> Any:
    """``value`` as dict, list, str, int, float, bool and None only.

    Tuples become lists, NumPy scalars Python numbers, paths and other keys than text become text. Whatever else,
    NaN, and nesting deeper than 100 levels is a fault at its path, and ``None`` in the result.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (np.generic, np.bool_)):
        value = value.item()
        if value is None or isinstance(value, bool):
            return value
    if isinstance(value, str):
        return _text(str.__str__(value), path, faults)
    if isinstance(value, int):
        if int(value).bit_length() > MAX_BITS:
            faults.error(path, "this integer has more than 300 digits, which is more than a number can have")
            return None
        return int(value)
    if isinstance(value, float):
        if math.isnan(value):
            faults.error(path, "NaN is not a value that a sweep can hold")
            return None
        return float(value)
    if isinstance(value, os.PathLike):
        return _text(str(os.fspath(value)), path, faults)
    if len(path) > MAX_DEPTH:
        faults.error(path[:8], f"this value is nested deeper than {MAX_DEPTH} levels, or holds itself")
        return None
    if isinstance(value, Mapping) and _is_list_in_braces(value, path):
        meant = [plain(key, path, faults) for key in value]
        faults.error(path, f"{path[-1]} must be a list, and a list has brackets, not braces: write {shown(meant)}")
        return meant
    if isinstance(value, Mapping):
        return _mapping(value, path, faults)
    if isinstance(value, (list, tuple)):
        return [plain(item, (*path, index), faults) for index, item in enumerate(value)]
    remedy = "; write it as a list" if isinstance(value, (np.ndarray, set, frozenset, range)) else ""
    faults.error(path, f"a value of type {type(value).__name__} cannot be kept as JSON{remedy}")
    return None


def _text(text: str, path: KeyPath, faults: Faults) -> str | None:
    if text.isascii() or text.encode("utf-8", "replace").decode("utf-8") == text:
        return text
    faults.error(path, f"this text cannot be written as UTF-8: {ascii(text)[:100]}")
    return None


def _mapping(value: Mapping[Any, Any], path: KeyPath, faults: Faults) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        name = _key(key, path, faults)
        if name is not None:
            result[name] = plain(item, (*path, name), faults)
    return result


def _is_list_in_braces(value: Mapping[Any, Any], path: KeyPath) -> bool:
    """Whether ``{a, b}`` was written where a parameter needs the list ``[a, b]``."""
    is_key = len(path) > 2 and path[0] == "parameters" != path[-2] and path[-1] in ("values", "probabilities")
    return is_key and bool(value) and all(item is None for item in value.values())


def _key(key: object, path: KeyPath, faults: Faults) -> str | None:
    if isinstance(key, str):
        return _text(str.__str__(key), path, faults)
    if key is not None and not isinstance(key, (int, float)):
        faults.error(path, f"a key of type {type(key).__name__} cannot be kept as JSON; write it as text")
        return None
    if isinstance(key, int) and key.bit_length() > MAX_BITS:
        faults.error(path, "a key is an integer with too many digits; write it as text")
        return None
    name = str(key)
    if path[:1] == ("parameters",):
        faults.error(path, f"the key {name} is not text; put it in quotes: {name!r}", key=True, at=(*path, name))
    return name


def one_edit_away(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` is, or that it becomes by one edit; ``None`` where there is none.

    An edit inserts, drops or replaces one character, or swaps two neighbours. Case does not count, ``-``, ``_`` and
    a blank are the same.
    """
    given = _folded(word)
    # The same word comes before one of the same length (a swap: "valuse" is "values"), and that before others.
    ranked = sorted(known, key=lambda name: (_folded(name) != given, len(_folded(name)) != len(given)))
    return next((name for name in ranked if _within_one(given, _folded(name))), None)


def hint(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the word that was most likely meant, or an empty string."""
    words = list(known)
    exact = one_edit_away(word, words)
    return f"; did you mean {exact!r}?" if exact else closest(word, words)


def _folded(word: str) -> str:
    return word.strip().rstrip(":").casefold().replace("-", "_").replace(" ", "_")


def _within_one(a: str, b: str) -> bool:
    if a == b:
        return True
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if len(a) == len(b):
        swapped = rest_a[1:2] + rest_a[:1] + rest_a[2:]
        return rest_a[1:] == rest_b[1:] or swapped == rest_b
    return rest_a[1:] == rest_b if len(a) > len(b) else rest_a == rest_b[1:]
