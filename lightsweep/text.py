"""Text for people: one line, short, and with the same digits everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["counted", "number", "one_line", "parameters", "printable", "quoted", "shortened", "value_text"]

_LONGEST_LINE = 160


def printable(text: str) -> str:
    """Replace line ends and control characters by blanks, so that no name or message can steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def shortened(text: str, width: int) -> str:
    """The first ``width`` characters at most, with ``…`` for those left out."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def one_line(text: str, width: int) -> str:
    """A text without control characters: beginning and end, ``width`` characters at most, with ``…`` between them."""
    line, end = printable(text), (width - 1) // 3
    return line if len(line) <= width else f"{line[: width - 1 - end]}…{line[len(line) - end :]}"


def number(value: float) -> str:
    """A number with the five digits that a reader compares."""
    return f"{value:.5g}"


def value_text(value: Any) -> str:
    """The value of a parameter: text as it is, numbers by `number`, lists and dicts as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return number(value)
    if value is None or isinstance(value, (bool, int)):
        return str(value)
    return json.dumps(value, default=str, ensure_ascii=False)


def parameters(values: Mapping[str, Any], names: Iterable[str]) -> str:
    """Those parameters of a run that have these names, in one line."""
    text = ", ".join(f"{name}={value_text(values[name])}" for name in names if name in values)
    return shortened(printable(text), _LONGEST_LINE)


def counted(count: int, thing: str) -> str:
    """``1 run``, ``2,000 runs``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def quoted(value: object, width: int = 80) -> str:
    """The ``repr`` of a value for a message, ``width`` characters at most."""
    return shortened(repr(value), width)
