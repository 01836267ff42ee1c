"""Collecting every fault of a config, each with its place in the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from lightsweep.errors import ConfigError, Fault

__all__ = ["Faults", "Locator", "Path", "dotted"]

Path = tuple[str | int, ...]  # keys and list positions from the top of the config down to a value


class Locator(Protocol):
    """Knows where the parts of a config stand in its file."""

    def place(self, path: Path, *, key: bool) -> tuple[int, int] | None:
        """1-based line and column of the value at ``path`` (of its key with ``key``); of what encloses it if absent."""


def dotted(path: Path) -> str:
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

    def error(self, path: Path, message: str, *, key: bool = False, at: Path | None = None) -> None:
        """Note a mistake.

        Args:
            path: What it is about.
            message: The rule, the value received and the remedy.
            key: It is about the key itself and not about its value.
            at: Where in the file to point, if not at ``path``, such as at what makes an absent key necessary.
        """
        fault = self._fault(path if at is None else at, message, key)
        self._errors.append(replace(fault, where=dotted(path)))

    def warn(self, path: Path, message: str, *, key: bool = False) -> None:
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

    def line(self, path: Path) -> int | None:
        """The 1-based line of the value at ``path``."""
        place = self.locator.place(path, key=False) if self.locator else None
        return place[0] if place else None

    def _fault(self, path: Path, message: str, key: bool) -> Fault:
        place = self.locator.place(path, key=key) if self.locator else None
        line, column = place if place else (None, None)
        return Fault(message, dotted(path), self.file, line, column)


def _sorted(faults: Sequence[Fault]) -> list[Fault]:
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.line or 0, fault.column or 0))
